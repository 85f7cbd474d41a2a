"""The watch over a Release that completed, by simulated gateways: what it finds, and what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from controller.decide.hold import decide_hold
from controller.deciding import append_decided
from controller.draining import Wanted
from controller.keeper import Keeper
from controller.notify import Notice
from controller.watch_window import LOOK_SECONDS, Watches, watch_out
from events.catalog import Event, Failure
from events.catalog.draining import TrafficDrained
from events.catalog.environment import DeployRequested, EnvironmentHeld, RollbackRequested
from events.catalog.watch import WatchBegun, WatchEnded, WatchFailed, WatchPassed
from events.manifest import Manifest
from projections.converge.work import Verdict
from projections.engine.simulated_world import Life
from tests.support.time import FakeClock
from tests.unit.controller.traffic_stage import TARGET, TrafficStage, shop
from tests.unit.projections.converge.hosts_scene import HostsScene
from tests.unit.projections.converge.scene import STREAM

EventT = TypeVar("EventT", bound=Event)
SECONDS = 30.0
NEW = shop("2", watch_seconds=SECONDS)


class ActingClock(FakeClock):
    """A clock at whose times something happens."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: dict[float, Callable[[], None]] = {}  # by monotonic seconds
        self.back = timedelta()  # that its wall time was set back by

    def now(self) -> datetime:
        return super().now() - self.back

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        for due in sorted(one for one in self.acts if one <= self.monotonic()):
            self.acts.pop(due)()


@pytest.fixture
def clock() -> ActingClock:
    return ActingClock()


@pytest.fixture
def stage(tmp_path: Path, clock: ActingClock) -> TrafficStage:
    made = TrafficStage(HostsScene(tmp_path, clock=clock))
    assert made.deploy(shop("1", watch_seconds=SECONDS)).status == "completed"
    return made


def watched(stage: TrafficStage, clock: ActingClock, act: Callable[[], None] | None = None) -> Verdict:
    """The new version, and its watch; `act` happens ten seconds into that."""
    verdict = stage.deploy(NEW)
    assert verdict.status == "completed"
    if act is not None:
        clock.acts[clock.monotonic() + 10] = act
    return stage.watch(verdict)


def newest(stage: TrafficStage, kind: type[EventT]) -> EventT:
    found = [event for event in stage.scene.events(STREAM) if isinstance(event, kind)]
    return found[-1]


def counts(stage: TrafficStage, *, requests: int, failed: int) -> None:
    """The gateway has counted so many more."""
    gateway = stage.scene.edges.world.gateway("edge")
    gateway.requests["web"] = gateway.requests.get("web", 0) + requests
    gateway.failed["web"] = gateway.failed.get("web", 0) + failed


def asked(stage: TrafficStage, manifest: Manifest) -> None:
    """Somebody asks for a Release, as decisions do."""
    stage.context.blobs.put(manifest.encode())
    request = DeployRequested(
        release="rel-9", digest=manifest.digest, version="c2", revision="c2", previous=None, trigger="person"
    )
    append_decided(stage.context, str(TARGET), lambda _: (request,), recorder=stage.scene.recorder())


def test_a_first_release_has_nothing_to_go_back_to_and_is_not_watched(stage: TrafficStage) -> None:
    assert "WatchBegun" not in stage.scene.types(STREAM)
    assert stage.state.watch is None


def test_what_bears_its_requests_passes_when_the_time_is_over(
    stage: TrafficStage, clock: ActingClock
) -> None:
    counts(stage, requests=900, failed=0)
    began = clock.monotonic()
    verdict = watched(stage, clock, lambda: counts(stage, requests=100, failed=5))
    begun, passed = newest(stage, WatchBegun), newest(stage, WatchPassed)
    assert verdict.status == "completed"
    assert (begun.services, passed.requests, passed.failed) == (("web",), 100, 5)
    assert SECONDS <= clock.monotonic() - began < SECONDS + 8
    assert stage.scene.types(STREAM)[-2:] == ["WatchBegun", "WatchPassed"]
    assert stage.watch(verdict) == verdict


def test_requests_that_fail_take_it_back_by_a_rollback_that_holds(
    stage: TrafficStage, clock: ActingClock
) -> None:
    good, began = stage.state.deployed, clock.monotonic()
    counts(stage, requests=900, failed=0)
    verdict = watched(stage, clock, lambda: counts(stage, requests=100, failed=6))
    found, asked, held = (
        newest(stage, WatchFailed),
        newest(stage, RollbackRequested),
        newest(stage, EnvironmentHeld),
    )
    assert (verdict.status, verdict.release) == ("rolled_back", found.release)
    assert (found.failure.code, found.failure.service) == ("requests-failed", "web")
    assert (found.requests, found.failed) == (100, 6)
    assert "6 of 100 requests to web failed with 5xx" in asked.reason
    assert (asked.target, asked.reverts) == (good, found.release)
    assert (held.clears, held.bad) == ("fixed", (NEW.digest,))
    assert held.target == asked.digest
    state = stage.state
    assert (state.deployed, state.releases[asked.release].kind) == (asked.release, "rollback")
    assert stage.scene.images("app1", "app2") == ["web:1", "web:1"]
    assert clock.monotonic() - began < 25, "it does not wait for the end of the watch"
    assert stage.state.watch is None, "a way back is not watched"


