"""What happens to a controller in random months: kills, take-overs, engines that fail, clocks that jump."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from hypothesis.stateful import precondition, rule
from hypothesis.strategies import booleans, integers, sampled_from

from controller.breaking import break_lock
from controller.decide.rollback import RollbackTarget, decide_rollback, find_target
from controller.deciding import append_decided
from controller.look import Outcome
from events.kernel.errors import OutsideError, StagecraftError, UserError
from projections.engine.errors import COMPOSE_FAILED, engine_refused, engine_unreachable
from tests.crash.hanging import hanging_holder
from tests.crash.ledger import Contents
from tests.crash.months import VARIANTS
from tests.crash.months_of_a_team import Team
from tests.crash.stage import PERSON, PROD
from tests.unit.projections.converge.scene import COMPOSE_PROJECT, identity_labels

MOMENTS = integers(0, 90)  # a deploy with a job has some 70
FOREIGN: dict[str, Callable[[], dict[str, str]]] = {
    "somebody-s-redis": dict,
    "hello-test-web-1": lambda: identity_labels("hello", "test", "web"),
    "hello-prod-tool-1": lambda: {"com.docker.compose.project": COMPOSE_PROJECT},
    # These three stand in our way.
    "hello-prod-web-1": dict,
    "hello-prod-db-9": lambda: identity_labels("hello", "prod", "db", log="another-log"),
    "hello-prod-web-7": lambda: {
        "com.docker.compose.project": COMPOSE_PROJECT,
        "com.docker.compose.service": "web",
    },
}
FAULTS: dict[str, Callable[[], StagecraftError]] = {
    "refused": lambda: engine_refused("do it", "no space left on device"),
    "unreachable": lambda: engine_unreachable("simulated", "connection reset"),
    "compose-failed": lambda: OutsideError(COMPOSE_FAILED, "Compose could not bring it up", why="i/o error"),
}


class Months(Team):
    """A team over time, and what happens to it."""

    @rule(wait=sampled_from([False] * 9 + [True]))
    def break_the_lock_of_a_controller_that_hangs(self, *, wait: bool) -> None:
        stage = self.stage
        with hanging_holder(stage.context.home.run, str(PROD)):
            if wait:
                before = stage.log.head()
                outcome = stage.run(stage.look)
                refused = not isinstance(outcome, Outcome) or outcome.failure is not None
                assert refused, "a look does without the lock"
                streams = {event.stream.partition("/")[0] for event in stage.log.read(after=before)}
                assert streams <= {"repository"}, "somebody else holds the lock"
            broken = break_lock(stage.context, PROD, reason="it hangs", actor=PERSON)
            assert broken.pid
        self.looked()

    @rule(contents=VARIANTS, moments=MOMENTS)
    def a_controller_is_killed_over_a_push(self, contents: Contents, moments: int) -> None:
        self.stage.fate.left = moments
        self.push(contents)

    @precondition(lambda self: self.can_roll_back)
    @rule(moments=MOMENTS)
    def a_controller_is_killed_over_a_rollback(self, moments: int) -> None:
        self.stage.fate.left = moments
        self.roll_back()

    @rule(first=VARIANTS, second=VARIANTS, looks=integers(0, 12), moments=MOMENTS, killed=booleans())
    def a_push_comes_while_another_one_is_worked_on(
        self, first: Contents, second: Contents, looks: int, moments: int, *, killed: bool
    ) -> None:
        stage = self.stage

        def pushed() -> None:
            stage.push(second)
            stage.seen_beside()

        stage.push(first)
        stage.plan_beside(looks, pushed)
        stage.fate.left = moments if killed else None
        self.looked()
        self.looked()

    @precondition(lambda self: self.can_roll_back)
    @rule(first=VARIANTS, looks=integers(0, 12), moments=MOMENTS, killed=booleans())
    def a_person_rolls_back_while_a_push_is_worked_on(
        self, first: Contents, looks: int, moments: int, *, killed: bool
    ) -> None:
        stage = self.stage
        stage.push(first)
        stage.plan_beside(looks, self.ask_back)
        stage.fate.left = moments if killed else None
        self.looked()
        self.looked()

    def ask_back(self) -> None:
        """As `rollback` does beside another process, which works on it then."""
        context, to = self.stage.context, RollbackTarget(to_previous=True)
        release = context.release_id(PROD.project, PROD.name)
        with suppress(UserError):
            wanted = find_target(context.environment(PROD.project, PROD.name), to).id
            append_decided(
                context,
                str(PROD),
                lambda state: decide_rollback(state, state.releases[wanted], release_id=release, reason=""),
                recorder=context.recorder(PERSON),
            )

    @rule(which=integers(0, 3), moments=integers(0, 30))
    def a_controller_is_killed_over_healing(self, which: int, moments: int) -> None:
        self.stage.fate.left = moments
        self.somebody_takes_a_container_of_ours(which, stopped=False)

    @rule(moments=MOMENTS)
    def the_next_work_is_killed(self, moments: int) -> None:
        self.stage.fate.left = moments

    @rule(contents=VARIANTS, moments=MOMENTS)
    def somebody_takes_over_in_the_middle_of_a_push(self, contents: Contents, moments: int) -> None:
        self.stage.fate.left_to_takeover = moments
        self.push(contents)

    @rule(which=integers(0, 3), moments=integers(0, 30))
    def somebody_takes_over_in_the_middle_of_healing(self, which: int, moments: int) -> None:
        self.stage.fate.left_to_takeover = moments
        self.somebody_takes_a_container_of_ours(which, stopped=True)

    @rule()
    def the_controller_is_killed_while_idle(self) -> None:
        self.stage.restart()

    @rule(contents=VARIANTS, calls=integers(0, 25), kind=sampled_from(sorted(FAULTS)))
    def an_engine_call_of_a_push_fails(self, contents: Contents, calls: int, kind: str) -> None:
        self.stage.plan_fault(calls, FAULTS[kind])
        self.push(contents)

    @rule(calls=integers(0, 25), kind=sampled_from(sorted(FAULTS)))
    def an_engine_call_of_the_next_work_fails(self, calls: int, kind: str) -> None:
        self.stage.plan_fault(calls, FAULTS[kind])

    @rule(seconds=sampled_from([5.0, 3600.0]))
    def the_engine_hangs(self, seconds: float) -> None:
        self.stage.world.answers_after = seconds
        self.looked()
        self.stage.world.answers_after = 0.0

    @rule()
    def the_engine_is_away_for_a_while(self) -> None:
        self.stage.world.reachable = not self.stage.world.reachable
        self.looked()

    @rule(which=integers(0, 3), stopped=booleans())
    def somebody_takes_a_container_of_ours(self, which: int, *, stopped: bool) -> None:
        ours = sorted(self.stage.ours(), key=lambda one: one.name)
        if which < len(ours):
            if stopped:
                ours[which].stopped = "exited"
            else:
                del self.stage.world.containers[ours[which].id]
        self.looked()

    @rule(name=sampled_from(sorted(FOREIGN)))
    def a_container_of_others_appears(self, name: str) -> None:
        if self.stage.world.holder(name) is None:
            self.named[name] = self.stage.foreign_container(name, FOREIGN[name]())
        self.looked()

    @precondition(lambda self: self.named)
    @rule(which=integers(0, 5))
    def others_take_their_container_away(self, which: int) -> None:
        name = sorted(self.named)[which % len(self.named)]
        self.stage.forget_foreign(self.named.pop(name))
        self.looked()

    @rule(seconds=sampled_from([1.0, 15.0, 400.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.stage.clock.advance(seconds)
        self.looked()

    @rule(seconds=sampled_from([-86_400.0, -30.0, 30.0, 86_400.0]))
    def the_wall_clock_is_set(self, seconds: float) -> None:
        self.stage.clock.step(seconds)
        self.looked()
