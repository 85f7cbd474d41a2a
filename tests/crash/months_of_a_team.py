"""What a team and its operator do to a controller in random months."""

from __future__ import annotations

import functools
from dataclasses import replace

from hypothesis.stateful import initialize, precondition, rule
from hypothesis.strategies import booleans, integers, sampled_from

from controller.candidates import Subject
from controller.decide.rollback import RollbackTarget
from controller.deploying import deploy
from controller.holding import hold, resume
from controller.removing import destroy
from controller.rolling_back import rollback
from events.catalog.environment import EnvironmentHeld, EnvironmentSuspended, HoldCleared
from events.envelope import Actor
from gitops.source.trust import Mode, Verification
from tests.crash.ledger import Contents
from tests.crash.months import FINE, VARIANTS, World
from tests.crash.stage import CONFIG, PERSON, PROD

SCHEDULE = Actor(kind="schedule", id="expiry")


class Team(World):
    """A team over time."""

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

    # What an operator does

    @rule(mode=sampled_from(["none", "head", "every"]))
    def the_operator_wants_commits_verified(self, mode: Mode) -> None:
        wanted = Verification(mode=mode, signers=None if mode == "none" else self.signers)
        self.stage.rules = replace(self.stage.rules, verification=wanted)
        self.looked()

    @rule(allowed=booleans())
    def the_operator_says_whether_histories_may_be_rewritten(self, *, allowed: bool) -> None:
        self.stage.rules = replace(self.stage.rules, allow_rewrite=allowed)
        self.looked()

    @rule(contents=VARIANTS)
    def push_unsigned(self, contents: Contents) -> None:
        self.stage.push(contents, signed=False)
        self.looked()

    @rule(contents=VARIANTS, mode=sampled_from(["head", "every"]))
    def push_unsigned_where_commits_are_verified(self, contents: Contents, mode: Mode) -> None:
        """Both at once, which chance brings together too seldom; the stage sees what is taken."""
        rules = self.stage.rules
        self.the_operator_wants_commits_verified(mode)
        self.push_unsigned(contents)
        self.stage.rules = rules
        self.looked()