@pytest.mark.parametrize(
    ("before", "then"),
    [((900, 0), (19, 19)), ((900, 0), (100, 5)), ((1000, 200), (100, 24)), ((0, 0), (0, 0))],
)
def test_few_requests_and_what_was_so_before_say_nothing(
    stage: TrafficStage, clock: ActingClock, before: tuple[int, int], then: tuple[int, int]
) -> None:
    counts(stage, requests=before[0], failed=before[1])
    verdict = watched(stage, clock, lambda: counts(stage, requests=then[0], failed=then[1]))
    assert verdict.status == "completed"


def test_more_than_was_usual_is_too_much(stage: TrafficStage, clock: ActingClock) -> None:
    counts(stage, requests=1000, failed=200)
    verdict = watched(stage, clock, lambda: counts(stage, requests=100, failed=26))
    assert verdict.status == "rolled_back"
    assert "20.0% of them did before" in newest(stage, WatchFailed).failure.why


def test_a_gateway_that_counts_anew_is_counted_anew(stage: TrafficStage, clock: ActingClock) -> None:
    counts(stage, requests=1000, failed=0)

    def restarted() -> None:
        counts(stage, requests=-980, failed=2)

    verdict = watched(stage, clock, restarted)
    assert verdict.status == "rolled_back"
    assert (newest(stage, WatchFailed).requests, newest(stage, WatchFailed).failed) == (20, 2)


@pytest.mark.parametrize(
    ("life", "code"),
    [
        (Life(exits_after=12.0, exit_code=3, log=("out of ideas",)), "container-exited"),
        (Life(exits_after=12.0, exit_code=3, restarts=True), "container-restarting"),
        (Life(healthy_after=0.5, unhealthy_after=12.0), "container-unhealthy"),
    ],
)
def test_a_container_that_falls_over_takes_it_back(
    stage: TrafficStage, clock: ActingClock, life: Life, code: str
) -> None:
    stage.scene.bad("app2", life=life)
    verdict = watched(stage, clock)
    assert (verdict.status, newest(stage, WatchFailed).failure.code) == ("rolled_back", code)
    assert newest(stage, WatchFailed).failure.host == "app2"
    assert stage.scene.images("app1", "app2") == ["web:1", "web:1"]


def test_a_newer_request_ends_it_and_waits_for_nothing(stage: TrafficStage, clock: ActingClock) -> None:
    verdict = stage.deploy(NEW)
    began = clock.monotonic()
    newer = shop("1", watch_seconds=SECONDS / 2)
    clock.acts[began + 5] = lambda: asked(stage, newer)
    assert stage.watch(verdict) == verdict
    assert newest(stage, WatchEnded) == WatchEnded(release=verdict.release, reason="requested")
    assert clock.monotonic() - began < 5 + 2 * LOOK_SECONDS


def test_a_hold_or_a_drain_ends_it_and_what_fails_then_is_a_person_s(
    stage: TrafficStage, clock: ActingClock
) -> None:
    verdict = stage.deploy(NEW)

    def held() -> None:
        recorder = stage.scene.recorder()
        append_decided(
            stage.context, str(TARGET), lambda state: decide_hold(state, reason="stay"), recorder=recorder
        )
        counts(stage, requests=100, failed=100)

    clock.acts[clock.monotonic() + 5] = held
    assert stage.watch(verdict).status == "completed"
    assert newest(stage, WatchEnded).reason == "held"
    verdict = stage.deploy(shop("1", watch_seconds=SECONDS / 2))
    stage.drain(Wanted(name="app1"))
    assert newest(stage, WatchEnded) == WatchEnded(release=verdict.release, reason="drained")
    assert "RollbackRequested" not in stage.scene.types(STREAM)


def test_a_watch_goes_on_after_a_crash_with_what_the_log_knows(
    stage: TrafficStage, clock: ActingClock
) -> None:
    stage.deploy(NEW)
    stage.restart()
    watch = stage.state.watch
    assert watch is not None
    clock.advance(SECONDS - 5)
    began = clock.monotonic()
    stage.watch(Verdict(status="completed", release=watch.release))
    assert newest(stage, WatchPassed).release == watch.release
    assert 5 <= clock.monotonic() - began < 6


def test_what_is_down_after_a_crash_is_seen_though_the_time_is_over(
    stage: TrafficStage, clock: ActingClock
) -> None:
    stage.scene.bad("app1", life=Life(exits_after=SECONDS / 2, exit_code=4))
    verdict = stage.deploy(NEW)
    stage.restart()
    clock.advance(2 * SECONDS)
    assert stage.watch(verdict).status == "rolled_back"


