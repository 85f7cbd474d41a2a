"""Going on with a log where it was left, by the times of its lines."""

from __future__ import annotations

from controller.marks import Mark, Marks

SECOND = 1_000_000_000
NOON = 1_800_000_000 * SECOND


def noted(*times: int) -> Mark:
    mark = Mark()
    for at in times:
        mark.note(at)
    return mark


def test_an_unread_log_is_read_from_its_beginning() -> None:
    mark = Mark()
    assert mark.since is None
    assert mark.sieve().passes(0)


def test_reading_goes_on_a_second_before_the_newest_line() -> None:
    assert noted(NOON, NOON + 5 * SECOND).since == NOON / SECOND + 4


def test_what_was_given_out_is_left_out_and_what_was_not_comes() -> None:
    sieve = noted(NOON, NOON + 10, NOON + 30).sieve()
    again = [NOON - 5, NOON, NOON + 10, NOON + 20, NOON + 30, NOON + 40]
    assert [at for at in again if sieve.passes(at)] == [NOON + 20, NOON + 40]


def test_what_is_older_than_the_first_line_was_not_asked_for() -> None:
    mark = noted(NOON)
    assert mark.since == NOON / SECOND
    assert not mark.sieve().passes(NOON - 1)


def test_lines_of_one_time_are_counted() -> None:
    sieve = noted(NOON, NOON).sieve()
    assert [sieve.passes(NOON) for _ in range(4)] == [False, False, True, True]


def test_a_sieve_is_for_one_reading() -> None:
    mark = noted(NOON)
    assert [mark.sieve().passes(NOON), mark.sieve().passes(NOON)] == [False, False]


def test_only_a_second_is_remembered() -> None:
    mark = noted(*(NOON + step * SECOND // 10 for step in range(1000)))
    assert len(mark.sieve().left) == 11
    assert mark.sieve().passes(NOON) is False


def test_each_container_has_its_own_mark() -> None:
    marks = Marks()
    marks.of("one").note(NOON)
    assert (marks.of("one").newest, marks.of("other").newest) == (NOON, 0)
