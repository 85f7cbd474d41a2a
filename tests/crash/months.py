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

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import fixed_dictionaries, sampled_from
from typing_extensions import override

from events.log import EventLog
from events.memory import MemoryEventLog
from tests.crash.ledger import Contents
from tests.crash.same_views import Views
from tests.crash.stage import DB, MIGRATE, STREAM, WEB, Stage, is_good
from tests.support.signing import SshPerson

VARIANTS = fixed_dictionaries(
    {"web": sampled_from(WEB), "db": sampled_from(DB), "migrate": sampled_from(MIGRATE)}
)
FINE = fixed_dictionaries(
    {"web": sampled_from(["1", "2", "3"]), "db": sampled_from(DB), "migrate": sampled_from(["1", "2"])}
)
HARMLESS = frozenset({"somebody-s-redis", "hello-test-web-1", "hello-prod-tool-1"})
_MEMORY = "/dev/shm"  # noqa: S108  # a private folder is made in it: nothing here is about disks
_VIEWS_EVERY = 10  # steps: a rebuild reads the whole log
_PATIENCE = 12  # looks until there must be peace
STEPS = {"memory": 0, "sqlite": 0}


class World(RuleBasedStateMachine):
    """What there is, what must be true of it, and how a commit comes."""

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(
            tempfile.mkdtemp(
                prefix="stagecraft-months-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None
            )
        )
        self.stage = Stage(folder=self.folder, reopen=self.reopen)
        self.signers = self.folder / "signers"
        lead = SshPerson.create(self.folder / "keys", "lead")
        self.signers.write_text(lead.line())
        self.stage.branch.sign = lead.sign
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

    def looked(self) -> object:
        return self.did(self.stage.run(self.stage.look))

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
            and stage.rules.allow_rewrite
            and self.all_signed
        )

    @property
    def all_signed(self) -> bool:
        """Whether each commit of the branch would be trusted whatever the operator wants verified."""
        branch = self.stage.branch
        if branch.head is None:
            return True
        return set(branch.commits_since(branch.head, None, most=len(branch.commits))) <= branch.signed

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