def test_a_look_takes_it_back_before_it_mends_what_fell(stage: TrafficStage, clock: ActingClock) -> None:
    stage.scene.bad("app1", life=Life(exits_after=5.0, exit_code=4))
    release = stage.deploy(NEW).release
    clock.advance(10)
    outcome = stage.keep()
    assert newest(stage, WatchFailed).release == release
    assert (outcome.status, outcome.release) == ("completed", stage.state.deployed)
    assert stage.state.releases[outcome.release or ""].kind == "rollback"
    assert "DriftDetected" not in stage.scene.types(STREAM)


def test_a_watch_that_nobody_went_on_with_ends_with_the_next_look(
    stage: TrafficStage, clock: ActingClock
) -> None:
    release = stage.deploy(NEW).release
    stage.restart()
    stage.keep()
    assert stage.state.watch is not None
    clock.advance(2 * SECONDS)
    stage.keep()
    assert newest(stage, WatchPassed) == WatchPassed(release=release)
    assert stage.state.watch is None


def test_a_clock_that_is_set_back_does_not_prolong_it(stage: TrafficStage, clock: ActingClock) -> None:
    release = stage.deploy(NEW).release
    clock.back = timedelta(hours=1)
    began = clock.monotonic()
    stage.watch(Verdict(status="completed", release=release))
    assert clock.monotonic() - began <= SECONDS + 1


def test_who_is_silent_shows_nothing(stage: TrafficStage) -> None:
    verdict = stage.deploy(NEW)
    stage.scene.edges.world.gateway("edge").silent = True
    stage.scene.lose("app2")
    assert stage.watch(verdict).status == "completed"
    assert newest(stage, WatchPassed).requests == 0


def test_a_drained_service_answers_503_on_purpose_and_is_not_watched(stage: TrafficStage) -> None:
    stage.say(TrafficDrained(kind="service", name="web", mode="maintenance"))
    stage.deploy(NEW)
    assert stage.state.watch is None
    assert "WatchBegun" not in stage.scene.types(STREAM)


def test_a_service_that_is_drained_while_its_release_runs_is_let_be(
    stage: TrafficStage, clock: ActingClock
) -> None:
    release = stage.request(NEW)
    drained = TrafficDrained(kind="service", name="web", mode="draining")
    until = clock.now() + timedelta(seconds=SECONDS)
    stage.say(drained, WatchBegun(release=release, services=("web",), until=until))
    counts(stage, requests=900, failed=0)
    clock.acts[clock.monotonic() + 10] = lambda: counts(stage, requests=100, failed=100)
    asyncio.run(watch_out(stage.context, TARGET))
    assert newest(stage, WatchPassed).release == release


def test_the_daemon_watches_each_environment_once_and_wakes_it_then(
    stage: TrafficStage, clock: ActingClock
) -> None:
    woken: list[tuple[str, str]] = []
    failed: list[tuple[str, str, str]] = []
    release = stage.deploy(NEW).release
    counts(stage, requests=900, failed=0)
    clock.acts[clock.monotonic() + 5] = lambda: counts(stage, requests=100, failed=50)

    async def run() -> None:
        over = asyncio.Event()

        def wake(title: str, reason: str) -> None:
            woken.append((title, reason))
            over.set()

        def fails(title: str, back: str, failure: Failure) -> None:
            failed.append((title, back, failure.code))

        watches = Watches(context=stage.context, wake=wake, say=print, failed=fails)
        watches.see_to(TARGET)
        watches.see_to(TARGET)
        await over.wait()
        watches.see_to(TARGET)
        await watches.close()

    asyncio.run(run())
    assert woken == [(str(TARGET), "watch")]
    assert failed == [(str(TARGET), release, "requests-failed")]
    assert newest(stage, WatchFailed).release == release
    assert stage.state.active is not None, "the work on the environment brings the rollback to its end"
    assert stage.keep().status == "completed"
    assert stage.scene.images("app1", "app2") == ["web:1", "web:1"]


def test_the_daemon_goes_on_with_a_watch_that_another_process_began(
    stage: TrafficStage, clock: ActingClock
) -> None:
    stage.deploy(NEW)
    stage.restart()
    counts(stage, requests=900, failed=0)
    clock.acts[clock.monotonic() + 5] = lambda: counts(stage, requests=100, failed=50)

    told: list[Notice] = []

    async def run() -> None:
        over = asyncio.Event()

        def whisper(line: str) -> None:
            if line.endswith("considered: watch"):
                over.set()

        keeper = Keeper(context=stage.context, sources=(), say=print, whisper=whisper, tell=told.append)
        keeper.queues.wake(str(TARGET), "start")
        await asyncio.wait_for(over.wait(), 30)
        await keeper.queues.finished()
        await keeper.watches.close()
        await keeper.queues.cancel()

    asyncio.run(run())
    state = stage.state
    assert (state.watch, state.active) == (None, None)
    assert state.deployed is not None
    assert state.releases[state.deployed].kind == "rollback"
    assert stage.scene.images("app1", "app2") == ["web:1", "web:1"]
    (notice,) = told
    assert (notice.event, notice.release) == ("rolled_back", newest(stage, WatchFailed).release)
    assert "50 of 100 requests to web failed" in notice.message
