"""Which container a person's program runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from controller.running import Candidates, candidates
from controller.tailing import Wanted
from controller.targets import Target
from events.kernel.errors import OutsideError, UserError
from projections.engine.port import Container
from projections.engine.programs import RunningProgram, WindowSize
from tests.support.scripted_logs import ScriptedLogs, container


@dataclass(slots=True)
class Hosted(ScriptedLogs):
    """An engine in which nothing is run."""

    async def run_program(
        self, container_id: str, argv: Sequence[str], *, terminal: WindowSize | None = None
    ) -> RunningProgram:
        """Never asked: a container is chosen by what is listed."""
        raise AssertionError(f"choosing a container ran {argv} in {container_id} ({terminal})")


WANTED = Wanted(target=Target(project="shop", name="prod"), lineage="log-1", service="web")


def found(
    *hosts: Sequence[Container] | Hosted, index: int | None = None, known: frozenset[str] = frozenset()
) -> Candidates:
    sources = {
        f"app-{number}": one if isinstance(one, Hosted) else Hosted(list(one))
        for number, one in enumerate(hosts, start=1)
    }
    return asyncio.run(candidates(sources, WANTED, known=known, index=index))


def web(number: int = 1, **more: object) -> Container:
    return replace(container("web", number=number), **more)  # type: ignore[arg-type]  # names are literals below


def test_the_healthiest_container_is_chosen_and_of_those_the_newest() -> None:
    sick, old, new, young = (
        web(1, health="unhealthy", created=99),
        web(2, health="healthy", created=10),
        web(3, health="healthy", created=20),
        web(4, health="starting", created=30),
    )
    chosen = found([sick, old], [new, young])
    assert str(chosen.best) == "app-2 web.3 (web-3, healthy)"
    assert [one.source for one in chosen.others] == ["app-1 web.2", "app-2 web.4", "app-1 web.1"]


def test_only_running_containers_of_the_service_count() -> None:
    others = [web(1, state="exited"), web(2, state="paused"), container("db"), container("web", lineage="x")]
    assert found([*others, web(5)]).best.source == "app-1 web.5"
    with pytest.raises(UserError) as caught:
        found(others)
    assert caught.value.code == "service-not-running"


def test_a_number_means_one_replica_on_any_host() -> None:
    assert found([web(1)], [web(1), web(2)], index=2).best.source == "app-2 web.2"
    with pytest.raises(UserError, match="no container number 3 of the service 'web' runs"):
        found([web(1)], index=3)


def test_a_service_that_nobody_knows_is_called_so() -> None:
    with pytest.raises(UserError) as caught:
        found([container("db")], known=frozenset({"cache"}))
    assert caught.value.code == "service-not-in-environment"
    assert caught.value.why == "known services: cache, db"


def test_a_silent_host_is_told_when_another_has_the_service_and_is_the_error_when_none_has() -> None:
    chosen = found(Hosted(silent=True), [web()])
    assert (chosen.best.host, list(chosen.silent)) == ("app-2", ["app-1"])
    with pytest.raises(OutsideError) as caught:
        found(Hosted(silent=True), [container("db")], known=frozenset({"web"}))
    assert caught.value.code == "engine-unreachable"
