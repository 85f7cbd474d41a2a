"""What a Release proves: its own events, and what was asked by the run that ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import pytest

from events.catalog import Event
from events.catalog.release import ReleaseCompleted, TrafficProof
from events.catalog.traffic import ConnectionsDrained, TrafficSwitched
from events.envelope import CONTROLLER
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.routes import Gateway, Routing
from events.routes import Traffic as Limits
from events.streams import release_stream
from projections.converge.release import ReleaseRun
from projections.converge.site import Site
from projections.converge.traffic_record import Traffic, traffic_record_of
from projections.converge.work import ReleaseWork, Verdict
from projections.edge.series import Asked
from tests.support.time import CountingIds, FakeClock
from tests.unit.projections.converge.scene import STREAM, Scene
from tests.unit.projections.converge.traffic_scene import routed, web

RELEASE = "rel-1"
ROUTING = Routing(gateway=Gateway(service="gateway", admin_port=8099, entry_points={}), routes=())


@dataclass
class SimulatedAsking:
    """Counts 10 requests for each service once it is begun, of which one failed."""

    calls: list[str] = field(default_factory=list[str])

    async def start(self, sites: Mapping[str, Site], routing: Routing) -> None:
        del sites, routing
        self.calls.append("start")

    async def stop(self) -> None:
        self.calls.append("stop")

    def asked(self, services: Collection[str]) -> Asked:
        ever = "start" in self.calls
        return (
            Asked(requests=10 * len(services), failed=len(services), longest_gap_ms=31) if ever else Asked()
        )


def switched(service: str, old: str = "a") -> TrafficSwitched:
    return TrafficSwitched(
        host="local",
        service=service,
        gateways=("local",),
        old_ids=(old * 64,) if old else (),
        new_ids=("b" * 64,),
        milliseconds=140,
    )


def drained(service: str, milliseconds: int, cut: int = 0) -> ConnectionsDrained:
    return ConnectionsDrained(
        host="local", service=service, containers=("a" * 64,), milliseconds=milliseconds, cut=cut
    )


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog()


def recorded(log: MemoryEventLog, *events: Event) -> None:
    recorder = Recorder(log=log, ids=CountingIds(), clock=FakeClock(), actor=CONTROLLER)
    recorder.append(release_stream(RELEASE), *events)


def traffic(log: MemoryEventLog, asking: SimulatedAsking | None = None) -> Traffic:
    """Of a run that begins now."""
    return Traffic(record=traffic_record_of(log, RELEASE), asking=asking)


def test_a_release_that_switched_nothing_proves_nothing(log: MemoryEventLog) -> None:
    recorded(log, switched("web", old=""))  # the first containers ever
    run = traffic(log, SimulatedAsking())
    asyncio.run(run.begin({}, ROUTING))
    assert run.proof() is None


def test_without_a_probe_it_tells_what_it_did(log: MemoryEventLog) -> None:
    recorded(log, switched("web"), drained("web", 920, cut=2))
    assert traffic(log).proof() == TrafficProof(requests=0, failed=0, longest_gap_ms=0, drain_ms=920, cut=2)


def test_the_longest_drain_all_cuts_and_the_requests_for_what_was_switched(log: MemoryEventLog) -> None:
    run = traffic(log, SimulatedAsking())
    asyncio.run(run.begin({}, ROUTING))
    for event in (switched("web"), drained("web", 920, cut=2), switched("api"), drained("api", 12, cut=1)):
        run.record.take(event)
    assert run.proof() == TrafficProof(requests=20, failed=2, longest_gap_ms=31, drain_ms=920, cut=3)


def test_a_run_that_takes_a_release_up_again_tells_the_drains_of_the_log_and_its_own_requests(
    log: MemoryEventLog,
) -> None:
    recorded(log, switched("web"), drained("web", 5000, cut=1), switched("api"))
    asking = SimulatedAsking()
    run = traffic(log, asking)
    assert run.proof() == TrafficProof(requests=0, failed=0, longest_gap_ms=0, drain_ms=5000, cut=1)
    asyncio.run(run.begin({}, ROUTING))
    run.record.take(drained("api", 40, cut=2))
    asyncio.run(run.end())
    assert run.proof() == TrafficProof(requests=20, failed=2, longest_gap_ms=31, drain_ms=5000, cut=3)
    assert asking.calls == ["start", "stop"]


FIRST, SECOND = routed(web=web()), routed(web=web("2"), traffic={"web": Limits(drain_seconds=30.0)})


class _Killed(BaseException):
    """The process is gone."""


def ended(scene: Scene, work: ReleaseWork, asking: SimulatedAsking) -> Verdict:
    run = ReleaseRun(
        equipment=replace(scene.equipment, asking=lambda: asking), work=work, recorder=scene.recorder()
    )
    return asyncio.run(run.run())


def deployed(scene: Scene) -> str:
    """The first version runs; the id of its web."""
    scene.have("gate:1")
    assert ended(scene, scene.work(FIRST), SimulatedAsking()).traffic is None
    (event,) = (one for one in scene.events(STREAM) if isinstance(one, ReleaseCompleted))
    assert event.traffic is None, "nobody was asked before"
    return scene.engine.world.ids("web")[0]


def test_the_verdict_and_its_event_have_the_proof_and_whoever_watches_reads_it(scene: Scene) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [2]
    verdict = ended(scene, scene.work(SECOND, FIRST), SimulatedAsking())
    proof = verdict.traffic
    assert proof is not None
    assert (proof.requests, proof.failed, proof.longest_gap_ms, proof.cut) == (10, 1, 31, 2)
    assert 30_000 <= proof.drain_ms < 31_000
    completed = scene.events(STREAM)[-1]
    assert isinstance(completed, ReleaseCompleted)
    assert completed.traffic == proof
    assert scene.told[-1] == (
        "hello/prod: 10 requests during the switch, 1 failed, longest gap 31 ms, "
        f"drained in {proof.drain_ms / 1000:.1f} s, 2 connections cut"
    )


def test_a_release_that_was_killed_after_its_drain_ends_with_the_drain_that_was_recorded(
    scene: Scene,
) -> None:
    old = deployed(scene)
    scene.edges.world.connections[old] = [2]
    work, first = scene.work(SECOND, FIRST), SimulatedAsking()

    def die(call: str, argument: str) -> None:
        if (call, argument) == ("stop", old):
            raise _Killed

    scene.engine.before = die
    with pytest.raises(_Killed):
        ended(scene, work, first)
    assert first.calls == ["start", "stop"]
    scene.engine.before = None
    second = SimulatedAsking()
    verdict = ended(scene, scene.work(SECOND, FIRST, release=work.release, started=True), second)
    assert verdict.traffic is not None
    assert 30_000 <= verdict.traffic.drain_ms < 31_000
    assert verdict.traffic.cut == 2
    assert verdict.traffic.requests == (10 if "start" in second.calls else 0), "its own and no others"
