"""When a container counts as up."""

from __future__ import annotations

import asyncio

import pytest

from events.catalog import Failure
from events.manifest import Gate
from projections.converge.gates import MARGIN_SECONDS, SAMPLE_SECONDS, Watched, watch
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import Life
from tests.support.time import FakeClock

GATE = Gate(settle_seconds=2.0, deadline_seconds=30.0)


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = SimulatedEngine(clock=self.clock)

    def add(self, name: str, life: Life, *, started: bool = True) -> str:
        return self.engine.add(name, image="web", life=life, started=started)

    def watch(
        self, *containers: str, gate: Gate = GATE, restarts: dict[str, int] | None = None
    ) -> Failure | None:
        watched = Watched(
            host="local", service="web", containers=containers, gate=gate, restarts=restarts or {}
        )
        verdict = asyncio.run(watch(self.engine, [watched], clock=self.clock))
        assert verdict.passed is (verdict.failure is None)
        return verdict.failure


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_without_a_check_it_must_run_over_the_settle_time(stage: Stage) -> None:
    assert stage.watch(stage.add("web", Life())) is None
    assert stage.clock.monotonic() == pytest.approx(2.0)


def test_without_settle_time_it_is_still_seen_three_times(stage: Stage) -> None:
    gate = Gate(settle_seconds=0.0, deadline_seconds=30.0)
    assert stage.watch(stage.add("web", Life()), gate=gate) is None
    assert stage.engine.count("inspect") == 3


def test_with_a_check_it_passes_as_soon_as_it_is_healthy(stage: Stage) -> None:
    assert stage.watch(stage.add("web", Life(healthy_after=0.3))) is None
    assert stage.clock.monotonic() == pytest.approx(0.3)


def test_turning_healthy_after_five_seconds_is_in_time(stage: Stage) -> None:
    assert stage.watch(stage.add("web", Life(healthy_after=5.0))) is None


def test_unhealthy_is_the_end_with_the_checks_output(stage: Stage) -> None:
    life = Life(unhealthy_after=1.0, health_output="connection refused", log=("starting", "no database"))
    failure = stage.watch(stage.add("web", life))
    assert failure is not None
    assert (failure.code, failure.cause) == ("container-unhealthy", "repository")
    assert failure.health_output == "connection refused"
    assert failure.log_tail == ("starting", "no database")
    assert failure.exit_code is None


def test_never_healthy_ends_at_the_gates_deadline(stage: Stage) -> None:
    failure = stage.watch(stage.add("web", Life(healthy_after=1000.0)))
    assert failure is not None
    assert failure.code == "container-not-healthy-in-time"
    assert "starting after 30 s" in failure.message
    assert stage.clock.monotonic() == pytest.approx(30.0, abs=2 * SAMPLE_SECONDS)


def test_deadline_is_never_shorter_than_the_checks_own_budget(stage: Stage) -> None:
    life = Life(healthy_after=65.0, health_budget_seconds=60.0)
    assert stage.watch(stage.add("web", life)) is None
    late = stage.add("late", Life(healthy_after=500.0, health_budget_seconds=60.0))
    start = stage.clock.monotonic()
    assert stage.watch(late) is not None
    assert stage.clock.monotonic() - start == pytest.approx(60.0 + MARGIN_SECONDS, abs=0.3)


def test_deadline_leaves_room_for_a_long_settle_time(stage: Stage) -> None:
    gate = Gate(settle_seconds=60.0, deadline_seconds=30.0)
    assert stage.watch(stage.add("web", Life()), gate=gate) is None


@pytest.mark.parametrize("code", [0, 3])
def test_ended_is_the_end_whatever_the_code(stage: Stage, code: int) -> None:
    failure = stage.watch(stage.add("web", Life(exits_after=0.5, exit_code=code)))
    assert failure is not None
    assert (failure.code, failure.exit_code) == ("container-exited", code)
    assert stage.clock.monotonic() == pytest.approx(0.5)


