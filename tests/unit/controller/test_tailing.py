"""Which lines of which containers are shown, of several hosts, on stand-ins for their engines' logs."""

from __future__ import annotations

import asyncio
import re

import pytest

from controller import tailing
from controller.marks import Marks
from controller.tailing import Found, Wanted, choose, read
from controller.targets import Target
from events.kernel.errors import OutsideError, UserError
from tests.support.scripted_logs import NOON, ScriptedLogs, container

WANTED = Wanted(target=Target(project="shop", name="prod"), lineage="log-1")


def wanted(**more: object) -> Wanted:
    return Wanted(target=WANTED.target, lineage="log-1", **more)  # type: ignore[arg-type]  # names are literals below


def found_in(wish: Wanted, *sources: ScriptedLogs, known: frozenset[str] = frozenset()) -> Found:
    named = {f"app-{number}": one for number, one in enumerate(sources, start=1)}
    return asyncio.run(choose(named, wish, known=known))


def chosen(wish: Wanted, source: ScriptedLogs, *, known: frozenset[str] = frozenset()) -> list[str]:
    return [one.service or "" for one in found_in(wish, source, known=known).containers["app-1"]]


def shown(
    wish: Wanted, *sources: ScriptedLogs, marks: Marks | None = None, told: list[str] | None = None
) -> list[str]:
    """What reading shows, each line behind its source."""

    def tell(host: str, error: OutsideError) -> None:
        if told is not None:
            told.append(f"{host}: {error.code}")

    async def collected() -> list[str]:
        named = {f"app-{number}": one for number, one in enumerate(sources, start=1)}
        found = await choose(named, wish, known=())
        return [
            f"{one.source} | {one.text}" async for one in read(named, wish, found, tell=tell, marks=marks)
        ]

    return asyncio.run(collected())


def test_only_running_containers_of_the_environment_and_the_log_count() -> None:
    source = ScriptedLogs(
        [
            container("web"),
            container("job", "exited"),
            container("loop", "restarting"),
            container("other", environment="dev"),
            container("foreign", lineage="log-2"),
        ]
    )
    assert chosen(WANTED, source) == ["web", "loop"]
    assert chosen(wanted(ended=True), source) == ["web", "job", "loop"]
    assert chosen(wanted(service="web"), source) == ["web"]


def test_an_unknown_service_is_an_error_that_lists_the_known() -> None:
    source = ScriptedLogs([container("web"), container("job", "exited")])
    with pytest.raises(UserError) as caught:
        chosen(wanted(service="wbe"), source, known=frozenset({"db"}))
    assert caught.value.code == "service-not-in-environment"
    assert caught.value.why == "known services: db, job, web"
    assert chosen(wanted(service="db"), source, known=frozenset({"db"})) == []


def test_a_host_that_does_not_answer_is_named_and_the_others_are_found() -> None:
    found = found_in(WANTED, ScriptedLogs([container("web")]), ScriptedLogs(silent=True))
    assert found.count == 1
    assert {host: error.code for host, error in found.silent.items()} == {"app-2": "engine-unreachable"}


def test_a_host_that_hangs_is_silent_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "ANSWER_SECONDS", 0.05)
    found = found_in(WANTED, ScriptedLogs(hangs=True), ScriptedLogs([container("web")]))
    assert found.silent["app-1"].why == "it said nothing for 0.05 s"


def test_when_no_host_answers_that_is_the_error() -> None:
    with pytest.raises(OutsideError) as caught:
        found_in(WANTED, ScriptedLogs(silent=True), ScriptedLogs(silent=True))
    assert caught.value.code == "engine-unreachable"


def test_lines_of_all_hosts_and_replicas_come_in_the_order_of_their_times() -> None:
    one, other = ScriptedLogs(), ScriptedLogs()
    one.run(container("web"), "a", "c", "e", at=1)
    one.run(container("web", number=2), "f", at=4)
    other.run(container("web"), "b", "d", at=1.5)
    assert shown(WANTED, one, other) == [
        "app-1 web.1 | a",
        "app-2 web.1 | b",
        "app-1 web.1 | c",
        "app-2 web.1 | d",
        "app-1 web.1 | e",
        "app-1 web.2 | f",
    ]


def test_tail_counts_for_each_container_and_before_the_pattern() -> None:
    source = ScriptedLogs()
    source.run(container("web"), "GET /a", "GET /b", "POST /c", at=1)
    source.run(container("db"), "GET up", at=9)
    assert shown(wanted(tail=2), source) == [
        "app-1 web.1 | GET /b",
        "app-1 web.1 | POST /c",
        "app-1 db.1 | GET up",
    ]
    assert shown(wanted(tail=2, matches=re.compile("^GET /")), source) == ["app-1 web.1 | GET /b"]


def test_a_span_of_time_ends_where_it_is_said_to_and_tail_counts_from_there() -> None:
    source = ScriptedLogs()
    source.run(container("web"), *"abcdef", at=0)
    span = wanted(since=NOON + 1.0, until=NOON + 4.0)
    assert [line[-1] for line in shown(span, source)] == ["b", "c", "d", "e"]
    assert [line[-1] for line in shown(wanted(until=NOON + 4.0, tail=2), source)] == ["d", "e"]
    assert shown(wanted(until=NOON + 4.0, tail=0), source) == []


def test_a_log_that_the_engine_does_not_show_keeps_nobody_back() -> None:
    one, other = ScriptedLogs(refuses={"web-1"}), ScriptedLogs()
    one.run(container("web"), "never")
    one.run(container("db"), "up")
    other.run(container("web"), "here", at=1)
    told: list[str] = []
    assert shown(WANTED, one, other, told=told) == ["app-1 db.1 | up", "app-2 web.1 | here"]
    assert told == ["app-1: engine-refused"]


def test_what_was_read_is_marked_whether_or_not_it_was_shown() -> None:
    source = ScriptedLogs()
    source.run(container("web"), "a", "b", at=0)
    marks = Marks()
    assert shown(wanted(matches=re.compile("a")), source, marks=marks) == ["app-1 web.1 | a"]
    assert marks.of("web-1").since == NOON
