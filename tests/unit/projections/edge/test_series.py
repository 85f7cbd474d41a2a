"""Counts of requests."""

from __future__ import annotations

from projections.edge.series import Asked, Series, summed


def test_nothing_was_asked() -> None:
    assert summed([]) == summed([Series()]) == Asked(requests=0, failed=0, longest_gap_ms=0)


def test_a_gap_lasts_from_answer_to_answer() -> None:
    series = Series()
    for now in (10.0, 10.1, 10.2, 10.5, 10.6):
        series.sent(now)
        series.answered(200, now + 0.01)
    assert summed([series]) == Asked(requests=5, failed=0, longest_gap_ms=300)


def test_the_first_gap_begins_with_the_first_request() -> None:
    series = Series()
    series.sent(1.0)
    series.answered(200, 1.25)
    assert summed([series]).longest_gap_ms == 250


def test_a_failure_is_counted_and_does_not_end_the_gap() -> None:
    series = Series()
    series.sent(0.0)
    series.answered(200, 0.0)
    series.answered(502, 0.1)
    series.unanswered(0.2)
    assert summed([series]) == Asked(requests=3, failed=2, longest_gap_ms=200)
    series.answered(204, 0.4)
    assert summed([series]) == Asked(requests=4, failed=2, longest_gap_ms=400)


def test_what_a_service_refuses_is_answered() -> None:
    series = Series()
    for status in (200, 400, 401, 403, 429):
        series.answered(status, 0.0)
    assert (series.requests, series.failed) == (5, 0)


def test_a_path_that_never_was_there_is_answered_and_one_that_is_gone_is_not() -> None:
    series = Series()
    series.answered(404, 0.0)
    assert series.failed == 0, "so the service answers"
    series.answered(200, 0.1)
    series.answered(404, 0.2)
    assert series.failed == 1, "so the gateway answers that has lost the route"


def test_a_gap_in_which_nobody_could_ask_is_none() -> None:
    series = Series()
    series.sent(0.0)
    series.answered(200, 0.1)
    series.not_sent()
    series.sent(60.0)
    series.answered(200, 60.05)
    assert summed([series]) == Asked(requests=2, failed=0, longest_gap_ms=100)


def test_a_sum_has_all_requests_and_the_longest_gap_of_any() -> None:
    one, other = Series(requests=3, failed=1, longest_gap=0.02), Series(requests=4, longest_gap=0.03)
    assert summed([one, other]) == Asked(requests=7, failed=1, longest_gap_ms=30)
