"""The whole controller against random months: pushes, people, failing engines, drift, kills.

Each rule is something that happens to a team. What must hold whatever happens is checked in three places: by
the ledger for each event, by the stage at each append and engine call, and here after each step:

- nothing of others is removed or changed;
- while a hold stands, or the environment is suspended, Git deploys nothing, and no end of a hold lets a bad
  Manifest or a part of one through;
- at most one Release runs, it has one verdict, and a controller that was taken over does nothing more;
- what is said to be completed runs, and what is said to be replaced was there;
- the product's folds and views say what a plain reading of the log says, made anew or carried on;
- left in peace, each service of what is deployed runs exactly once, and one more look changes nothing.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, fixed_dictionaries, integers, sampled_from
from typing_extensions import override

from controller.breaking import break_lock
from controller.commands import deploy, hold, resume, rollback
from controller.decide.rollback import RollbackTarget
from controller.look import Outcome
from controller.removing import destroy
from controller.rendering import Subject
from events.catalog.environment import EnvironmentHeld, EnvironmentSuspended, HoldCleared
from events.envelope import Actor
from events.kernel.errors import OutsideError, StagecraftError
from events.log import EventLog
from events.memory import MemoryEventLog
from events.sqlite import SqliteEventLog
from projections.engine.errors import COMPOSE_FAILED, engine_refused, engine_unreachable
from tests.crash.hanging import hanging_holder
from tests.crash.ledger import Contents
from tests.crash.same_views import Views
from tests.crash.stage import CONFIG, DB, MIGRATE, PERSON, PROD, STREAM, WEB, Stage, is_good
from tests.unit.projections.converge.scene import COMPOSE_PROJECT, identity_labels

VARIANTS = fixed_dictionaries(
    {"web": sampled_from(WEB), "db": sampled_from(DB), "migrate": sampled_from(MIGRATE)}
)
FINE = fixed_dictionaries(
    {"web": sampled_from(["1", "2", "3"]), "db": sampled_from(DB), "migrate": sampled_from(["1", "2"])}
)
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
HARMLESS = frozenset({"somebody-s-redis", "hello-test-web-1", "hello-prod-tool-1"})
FAULTS: dict[str, Callable[[], StagecraftError]] = {
    "refused": lambda: engine_refused("do it", "no space left on device"),
    "unreachable": lambda: engine_unreachable("simulated", "connection reset"),
    "compose-failed": lambda: OutsideError(COMPOSE_FAILED, "Compose could not bring it up", why="i/o error"),
}
SCHEDULE = Actor(kind="schedule", id="expiry")
_MEMORY = "/dev/shm"  # noqa: S108  # a private folder is made in it: nothing here is about disks
_VIEWS_EVERY = 10  # steps: a rebuild reads the whole log
_PATIENCE = 12  # looks until there must be peace
MANY_STEPS, PARTS = 10_000, 10  # in parts, so that each ends long before a test counts as hanging
STEPS = {"memory": 0, "sqlite": 0}


class Months(RuleBasedStateMachine):
    """A team over time."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(
            tempfile.mkdtemp(
                prefix="stagecraft-months-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None
            )
        )
        self.stage = Stage(folder=self.folder, reopen=self.reopen)
        self.views = Views(self.folder, STREAM)
        self.steps = 0
        self.named = dict[str, str]()  # foreign containers by name

    def reopen(self, log: EventLog | None) -> EventLog:
        """What a new controller finds of the log of an old one."""
        return log or MemoryEventLog()

    @override
    def teardown(self) -> None:
        try:
            self.views.compare(self.stage.log, self.stage.ledger)
        finally:
            self.stage.end()
            shutil.rmtree(self.folder)

    # What a team does

    def push(self, contents: Contents) -> None:
        stage = self.stage
        before, calm = stage.ledger.deployed_digest, self.calm
        digest = stage.push(contents)
        outcome = self.looked()
        if not calm or (stage.ledger.causes.get(digest) is not None and is_good(contents)):
            return
        if is_good(contents):
            assert stage.ledger.deployed_digest == digest, outcome
        else:
            assert stage.ledger.deployed_digest == before, outcome

    @initialize(contents=FINE)
    def first_push(self, contents: Contents) -> None:
        self.push(contents)

    @rule(contents=FINE)
    def push_something_good(self, contents: Contents) -> None:
        self.push(contents)

    @precondition(lambda self: self.stage.ledger.hold is not None and not self.stage.ledger.suspended)
    @rule(contents=FINE)
    def let_go_and_push(self, contents: Contents) -> None:
        self.resume_it()
        self.push(contents)

    @rule(contents=VARIANTS)
    def push_anything(self, contents: Contents) -> None:
        self.push(contents)

    @rule(file=sampled_from([CONFIG, "compose.yaml"]))
    def push_broken_yaml(self, file: str) -> None:
        head = self.stage.branch.head
        assert head is not None
        self.stage.branch.commit({**self.stage.branch.tree(head).files, file: "services: [\n"})
        self.looked()

    @rule()
    def push_what_concerns_nobody(self) -> None:
        branch, ledger = self.stage.branch, self.stage.ledger
        head = branch.head
        assert head is not None
        before = self.stage.log.head()
        peace = self.calm and self.at_peace
        revision = branch.commit({**branch.tree(head).files, "README.md": f"{branch.numbered}\n"})
        if head in ledger.commits:
            ledger.commits[revision] = ledger.commits[head]
        self.looked()
        if peace and head in ledger.commits:
            new = [event.type for event in self.stage.log.read(after=before)]
            assert new in (["RevisionObserved"], ["HistoryRewritten", "RevisionObserved"])

    @rule()
    def revert_the_last_commit(self) -> None:
        branch, ledger = self.stage.branch, self.stage.ledger
        head = branch.head
        parent = None if head is None else branch.commits[head][1]
        revision = branch.revert()
        if revision is not None and parent in ledger.commits:
            ledger.commits[revision] = ledger.commits[parent]
        self.looked()

    @rule()
    def rewind_the_branch(self) -> None:
        self.stage.branch.rewind()
        self.looked()

    @rule()
    def look(self) -> None:
        self.looked()

    def looked(self) -> object:
        return self.did(self.stage.run(self.stage.look))

    @precondition(lambda self: self.can_roll_back)
    @rule()
    def roll_back(self) -> None:
        context = self.stage.context
        target = RollbackTarget(to_previous=True)
        self.did(self.stage.run(lambda: rollback(context, PROD, to=target, reason="", actor=PERSON)))

    @precondition(lambda self: self.can_roll_back)
    @rule()
    def roll_back_twice_in_panic(self) -> None:
        left = self.stage.ledger.deployed_digest
        self.roll_back()
        self.roll_back()
        ledger = self.stage.ledger
        if left is not None and ledger.hold is not None and ledger.hold.target != left:
            newest = self.stage.ledger.requested[next(reversed(ledger.requested))]
            assert newest != left or ledger.hold.clears == "manual" or left not in ledger.hold.bad

    @rule(back=integers(0, 3))
    def deploy_by_hand(self, back: int) -> None:
        stage, branch = self.stage, self.stage.branch
        known = [one for one in stage.ledger.commits if one != branch.head]
        revision = known[-back] if back and len(known) >= back else branch.head
        if revision not in stage.ledger.commits:
            return
        subject = Subject(
            tree=branch.tree(revision),
            revision=revision,
            config_path=CONFIG,
            project=PROD.project,
            environment=PROD.name,
        )
        self.did(stage.run(lambda: deploy(stage.context, subject, actor=PERSON)))

    @precondition(lambda self: self.stage.ledger.hold is None)
    @rule()
    def hold_it(self) -> None:
        context = self.stage.context
        self.did(self.stage.run(lambda: hold(context, PROD, reason="calm", actor=PERSON)))

    @precondition(lambda self: self.stage.ledger.hold is not None or self.stage.ledger.suspended)
    @rule()
    def resume_it(self) -> None:
        context = self.stage.context
        self.did(self.stage.run(lambda: resume(context, PROD, reason="", actor=PERSON)))

    @precondition(lambda self: self.stage.ledger.deployed_digest is not None)
    @rule()
    def hold_for_an_hour_and_let_it_expire(self) -> None:
        stage = self.stage
        target = stage.ledger.deployed_digest
        assert target is not None
        until = stage.clock.now()
        stage.append(
            EnvironmentHeld(target=target, bad=(), clears="manual", reason="freeze", until=until),
            actor=PERSON,
        )
        stage.read_on()
        self.looked()
        if stage.ledger.hold is not None and stage.ledger.hold.clears == "manual":
            stage.append(HoldCleared(reason="expired"), actor=SCHEDULE)
        self.looked()

    @rule()
    def take_it_away(self) -> None:
        context = self.stage.context
        work = functools.partial(destroy, context, PROD, volumes=frozenset[str](), reason="", actor=PERSON)
        self.did(self.stage.run(work))

    @rule(moments=integers(0, 30))
    def a_controller_is_killed_over_taking_it_away(self, moments: int) -> None:
        self.stage.fate.left = moments
        self.take_it_away()

    @precondition(lambda self: not self.stage.ledger.suspended)
    @rule()
    def suspend_it(self) -> None:
        self.stage.append(EnvironmentSuspended(reason="calm"), actor=PERSON)
        self.looked()

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

    # What happens to it

    @rule(contents=VARIANTS, moments=MOMENTS)
    def a_controller_is_killed_over_a_push(self, contents: Contents, moments: int) -> None:
        self.stage.fate.left = moments
        self.push(contents)

    @precondition(lambda self: self.can_roll_back)
    @rule(moments=MOMENTS)
    def a_controller_is_killed_over_a_rollback(self, moments: int) -> None:
        self.stage.fate.left = moments
        self.roll_back()

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

    @rule()
    def there_is_peace(self) -> None:
        """Nobody meddles, everything answers: soon nothing is left to do, and it runs."""
        stage = self.stage
        stage.world.reachable, stage.fault = True, None
        stage.fate.work_is_over()
        for name in sorted(set(self.named) - HARMLESS):
            stage.forget_foreign(self.named.pop(name))
        idle = 0
        for _ in range(_PATIENCE):
            before = stage.log.head()
            self.looked()
            stage.clock.advance(400)  # longer than any retry waits
            idle = idle + 1 if stage.log.head() == before else 0
            if idle == 2:  # the second one comes after all that was to be waited for
                break
        else:
            raise AssertionError(f"{_PATIENCE} looks and still something to do")
        stage.changed.clear()
        before = stage.log.head()
        self.looked()
        assert stage.log.head() == before, "an idle look appends"
        assert stage.changed == [], "an idle look changes something"
        assert not stage.ledger.waiting, "a Release is left without a verdict"
        if stage.ledger.deployed_digest is not None and not stage.ledger.suspended:
            stage.runs(stage.ledger.deployed_digest)
        if stage.ledger.stays_away:
            assert not stage.ours(), "something runs of what was taken away"

    # What must be true

    @property
    def can_roll_back(self) -> bool:
        """Something else than what is deployed was deployed before."""
        ledger = self.stage.ledger
        completed = {
            ledger.requested[one] for one, end in ledger.verdicts.items() if end == "ReleaseCompleted"
        }
        return len(completed) > 1

    @property
    def calm(self) -> bool:
        """Nothing is wrong and nothing is in the way of the next commit."""
        stage, ledger = self.stage, self.stage.ledger
        return (
            stage.world.reachable
            and stage.fault is None
            and stage.fate.left is None
            and stage.fate.left_to_takeover is None
            and set(self.named) <= HARMLESS
            and not ledger.suspended
            and ledger.hold is None
            and not ledger.waiting
            and ledger.destroying is None
            and not ledger.stays_away
        )

    @property
    def at_peace(self) -> bool:
        """The last look left nothing to do."""
        before = self.stage.log.head()
        self.looked()
        return self.stage.log.head() == before

    def did(self, result: object) -> object:
        note(f"  {result}")
        self.stage.read_on()
        return result

    @invariant()
    def nothing_of_others_is_touched(self) -> None:
        for key, one in self.stage.foreign.items():
            assert self.stage.world.containers.get(key) == one, f"{one.name} is not as it was"

    @invariant()
    def whoever_is_taken_over_does_nothing_more(self) -> None:
        assert self.stage.fate.late == [], "a controller that was taken over goes on"

    @invariant()
    def folds_and_views_say_what_the_log_says(self) -> None:
        STEPS[self.kind] += 1
        self.steps += 1
        self.stage.read_on()
        self.views.compare_fold(self.stage.log, self.stage.ledger)
        if self.steps % _VIEWS_EVERY == 0:
            self.views.compare(self.stage.log, self.stage.ledger)


class MonthsOnDisk(Months):
    """The same with a log in SQLite, opened anew by each controller."""

    kind = "sqlite"

    @override
    def reopen(self, log: EventLog | None) -> EventLog:
        if log is not None:
            log.close()
        return SqliteEventLog(self.folder / "events.db")


def run_machine(machine: type[Months], *, examples: int, steps: int) -> int:
    """Answers how many steps were taken."""
    before = STEPS[machine.kind]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    return STEPS[machine.kind] - before


def test_a_few_months_on_a_log_in_memory() -> None:
    assert run_machine(Months, examples=10, steps=40) > 0


def test_a_month_on_a_log_on_disk() -> None:
    assert run_machine(MonthsOnDisk, examples=2, steps=30) > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_years(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    """New examples in each run with the profile `search`; a failure prints how to play it again."""
    taken = 0
    while taken < MANY_STEPS / PARTS:
        taken += run_machine(Months, examples=20, steps=60)
    on_disk = run_machine(MonthsOnDisk, examples=2, steps=50)
    with capsys.disabled():
        print(f"\npart {part + 1} of {PARTS}: {taken} steps on a log in memory, {on_disk} on one on disk")  # noqa: T201
