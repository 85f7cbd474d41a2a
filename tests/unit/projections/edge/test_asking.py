"""Requests while traffic moves: a real server loses some in a known way, and the counts say just that."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from events.kernel.errors import OutsideError
from events.routes import Gateway, RequestProbe, Route, Routing, Traffic
from projections.converge.site import Site
from projections.edge.asking import Prober
from projections.edge.series import Asked
from projections.engine.port import PublishedPort
from projections.transport.local_dial import LocalConnection
from projections.transport.port import HOST_UNREACHABLE
from tests.support.transports import ElsewhereTransport
from tests.unit.projections.converge.scene import ENVIRONMENT, HOST, PROJECT, Scene, identity_labels
from tests.unit.projections.edge.dropping import Dropping, Treatment, dropping

RATE = 50
WEB = frozenset({"web"})
NOTICED_MS = 400  # at most between an answer and its count, on a machine that is busy
ENDS_SECONDS = 20.0  # of a test that waits for something to happen


def routing(*, protocol: str = "http", probed: bool = True, path: str = "/alive") -> Routing:
    route = Route.model_validate(
        {"host": "shop.localhost", "service": "web", "port": 8080, "protocol": protocol}
    )
    probe = RequestProbe(path=path, rate=RATE) if probed else None
    return Routing(
        gateway=Gateway(service="gateway", admin_port=8099, entry_points={"web": 80}),
        routes=(route,),
        traffic={"web": Traffic(probe=probe)},
    )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def gateway_at(scene: Scene, port: int, name: str = "gateway-1") -> None:
    """A gateway runs whose entry point the engine published so."""
    scene.engine.add(name, image="traefik", found=identity_labels(PROJECT, ENVIRONMENT, "gateway"))
    opened = PublishedPort(address="127.0.0.1", port=port, protocol="tcp", target=80)
    scene.engine.world.named(name).ports = (opened,)


def sites(scene: Scene) -> Mapping[str, Site]:
    return {HOST: scene.site}


async def until_asked(server: Dropping, number: int) -> None:
    await until(lambda: len(server.heads) >= number)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENDS_SECONDS):
        while not happened():  # noqa: ASYNC110  # what happens is no event of ours
            await asyncio.sleep(0.005)


def asked_of(
    scene: Scene, treat: dict[int, Treatment], *, most: int, answer_seconds: float = 2.0
) -> tuple[Asked, Dropping]:
    """Ask until so many requests have come, of which those in `treat` are not answered well."""

    async def run() -> tuple[Asked, Dropping]:
        async with dropping(lambda number: treat.get(number, "answer")) as server:
            gateway_at(scene, server.port)
            prober = Prober(answer_seconds=answer_seconds)
            await prober.start(sites(scene), routing())
            await until_asked(server, most)
            await prober.stop()
            return prober.asked(WEB), server

    return asyncio.run(run())


def test_each_request_counts_and_none_was_lost(scene: Scene) -> None:
    asked, server = asked_of(scene, {}, most=15)
    assert asked.requests == len(server.heads) == len(server.answers)
    assert asked.failed == 0
    assert all(head.startswith(b"GET /alive ") for head in server.heads)
    assert asked.longest_gap_ms == pytest.approx(server.longest_gap * 1000, abs=NOTICED_MS)


def test_lost_ones_are_counted_and_the_gap_is_theirs(scene: Scene) -> None:
    bad: tuple[Treatment, ...] = ("reset", "fail", "halve", "miss")
    lost: dict[int, Treatment] = {number: bad[number % 4] for number in (2, *range(5, 37), 39)}
    asked, server = asked_of(scene, lost, most=42)
    assert asked.requests == len(server.heads)
    assert asked.failed == len(lost)
    gap = server.longest_gap
    assert gap > 32 / RATE, "the one around those that were lost in a row"
    assert asked.longest_gap_ms == pytest.approx(gap * 1000, abs=NOTICED_MS)


def test_one_that_hangs_keeps_no_other_from_being_asked(scene: Scene) -> None:
    asked, server = asked_of(scene, {3: "hush", 4: "hush"}, most=25, answer_seconds=1.0)
    assert asked.requests == len(server.heads)
    assert asked.failed == 2
    assert asked.longest_gap_ms < 800, "others were answered meanwhile"


def test_a_server_that_is_gone_fails_each_request_until_the_end(scene: Scene) -> None:
    async def run() -> tuple[Asked, int]:
        prober = Prober()
        async with dropping(lambda _: "answer") as server:
            gateway_at(scene, server.port)
            await prober.start(sites(scene), routing())
            await until_asked(server, 3)
        await asyncio.sleep(0.3)
        await prober.stop()
        return prober.asked(WEB), len(server.answers)

    asked, answered = asyncio.run(run())
    assert asked.failed == asked.requests - answered >= 10
    assert asked.longest_gap_ms >= 250


def test_a_gateway_that_listens_elsewhere_by_now_is_found_there(scene: Scene) -> None:
    async def run() -> Asked:
        prober = Prober()
        async with dropping(lambda _: "answer") as second:
            async with dropping(lambda _: "answer") as first:
                gateway_at(scene, first.port)
                await prober.start(sites(scene), routing())
                await until_asked(first, 3)
                moved = PublishedPort(address="127.0.0.1", port=second.port, protocol="tcp", target=80)
                scene.engine.world.named("gateway-1").ports = (moved,)
            await until_asked(second, 3)
            await prober.stop()
        return prober.asked(WEB)

    asked = asyncio.run(run())
    assert asked.requests > asked.failed >= 1


def test_it_is_sent_so_often_whatever_the_answers_take(scene: Scene) -> None:
    async def run() -> tuple[int, float]:
        async with dropping(lambda _: "hush") as server:
            gateway_at(scene, server.port)
            prober = Prober(answer_seconds=0.5)
            began = asyncio.get_running_loop().time()
            await prober.start(sites(scene), routing())
            await until_asked(server, 25)
            took = asyncio.get_running_loop().time() - began
            await prober.stop()
            return prober.asked(WEB).failed, took

    failed, took = asyncio.run(run())
    assert failed >= 25
    assert 24 / RATE <= took < 6.0, "one after the other they would take 12.5 s"


@pytest.mark.parametrize("probed", [False, True])
def test_where_no_probe_is_wanted_or_nobody_takes_connections_nothing_is_counted(
    scene: Scene, *, probed: bool
) -> None:
    async def run() -> Asked:
        prober = Prober()
        await prober.start(sites(scene), routing(probed=probed))
        await prober.stop()
        await prober.stop()
        return prober.asked(WEB)

    assert asyncio.run(run()) == Asked()
    said = ["hello/prod local web: no probe: the gateway's entry point `web` is open nowhere on the host"]
    assert scene.told == (said if probed else [])


def test_what_hinders_it_is_said(scene: Scene) -> None:
    async def run(known: Routing) -> None:
        async with dropping(lambda _: "answer") as server:
            gateway_at(scene, server.port)
        prober = Prober()
        await prober.start(sites(scene), known)
        await prober.stop()

    asyncio.run(run(routing()))
    assert scene.told[-1].startswith(
        "hello/prod local web: no probe: the gateway's entry point `web` takes no connections at 127.0.0.1:"
    )
    asyncio.run(run(routing(protocol="tcp")))
    assert scene.told[-1].endswith("no probe: its routes pass bytes on and speak no HTTP")
    asyncio.run(run(routing(path="/a b")))
    assert "no probe: no request can say GET http://shop.localhost/a b" in scene.told[-1]
    scene.engine.world.reachable = False
    asyncio.run(run(routing()))
    assert "no probe: " in scene.told[-1]


def test_what_is_asked_is_said_once(scene: Scene) -> None:
    asked_of(scene, {1: "reset", 2: "reset"}, most=4)
    assert scene.told == [f"hello/prod local web: GET http://shop.localhost/alive, {RATE} times a second"]


def test_only_services_that_are_asked_for_are_in_the_sum(scene: Scene) -> None:
    async def run() -> tuple[Asked, Asked]:
        async with dropping(lambda _: "answer") as server:
            gateway_at(scene, server.port)
            prober = Prober()
            await prober.start(sites(scene), routing())
            await until_asked(server, 2)
            await prober.stop()
            return prober.asked(frozenset()), prober.asked({"web", "other"})

    none, some = asyncio.run(run())
    assert none == Asked()
    assert some.requests >= 2


def test_it_ends_by_itself_when_nobody_ends_it(scene: Scene) -> None:
    async def run() -> tuple[int, int]:
        async with dropping(lambda _: "answer") as server:
            gateway_at(scene, server.port)
            prober = Prober(longest_seconds=0.2)
            await prober.start(sites(scene), routing())
            await asyncio.sleep(0.4)
            then = len(server.heads)
            await asyncio.sleep(0.1)
            return then, len(server.heads)

    then, later = asyncio.run(run())
    assert 1 <= then == later


class _Lost(ElsewhereTransport):
    """A host that is reached three times, and then no more for this reason."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(HOST)
        self.reason, self.dialled = reason, 0

    @override
    async def dial(self, address: str, port: int, *, seconds: float) -> LocalConnection:
        self.dialled += 1
        if self.dialled > 3:
            raise self.reason
        return await super().dial(address, port, seconds=seconds)


@pytest.mark.parametrize(
    "reason",
    [
        OutsideError(HOST_UNREACHABLE, "the host does not answer"),
        OSError(errno.EMFILE, "this process has too many files open"),
    ],
    ids=["lost", "busy"],
)
def test_what_could_not_be_asked_for_no_fault_of_the_gateway_is_not_counted(
    scene: Scene, reason: Exception
) -> None:
    async def run() -> tuple[Asked, int]:
        async with dropping(lambda _: "answer") as server:
            gateway_at(scene, server.port)
            transport = _Lost(reason)
            prober = Prober()
            await prober.start({HOST: replace(scene.site, transport=transport)}, routing())
            await until(lambda: transport.dialled >= 10)
            await prober.stop()
            return prober.asked(WEB), len(server.answers)

    asked, answered = asyncio.run(run())
    assert (asked.requests, asked.failed) == (answered, 0) == (2, 0)