def test_ended_after_the_settle_time_is_not_seen_but_while_others_are_waited_for_it_is(stage: Stage) -> None:
    quick = stage.add("quick", Life(exits_after=2.5, exit_code=1))
    slow = stage.add("slow", Life(healthy_after=10.0))
    failure = stage.watch(quick, slow)
    assert failure is not None
    assert failure.code == "container-exited"


def test_restarting_is_the_end(stage: Stage) -> None:
    failure = stage.watch(stage.add("web", Life(exits_after=0.2, exit_code=5, restarts=True)))
    assert failure is not None
    assert (failure.code, failure.exit_code) == ("container-restarting", 5)


def test_a_grown_restart_count_is_the_end_although_it_runs(stage: Stage) -> None:
    one = stage.add("web", Life(exits_after=0.0, restarts=True))
    stage.engine.world.show_restarting_as_running = True
    failure = stage.watch(one, restarts={one: 0})
    assert failure is not None
    assert failure.code == "container-restarting"


def test_restarts_from_before_are_excused(stage: Stage) -> None:
    one = stage.add("web", Life(exits_after=0.0, restarts=True))
    stage.engine.world.show_restarting_as_running = True
    assert stage.watch(one, gate=Gate(settle_seconds=0.0, deadline_seconds=9.0), restarts={one: 5}) is None


def test_out_of_memory_is_named(stage: Stage) -> None:
    failure = stage.watch(stage.add("web", Life(exits_after=0.5, exit_code=137, oom_killed=True)))
    assert failure is not None
    assert (failure.code, failure.exit_code) == ("container-out-of-memory", 137)


def test_engine_that_could_not_start_it_is_quoted(stage: Stage) -> None:
    one = stage.add("web", Life(start_error="OCI runtime create failed: no such file"), started=False)
    failure = stage.watch(one)
    assert failure is not None
    assert (failure.code, failure.why) == ("container-not-started", "OCI runtime create failed: no such file")


def test_created_and_never_started_ends_at_the_deadline(stage: Stage) -> None:
    failure = stage.watch(stage.add("web", Life(), started=False))
    assert failure is not None
    assert "still created after 30 s" in failure.message


def test_paused_does_not_count_as_running(stage: Stage) -> None:
    one = stage.add("web", Life())
    stage.engine.world.named("web").stopped = "paused"

    def go_on(call: str, _argument: str) -> None:
        if call == "inspect" and stage.clock.monotonic() >= 5.0:
            stage.engine.world.named("web").stopped = None

    stage.engine.before = go_on
    assert stage.watch(one) is None
    assert stage.clock.monotonic() == pytest.approx(7.0, abs=0.2)


def test_a_pause_begins_the_settle_time_anew(stage: Stage) -> None:
    one = stage.add("web", Life())

    def pause(call: str, _argument: str) -> None:
        paused = 1.0 <= stage.clock.monotonic() < 1.5
        if call == "inspect":
            stage.engine.world.named("web").stopped = "paused" if paused else None

    stage.engine.before = pause
    assert stage.watch(one) is None
    assert stage.clock.monotonic() == pytest.approx(3.5, abs=0.2)


def test_removed_meanwhile_is_the_end(stage: Stage) -> None:
    failure = stage.watch("no-such-id")
    assert failure is not None
    assert (failure.code, failure.log_tail) == ("container-gone", ())


def test_all_containers_must_pass_and_the_failed_one_is_named(stage: Stage) -> None:
    good = stage.add("good", Life(healthy_after=0.1))
    bad = stage.add("bad", Life(exits_after=1.0, log=("bad",)))
    failure = stage.watch(good, bad)
    assert failure is not None
    assert failure.log_tail == ("bad",)


def test_only_the_last_twenty_lines_are_kept(stage: Stage) -> None:
    life = Life(exits_after=0.0, log=tuple(f"line {n}" for n in range(50)))
    failure = stage.watch(stage.add("web", life))
    assert failure is not None
    assert failure.log_tail == tuple(f"line {n}" for n in range(30, 50))


def test_nothing_to_watch_passes(stage: Stage) -> None:
    assert stage.watch() is None
