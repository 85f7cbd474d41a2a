"""`events list` and `follow`: everything, oldest first, one object a line, nothing skipped."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cli import events as events_module
from cli.events import read_all, read_on
from events.actors import SqliteActorDirectory
from events.envelope import Actor
from events.log import StreamAppend
from events.query import EventQuery
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from tests.contract.event_log import proposed
from tests.support.cli import Stagecraft
from tests.support.processes import wait_until
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History


def positions(out: str) -> list[int]:
    return [json.loads(line)["position"] for line in out.splitlines()]


def test_a_home_without_a_log_has_no_events_and_gets_no_file(call: Call, home: Path) -> None:
    assert call("events", "list").out == "No events found\n"
    assert call("events", "list", "--json").out == ""
    assert not home.exists()


def test_json_has_one_object_a_line_with_the_published_keys(call: Call, history: History) -> None:
    history.suspended()
    history.resumed()
    said = call("events", "list", "--json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert lines == [event.as_json() for event in history.log.read()]
    assert list(lines[0]) == [
        "position",
        "id",
        "stream",
        "version",
        "type",
        "schema",
        "time",
        "actor",
        "correlation",
        "causation",
        "data",
    ]


def test_it_begins_behind_a_position_and_keeps_to_a_stream_and_a_type(call: Call, history: History) -> None:
    history.suspended()
    history.environment = "stage"
    history.suspended()
    history.resumed()
    history.suspended()
    assert positions(call("events", "list", "--json", "--after", "2").out) == [3, 4]
    assert positions(call("events", "list", "--json", "--stream", "environment/shop/stage").out) == [2, 3, 4]
    assert positions(call("events", "list", "--json", "--type", "EnvironmentSuspended").out) == [1, 2, 4]
    both = call(
        "events", "list", "--json", "--type", "EnvironmentSuspended", "--stream", "environment/shop/prod"
    )
    assert positions(both.out) == [1]
    assert call("events", "list", "--json", "--type", "Nothing").out == ""


def test_everything_that_is_given_has_to_hold(call: Call, history: History, home: Path) -> None:
    with closing(SqliteActorDirectory(home / "actors.db")) as names:
        ann = names.pseudonym("cli", "Ann Miller", "ann@example.org")
    history.actor = ann
    history.suspended()  # 1
    history.resumed()  # 2
    history.actor = Actor(kind="controller", id="controller")
    history.suspended()  # 3
    history.environment = "dev"
    history.suspended()  # 4

    def listed(*argv: str) -> list[int]:
        return positions(call("events", "list", "--json", *argv).out)

    assert listed("--actor", "Ann Miller") == [1, 2]
    assert listed("--actor", ann.id) == [1, 2]
    assert listed("--actor", f"cli:{ann.id}", "--type", "EnvironmentResumed") == [2]
    assert listed("--actor", "controller") == [3, 4]
    assert listed("--actor", "nobody") == []
    assert listed("--type", "EnvironmentResumed", "--type", "EnvironmentSuspended", "--limit", "3") == [
        1,
        2,
        3,
    ]
    assert listed("--stream", "environment/shop/dev", "--actor", "controller") == [4]
    assert listed("--since", "2", "--until", "3") == [2, 3]
    assert listed("--since", "2026-01-02T03:04:06Z", "--until", "2026-01-02T03:04:07Z") == [2, 3]
    assert listed("--since", "2026-01-02T03:04:06Z", "--after", "2", "--limit", "1") == [3]
    (second,) = history.log.read(after=1, limit=1)
    assert listed("--correlation", str(second.correlation)) == [2]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--since", "soon"), "moment-unreadable"),
        (("--since", "2999-01-01"), "moment-in-future"),
        (("--until", "99"), "position-unknown"),
        (("--correlation", "rel-1"), "'rel-1' is no id"),
    ],
)
def test_what_names_no_time_and_no_undertaking_is_the_users_mistake(
    call: Call, history: History, argv: tuple[str, ...], says: str
) -> None:
    history.suspended()
    said = call("events", "list", *argv)
    assert (said.code, said.out) == (1, "")
    assert says in said.err


def test_a_type_that_this_version_does_not_know_is_listed_and_found(call: Call, history: History) -> None:
    newer = proposed(b'{"what":1}', type_name="EnvironmentBlessed")
    history.log.append([StreamAppend(stream=StreamName("environment/shop/prod"), events=(newer,))])
    assert positions(call("events", "list", "--json", "--type", "EnvironmentBlessed").out) == [1]
    assert "EnvironmentBlessed" in call("events", "list", "--since", "1").out


@pytest.mark.parametrize(("limit", "expected"), [("0", []), ("2", [1, 2]), ("9", [1, 2, 3])])
def test_a_limit_keeps_the_oldest(call: Call, history: History, limit: str, expected: list[int]) -> None:
    for _ in range(3):
        history.suspended()
    assert positions(call("events", "list", "--json", "--limit", limit).out) == expected


@pytest.mark.parametrize("limit", [None, 0, 1, 4, 5, 6, 100])
def test_pages_meet_without_gap_or_overlap(
    history: History, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(events_module, "PAGE_EVENTS", 2)
    for _ in range(5):
        history.suspended()
    found = read_all(history.log, EventQuery(limit=limit, upto=5))
    assert [event.position for event in found] == [1, 2, 3, 4, 5][:limit]


def test_what_is_appended_meanwhile_is_left_to_the_next_call(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "PAGE_EVENTS", 1)
    for _ in range(3):
        history.suspended()
    found: list[int] = []
    for event in read_all(history.log, EventQuery(after=1, upto=3)):
        found.append(event.position)
        history.resumed()
    assert found == [2, 3]


def test_the_text_is_a_table(call: Call, history: History) -> None:
    history.suspended()
    history.observed("c1")
    expected = [
        ("POSITION", "TIME", "TYPE", "STREAM", "ACTOR"),
        ("1", "2026-01-02T03:04:05.000Z", "EnvironmentSuspended", "environment/shop/prod", "cli:act-1"),
        ("2", "2026-01-02T03:04:06.000Z", "RevisionObserved", "repository/shop", "cli:act-1"),
    ]
    lines = call("events", "list").out.splitlines()
    assert [tuple(line.split()) for line in lines] == expected
    assert len({line.index(row[-1]) for line, row in zip(lines, expected, strict=True)}) == 1


def test_following_begins_with_what_comes(history: History, cli: Stagecraft, home: Path) -> None:
    del home
    history.suspended()
    with cli.start("events", "follow", "--json") as process:
        try:
            _until_it_follows(process)
            history.resumed()
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["position"] == 2
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()


def _until_it_follows(process: subprocess.Popen[str]) -> None:
    """Until the log's file is open in the child, and a moment for its first look at the head."""
    folder = Path(f"/proc/{process.pid}/fd")

    def leads_to_the_log(link: Path) -> bool:
        with suppress(FileNotFoundError):  # the child has closed it meanwhile
            return str(link.readlink()).endswith("events.db")
        return False

    wait_until("the child follows", lambda: any(map(leads_to_the_log, folder.iterdir())))
    time.sleep(0.3)


