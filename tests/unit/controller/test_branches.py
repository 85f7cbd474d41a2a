"""What the log says of branches: what is taken, what is refused, and whose an environment is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.branch_keys import BranchKey, Rivals
from controller.branches import Branches, BranchState, Signature
from events.catalog import Event
from events.catalog.revision import EnvironmentLeftOut, RevisionObserved, RevisionRejected
from events.envelope import CONTROLLER
from events.recorder import Recorder
from events.streams import repository_stream
from gitops.source.trust import Verification
from tests.support.logs import ReadLog
from tests.support.time import CountingIds, FakeClock

MAIN = BranchKey("shop", "refs/heads/main")
NEXT = BranchKey("shop", "refs/heads/next")
OTHER = BranchKey("copy", "refs/heads/main")
PROD, STAGING = "shop/prod", "shop/staging"
WANTED = Verification(mode="head")


@dataclass(slots=True)
class _Scene:
    log: ReadLog = field(default_factory=ReadLog)
    branches: Branches = field(default_factory=Branches)
    recorder: Recorder = field(init=False)
    seen: int = 0

    def __post_init__(self) -> None:
        self.recorder = Recorder(log=self.log, ids=CountingIds(), clock=FakeClock(), actor=CONTROLLER)

    def tell(self, key: BranchKey, *events: Event) -> None:
        self.recorder.append(repository_stream(key.slug), *events)

    def show(
        self,
        key: BranchKey,
        *declared: str,
        wanted: Sequence[str] | None = None,
        refused: bool = False,
        signing_key: str | None = None,
        again: str | None = None,
    ) -> str:
        """The branch shows a commit that declares these, a new one unless `again`; answers the commit."""
        self.seen += again is None
        revision = again or f"{self.seen:040x}"
        observed = RevisionObserved(
            ref=key.ref,
            revision=revision,
            previous=None,
            tree="0" * 40,
            author="act-1",
            subject="",
            affected=tuple(declared if wanted is None else wanted),
            declared=() if refused else declared,
            wanted=None if refused else tuple(declared if wanted is None else wanted),
            signing_key=signing_key,
        )
        rejected = RevisionRejected(ref=key.ref, revision=revision, rule="config-invalid")
        self.tell(key, observed, *([rejected] if refused else []))
        return revision

    def unvouched(self, key: BranchKey, revision: str | None = None) -> str:
        """Nobody vouches for a commit, a new one unless given; answers the commit."""
        self.seen += revision is None
        revision = revision or f"{self.seen:040x}"
        self.tell(key, RevisionRejected(ref=key.ref, revision=revision, rule="commit-unsigned"))
        return revision

    def of(self, key: BranchKey) -> BranchState:
        return self.branches.of(self.log, key)

    def owners(self, *, among: Rivals | None = None) -> dict[str, BranchKey]:
        """As a branch that has nothing sees it."""
        return self.branches.others(self.log, BranchKey("nobody", ""), among=among)


def test_the_branch_that_declared_it_first_has_it() -> None:
    scene = _Scene()
    scene.show(NEXT, PROD)
    scene.show(MAIN, PROD, STAGING)
    assert scene.owners() == {PROD: NEXT, STAGING: MAIN}
    assert scene.branches.others(scene.log, NEXT, among=None) == {STAGING: MAIN}


def test_it_passes_on_when_its_branch_no_longer_declares_it_and_does_not_come_back() -> None:
    scene = _Scene()
    scene.show(MAIN, PROD)
    scene.show(NEXT, PROD)
    scene.show(MAIN, STAGING)
    assert scene.owners()[PROD] == NEXT
    scene.show(MAIN, STAGING, PROD)
    assert scene.owners()[PROD] == NEXT


def test_a_refused_commit_claims_nothing_and_gives_nothing_up() -> None:
    scene = _Scene()
    first = scene.show(MAIN, PROD)
    refused = scene.show(MAIN, STAGING, refused=True)
    state = scene.of(MAIN)
    assert (state.revision, state.taken, state.rejected) == (refused, first, "config-invalid")
    assert scene.owners() == {PROD: MAIN}


def test_a_second_refusal_of_the_same_commit_changes_nothing_but_the_rule() -> None:
    scene = _Scene()
    first = scene.show(MAIN, PROD)
    refused = scene.show(MAIN, refused=True)
    scene.tell(MAIN, RevisionRejected(ref=MAIN.ref, revision=refused, rule="another"))
    assert (scene.of(MAIN).taken, scene.of(MAIN).rejected) == (first, "another")
    assert scene.owners() == {PROD: MAIN}


def test_what_is_declared_and_not_deployed_from_a_branch_is_not_claimed() -> None:
    scene = _Scene()
    scene.show(MAIN, PROD, STAGING, wanted=[PROD])
    scene.show(NEXT, PROD, STAGING, wanted=[STAGING])
    assert scene.owners() == {PROD: MAIN, STAGING: NEXT}


def test_a_claim_outlives_a_look_that_wanted_something_else() -> None:
    scene = _Scene()
    scene.show(MAIN, PROD, STAGING, wanted=[PROD])
    scene.show(MAIN, PROD, STAGING, wanted=[STAGING])
    scene.show(NEXT, PROD, STAGING)
    assert scene.owners() == {PROD: MAIN, STAGING: MAIN}


def test_only_listed_branches_count_with_what_the_list_says() -> None:
    scene = _Scene()
    scene.show(MAIN, PROD, STAGING)
    scene.show(NEXT, PROD, STAGING)
    assert scene.owners(among={NEXT: ()}) == {PROD: NEXT, STAGING: NEXT}
    listed = {MAIN: ("prod",), NEXT: ("shop/staging", "prod")}
    assert scene.owners(among=listed) == {PROD: MAIN, STAGING: NEXT}


def test_a_new_wish_of_the_list_takes_nothing_from_a_claim() -> None:
    scene = _Scene()
    scene.show(NEXT, PROD, STAGING, wanted=[STAGING])
    scene.show(MAIN, PROD, STAGING, wanted=[PROD])
    assert scene.owners(among={MAIN: (), NEXT: ()}) == {PROD: MAIN, STAGING: NEXT}


def test_repositories_are_told_apart() -> None:
    scene = _Scene()
    scene.show(OTHER, PROD)
    scene.show(MAIN, PROD)
    assert scene.owners() == {PROD: OTHER}
    assert list(scene.branches.known(scene.log)) == [OTHER, MAIN]


def test_an_event_of_an_older_version_claims_what_it_affected() -> None:
    scene = _Scene()
    scene.tell(
        MAIN,
        RevisionObserved(
            ref=MAIN.ref,
            revision="a" * 40,
            previous=None,
            tree="0" * 40,
            author="act-1",
            subject="",
            affected=(PROD,),
        ),
    )
    scene.show(NEXT, PROD)
    assert scene.owners() == {PROD: MAIN}


def test_what_was_left_out_is_remembered_while_it_is_declared() -> None:
    scene = _Scene()
    scene.show(MAIN, PROD)
    left_out = EnvironmentLeftOut(
        ref=NEXT.ref, revision="b" * 40, environment=PROD, owner=MAIN.slug, owner_ref=MAIN.ref
    )
    scene.show(NEXT, PROD)
    scene.tell(NEXT, left_out)
    assert scene.of(NEXT).left_out == {(PROD, MAIN)}
    assert scene.of(MAIN).left_out == frozenset()
    scene.show(NEXT, STAGING)
    assert scene.of(NEXT).left_out == frozenset()


def test_the_version_is_that_of_the_stream_whichever_branch_moved() -> None:
    scene = _Scene()
    scene.show(MAIN, PROD)
    scene.show(NEXT, STAGING)
    assert scene.of(MAIN).version == scene.log.stream_version(repository_stream("shop"))


def test_only_what_is_new_is_read_however_long_the_log_is() -> None:
    scene = _Scene()
    for _ in range(50):
        scene.show(MAIN, PROD)
    scene.of(MAIN)
    before = sum(scene.log.given)
    for _ in range(10):
        scene.of(MAIN)
        scene.owners()
    assert sum(scene.log.given) == before
    scene.show(MAIN, PROD)
    scene.of(MAIN)
    assert sum(scene.log.given) == before + 2


def test_a_commit_that_nobody_vouches_for_is_not_seen_until_the_next_one_is() -> None:
    scene = _Scene()
    good = scene.show(MAIN, PROD, signing_key="SHA256:a")
    bad = scene.unvouched(MAIN)
    state = scene.of(MAIN)
    assert (state.revision, state.taken, state.rejected) == (good, good, None)
    assert state.refused == (bad, "commit-unsigned")
    assert state.refuses(bad, "commit-unsigned")
    assert not state.refuses(bad, "signer-unknown")
    assert state.accepted(good, WANTED)
    assert not state.accepted(bad, WANTED)
    assert state.accepted(bad, Verification())
    assert scene.owners() == {PROD: MAIN}
    scene.show(MAIN, PROD, signing_key="SHA256:a")
    assert scene.of(MAIN).refused is None


def test_a_first_commit_that_nobody_vouches_for_is_all_that_is_known() -> None:
    scene = _Scene()
    bad = scene.unvouched(MAIN)
    state = scene.of(MAIN)
    assert (state.revision, state.taken, state.refused) == (None, None, (bad, "commit-unsigned"))
    assert state.version == scene.log.stream_version(repository_stream("shop")) == 1
    scene.unvouched(NEXT)
    assert (scene.of(MAIN).version, scene.of(MAIN).refused) == (2, (bad, "commit-unsigned"))


def test_what_was_taken_unverified_and_is_refused_later_is_not_followed_and_keeps_its_claims() -> None:
    scene = _Scene()
    first = scene.show(MAIN, PROD)
    second = scene.show(MAIN, PROD, STAGING)
    scene.unvouched(MAIN, second)
    state = scene.of(MAIN)
    assert (state.revision, state.taken, state.rejected) == (second, first, "commit-unsigned")
    assert state.refuses(second, "commit-unsigned")
    scene.show(NEXT, PROD, STAGING)
    assert scene.owners() == {PROD: MAIN, STAGING: MAIN}


def test_a_first_commit_that_is_refused_later_keeps_its_claims_too() -> None:
    scene = _Scene()
    scene.unvouched(MAIN, scene.show(MAIN, PROD))
    assert scene.of(MAIN).taken is None
    scene.show(NEXT, PROD)
    assert scene.owners() == {PROD: MAIN}


def test_a_commit_that_is_verified_later_is_the_same_one_and_taken() -> None:
    scene = _Scene()
    scene.show(MAIN, PROD)
    second = scene.show(MAIN, PROD)
    assert not scene.of(MAIN).accepted(second, WANTED)
    scene.show(MAIN, PROD, signing_key="SHA256:a", again=second)
    state = scene.of(MAIN)
    assert (state.taken, state.signature) == (second, Signature(None, "SHA256:a"))
    assert state.accepted(second, WANTED)


def test_a_commit_that_is_refused_later_and_then_taken_can_be_refused_once_more() -> None:
    scene = _Scene()
    first = scene.show(MAIN, PROD)
    second = scene.show(MAIN, STAGING)
    scene.unvouched(MAIN, second)
    scene.show(MAIN, STAGING, again=second)
    state = scene.of(MAIN)
    assert (state.taken, state.rejected) == (second, None)
    scene.unvouched(MAIN, second)
    assert (scene.of(MAIN).taken, scene.of(MAIN).rejected) == (first, "commit-unsigned")
    assert scene.owners() == {STAGING: MAIN}


def test_a_verified_commit_that_cannot_be_used_stays_verified_and_is_not_taken() -> None:
    scene = _Scene()
    first = scene.show(MAIN, PROD, signing_key="SHA256:a")
    unusable = scene.show(MAIN, refused=True, signing_key="SHA256:a")
    state = scene.of(MAIN)
    assert (state.taken, state.rejected) == (first, "config-invalid")
    assert state.accepted(unusable, WANTED)


def test_a_commit_that_is_verified_later_and_still_cannot_be_used_claims_nothing() -> None:
    scene = _Scene()
    first = scene.show(MAIN, PROD)
    unusable = scene.show(MAIN, STAGING, refused=True)
    scene.show(MAIN, refused=True, signing_key="SHA256:a", again=unusable)
    assert (scene.of(MAIN).taken, scene.of(MAIN).rejected) == (first, "config-invalid")
    assert scene.owners() == {PROD: MAIN}


def test_an_unvouched_commit_after_an_unusable_one_leaves_both_refused() -> None:
    scene = _Scene()
    first = scene.show(MAIN, PROD, signing_key="SHA256:a")
    unusable = scene.show(MAIN, refused=True, signing_key="SHA256:a")
    bad = scene.unvouched(MAIN)
    state = scene.of(MAIN)
    assert (state.revision, state.rejected, state.taken) == (unusable, "config-invalid", first)
    assert state.refuses(bad, "commit-unsigned")
    assert state.refuses(unusable, "config-invalid")
