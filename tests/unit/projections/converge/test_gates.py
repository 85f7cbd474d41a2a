"""When a container counts as up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from events.catalog import Failure
from events.kernel.errors import OutsideError
from events.manifest import CommandProbe, Gate, HttpProbe, Probes, TcpProbe, Watch
from projections.converge.gates import MARGIN_SECONDS, SAMPLE_SECONDS, Watched, watch
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import Life
from tests.support.time import FakeClock

GATE = Gate(settle_seconds=2.0, deadline_seconds=30.0)
ALIVE = HttpProbe(port=8080, path="/alive", first_status=200, last_status=399)
ANSWERS = Life(listens_after={8080: 0.0}, pages={"/alive": (200, "yes")})


def asking(*, deadline_seconds: float = 30.0, watch: Watch | None = None, **probes: object) -> Gate:
    """A gate that asks for `/alive` unless it is told of other probes."""
    chosen = probes or {"http": ALIVE}
    return Gate(
        settle_seconds=2.0,
        deadline_seconds=deadline_seconds,
        probes=Probes.model_validate({"timeout_seconds": 1.0, **chosen}),
        watch=watch,
    )


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = SimulatedEngine(clock=self.clock)

    def add(self, name: str, life: Life, *, started: bool = True) -> str:
        return self.engine.add(name, image="web", life=life, started=started)

    def watch(
        self,
        *containers: str,
        gate: Gate = GATE,
        restarts: dict[str, int] | None = None,
        told: frozenset[str] = frozenset(),
    ) -> Failure | None:
        watched = Watched(
            host="local",
            service="web",
            containers=containers,
            gate=gate,
            restarts=restarts or {},
            told=told,
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


def test_what_passes_by_its_own_word_is_heard_soon(stage: Stage) -> None:
    late = [stage.add("a", Life(healthy_after=0.31)), stage.add("b", Life(healthy_after=0.31))]
    assert stage.watch(*late) is None
    assert 0.31 <= stage.clock.monotonic() <= 0.36
    assert stage.engine.count("inspect") <= 2 * (0.36 / 0.04 + 1)
    answering = Life(listens_after={8080: 0.05}, pages={"/alive": (200, "yes")})
    began = stage.clock.monotonic()
    assert stage.watch(stage.add("c", answering), gate=asking()) is None
    assert stage.clock.monotonic() - began <= 0.15


def test_who_takes_long_is_looked_at_seldom(stage: Stage) -> None:
    assert stage.watch(stage.add("web", Life(healthy_after=25.0))) is None
    assert stage.engine.count("inspect") <= 5.0 / 0.02 + 20.0 / SAMPLE_SECONDS + 2


def test_time_alone_is_looked_at_seldom(stage: Stage) -> None:
    assert stage.watch(stage.add("web", Life())) is None
    assert stage.engine.count("inspect") <= 2.0 / SAMPLE_SECONDS + 3


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


def test_a_health_check_that_never_ran_is_said_so_at_the_deadline(stage: Stage) -> None:
    failure = stage.watch(stage.add("web", Life(healthy_after=0.0, check_runs=False)))
    assert failure is not None
    assert failure.code == "container-not-healthy-in-time"
    assert failure.message == "the health check had not run once after 30 s"


def test_checks_that_fail_in_the_start_period_do_not_count(stage: Stage) -> None:
    life = Life(healthy_after=25.0, unhealthy_after=1000.0, health_output="not yet")
    assert stage.watch(stage.add("web", life)) is None
    assert stage.clock.monotonic() == pytest.approx(25.0, abs=0.2)


def test_one_that_ends_well_is_told_how_to_be_a_job(stage: Stage) -> None:
    failure = stage.watch(stage.add("web", Life(exits_after=0.5, exit_code=0)))
    assert failure is not None
    assert "`services.web.job: {}`" in failure.next
    other = stage.watch(stage.add("other", Life(exits_after=0.5, exit_code=1)))
    assert other is not None
    assert "job" not in other.next


def test_a_probe_that_passes_is_enough_and_is_not_late(stage: Stage) -> None:
    assert stage.watch(stage.add("web", ANSWERS), gate=asking()) is None
    assert stage.clock.monotonic() < 0.3


def test_a_probe_does_not_wait_for_the_health_check(stage: Stage) -> None:
    life = replace(ANSWERS, healthy_after=20.0)
    assert stage.watch(stage.add("web", life), gate=asking()) is None
    assert stage.clock.monotonic() < 0.3


def test_unhealthy_is_the_end_although_probes_decide(stage: Stage) -> None:
    life = Life(unhealthy_after=1.0, health_output="no database")
    failure = stage.watch(stage.add("web", life), gate=asking())
    assert failure is not None
    assert (failure.code, failure.health_output) == ("container-unhealthy", "no database")


def test_a_slow_start_is_waited_for_and_not_flooded(stage: Stage) -> None:
    life = replace(ANSWERS, listens_after={8080: 25.0})
    assert stage.watch(stage.add("web", life), gate=asking()) is None
    assert 25.0 <= stage.clock.monotonic() < 26.5
    assert stage.engine.count("probe") < 35


def test_a_probe_that_never_passes_fails_with_its_last_answer(stage: Stage) -> None:
    life = replace(ANSWERS, pages={"/alive": (503, "\nwaiting for the database\nfor ever")}, log=("up",))
    failure = stage.watch(stage.add("web", life), gate=asking(deadline_seconds=5.0))
    assert failure is not None
    assert failure.code == "container-not-healthy-in-time"
    assert failure.message == "the container had not passed its probes after 5 s"
    asked = "GET http://localhost:8080/alive answered 503 Service Unavailable"
    assert failure.why == f"{asked}: waiting for the database"
    assert failure.log_tail == ("up",)
    assert stage.clock.monotonic() == pytest.approx(5.0, abs=0.2)


def test_a_secret_in_an_answer_is_masked(stage: Stage) -> None:
    life = replace(ANSWERS, pages={"/alive": (500, "cannot open postgres://shop:hunter22@db/shop")})
    failure = stage.watch(stage.add("web", life), gate=asking(deadline_seconds=2.0))
    assert failure is not None
    assert "hunter22" not in failure.why
    assert "postgres://***@db/shop" in failure.why


def test_all_probes_have_to_pass(stage: Stage) -> None:
    ready, command = "ready --now", CommandProbe(command=("ready", "--now"))
    both = asking(http=ALIVE, tcp=TcpProbe(port=8080), command=command, deadline_seconds=3.0)
    good = replace(ANSWERS, programs={ready: (0, "")})
    assert stage.watch(stage.add("good", good), gate=both) is None
    failure = stage.watch(stage.add("bad", replace(ANSWERS, programs={ready: (2, "not yet")})), gate=both)
    assert failure is not None
    assert failure.why == "ready --now ended with exit code 2: not yet"


def test_one_that_hangs_keeps_no_other_from_being_seen_to_end(stage: Stage) -> None:
    hanging = stage.add("hanging", replace(ANSWERS, hangs=("/alive",)))
    ending = stage.add("ending", Life(exits_after=0.5, exit_code=3))
    gate = asking(deadline_seconds=20.0)
    failure = stage.watch(hanging, ending, gate=gate)
    assert failure is not None
    assert (failure.code, failure.exit_code) == ("container-exited", 3)


def test_a_container_that_was_told_has_to_stay_up_although_its_probes_pass(stage: Stage) -> None:
    one = stage.add("web", ANSWERS)
    assert stage.watch(one, gate=asking(), told=frozenset({one})) is None
    assert stage.clock.monotonic() == pytest.approx(2.0, abs=0.2)


def test_a_container_that_was_told_and_answers_no_more_has_not_passed(stage: Stage) -> None:
    one = stage.add("web", replace(ANSWERS, deaf_after=0.9))
    failure = stage.watch(one, gate=asking(tcp=TcpProbe(port=8080)), told=frozenset({one}))
    assert failure is not None
    assert failure.message == "the container had not passed its probes after 30 s"


def test_a_first_answer_that_is_still_out_at_the_deadline_is_said_so(stage: Stage) -> None:
    one = stage.add("web", replace(ANSWERS, hangs=("/alive",)))
    failure = stage.watch(one, gate=asking(http=ALIVE, timeout_seconds=60.0, deadline_seconds=3.0))
    assert failure is not None
    assert failure.why == "no probe was answered so far"


def test_an_engine_that_is_lost_while_it_is_asked_is_raised(stage: Stage) -> None:
    one = stage.add("web", ANSWERS)

    def lose(call: str, _argument: str) -> None:
        if call == "probe":
            stage.engine.world.reachable = False

    stage.engine.before = lose
    with pytest.raises(OutsideError, match="engine-unreachable"):
        stage.watch(one, gate=asking())


def test_exits_after_eight_seconds_is_caught_by_the_watch_and_by_nothing_else(stage: Stage) -> None:
    life = Life(exits_after=8.0, exit_code=1)
    assert stage.watch(stage.add("quiet", life)) is None
    watching = Gate(settle_seconds=2.0, deadline_seconds=30.0, watch=Watch(seconds=10.0))
    failure = stage.watch(stage.add("watched", life), gate=watching)
    assert failure is not None
    assert failure.code == "container-exited"


def test_the_watch_is_over_in_time(stage: Stage) -> None:
    watching = Gate(settle_seconds=2.0, deadline_seconds=30.0, watch=Watch(seconds=10.0))
    assert stage.watch(stage.add("web", Life()), gate=watching) is None
    assert stage.clock.monotonic() == pytest.approx(12.0, abs=0.2)


@pytest.mark.parametrize(
    ("life", "code"),
    [
        (Life(healthy_after=0.2, unhealthy_after=5.0), "container-unhealthy"),
        (Life(exits_after=5.0, restarts=True), "container-restarting"),
        (Life(exits_after=5.0, exit_code=137, oom_killed=True, restarts=True), "container-out-of-memory"),
    ],
)
def test_good_at_first_and_bad_in_the_watch_is_a_failure(stage: Stage, life: Life, code: str) -> None:
    watching = Gate(settle_seconds=2.0, deadline_seconds=30.0, watch=Watch(seconds=10.0))
    failure = stage.watch(stage.add("web", life), gate=watching)
    assert failure is not None
    assert failure.code == code


def test_probes_that_fail_three_times_in_a_row_in_the_watch_are_a_failure(stage: Stage) -> None:
    life = replace(ANSWERS, deaf_after=4.0)
    failure = stage.watch(stage.add("web", life), gate=asking(watch=Watch(seconds=30.0)))
    assert failure is not None
    assert failure.code == "probes-failed"
    assert failure.why == "GET http://localhost:8080/alive: no answer in 1 s"


def test_one_probe_that_fails_in_the_watch_is_forgiven(stage: Stage) -> None:
    one = stage.add("web", ANSWERS)

    def stumble(call: str, _argument: str) -> None:
        if call == "probe":
            bad = 4.0 <= stage.clock.monotonic() < 5.5
            page = (500, "again later") if bad else (200, "yes")
            stage.engine.world.containers[one].life = replace(ANSWERS, pages={"/alive": page})

    stage.engine.before = stumble
    assert stage.watch(one, gate=asking(watch=Watch(seconds=10.0))) is None


SILENT = Gate(
    settle_seconds=2.0, deadline_seconds=30.0, watch=Watch(seconds=10.0, silent_of=("panic:", "FATAL"))
)


@pytest.mark.parametrize("after", [2.2, 6.0, 11.95])
def test_a_line_that_must_not_be_there_is_a_failure_and_shown(stage: Stage, after: float) -> None:
    life = Life(log=("up",), says_after=((3.0, "all is well"), (after, "worker 3: panic: out of cheese")))
    failure = stage.watch(stage.add("web", life), gate=SILENT)
    assert failure is not None
    assert failure.code == "log-not-silent"
    assert failure.why == "worker 3: panic: out of cheese"


def test_what_it_said_before_it_was_up_or_says_later_does_not_count(stage: Stage) -> None:
    life = Life(log=("FATAL: no database yet",), says_after=((0.5, "panic: again"), (60.0, "panic: late")))
    assert stage.watch(stage.add("web", life), gate=SILENT) is None


def test_the_log_is_read_about_once_a_second(stage: Stage) -> None:
    assert stage.watch(stage.add("web", Life()), gate=SILENT) is None
    assert 9 <= stage.engine.count("logs") <= 12