def test_following_a_home_without_a_log_waits_for_its_first_event(cli: Stagecraft, home: Path) -> None:
    with cli.start("events", "follow") as process:
        try:
            assert process.stderr is not None
            assert "waiting" in process.stderr.readline()
            with closing(SqliteEventLog(home / "events.db")) as log:
                later = History(log)
                later.suspended()
                assert process.stdout is not None
                assert process.stdout.readline().split()[:1] == ["1"]
                process.stdout.close()  # whoever reads has what it wanted: the next event ends it
                later.resumed()
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_following_skips_nothing_that_is_appended_between_waiting_and_reading(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wanted type comes while a page without any of it is being read."""
    monkeypatch.setattr(events_module, "PAGE_EVENTS", 3)
    history.suspended()
    original = history.log.read
    late = iter([history.resumed, history.suspended, history.resumed])

    def read_then_append(**arguments: Any) -> Any:  # noqa: ANN401  # passed through
        page = original(**arguments)
        append = next(late, None)
        if append is not None:
            append()
        return page

    monkeypatch.setattr(history.log, "read", read_then_append)
    following = read_on(history.log, after=0, stream=None, type_name="EnvironmentResumed")
    assert [next(following).position for _ in range(2)] == [2, 4]


@pytest.mark.parametrize("after", [0, 3, 7])
def test_following_goes_on_from_any_checkpoint(
    history: History, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(events_module, "PAGE_EVENTS", 2)
    for _ in range(8):
        history.suspended()
    following = read_on(history.log, after=after, stream=None, type_name=None)
    assert [next(following).position for _ in range(8 - after)] == list(range(after + 1, 9))
