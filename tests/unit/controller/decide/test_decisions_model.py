"""Random histories against the rules that must hold whatever happens.

- Git never requests a Manifest that a standing hold calls bad, but to retry a failure from outside.
- A look that is repeated at once decides nothing.
- What is deployed is the newest completed Release, and a rollback never leads to a held bad Manifest.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import sampled_from

from controller.decide.hold import decide_hold, decide_resume
from controller.decide.rollback import RollbackTarget, find_target
from events.catalog import FailureCause
from events.kernel.errors import UserError
from tests.support.environments import Story

HASHES = sampled_from(["1", "2", "3"])
CAUSES: list[FailureCause] = ["repository", "outside"]


class Decisions(RuleBasedStateMachine):
    """Merges, reverts, failures, holds and rollbacks of two services."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.commits = 0
        self.head: dict[str, str] | None = None

    def _look(self) -> None:
        assert self.head is not None
        before = self.story.state
        candidate = self.story.rendered(f"c{self.commits}", **self.head)
        decided = self.story.look_at(candidate)
        requested = {"DeployRequested", "RevertDetected"} & set(decided)
        if before.hold is not None and candidate.digest in before.hold.bad and requested:
            attempts = before.failed_attempts(candidate.digest)
            assert attempts
            assert attempts[-1].failure is not None
            assert attempts[-1].failure.cause == "outside"
            assert before.hold.clears == "fixed"
            assert "HoldCleared" in decided
        assert self.story.look_at(candidate) == ()

    @rule(web=HASHES, api=HASHES)
    def merge(self, web: str, api: str) -> None:
        self.commits += 1
        self.head = {"web": web, "api": api}
        self._look()

    @precondition(lambda self: self.head is not None)
    @rule(seconds=sampled_from([1, 60, 3600]))
    def look_later(self, seconds: int) -> None:
        self.story.later(seconds=seconds)
        self._look()

    @precondition(lambda self: self.story.state.active is not None)
    @rule()
    def completes(self) -> None:
        release = self.story.completes()
        assert self.story.state.deployed == release

    @precondition(lambda self: self.story.state.active is not None)
    @rule(cause=sampled_from(CAUSES))
    def goes_wrong(self, cause: FailureCause) -> None:
        deployed = self.story.state.deployed
        active = self.story.state.active
        assert active is not None
        if deployed is None or self.story.state.deployed_digest == active.digest:
            self.story.fails(cause)
        else:
            self.story.rolls_back(cause)
        assert self.story.state.deployed == deployed

    @precondition(lambda self: self.story.state.deployed is not None)
    @rule()
    def rolls_back_by_hand(self) -> None:
        before = self.story.state
        try:
            target = find_target(before, RollbackTarget(to_previous=True))
        except UserError:
            return
        assert target.digest != before.deployed_digest
        assert before.hold is None or target.digest not in before.hold.bad
        self.story.person_rolls_back()
        after = self.story.state
        assert after.hold is not None
        assert before.deployed_digest in after.hold.bad

    @rule(web=HASHES, api=HASHES)
    def deploys_by_hand(self, web: str, api: str) -> None:
        self.commits += 1
        shown = self.story.state.git.digest
        try:
            self.story.person_deploys(f"c{self.commits}", web=web, api=api)
        except UserError:
            return
        after = self.story.state
        assert after.active is not None
        held = after.hold is not None and after.hold.target == after.active.digest
        assert held or shown in {None, after.active.digest}

    @precondition(lambda self: self.story.state.deployed is not None)
    @rule()
    def holds(self) -> None:
        self.story.append(*decide_hold(self.story.state, reason="calm"))

    @precondition(lambda self: self.story.state.hold is not None)
    @rule()
    def resumes(self) -> None:
        self.story.append(*decide_resume(self.story.state, reason=""))

    @invariant()
    def the_target_of_a_hold_is_never_bad(self) -> None:
        hold = self.story.state.hold
        assert hold is None or hold.target not in hold.bad

    @invariant()
    def at_most_one_release_is_without_a_verdict(self) -> None:
        waiting = [one for one in self.story.state.releases.values() if one.status in ("pending", "running")]
        assert len(waiting) <= 1

    @invariant()
    def what_is_deployed_completed(self) -> None:
        release = self.story.state.deployed_release
        assert release is None or release.status == "completed"


TestDecisions = Decisions.TestCase
TestDecisions.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
