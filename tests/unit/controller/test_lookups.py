"""One look-up for each image of a commit, for a short while."""

from __future__ import annotations

from controller.lookups import KEPT_SECONDS, Lookups
from events.manifest import ImagePin
from gitops.pins import Lookup

PIN = ImagePin(ref="web:1", pin="sha256:" + "1" * 64, pin_kind="repo-digest")
REFS = {"web:1": Lookup(), "db:2": Lookup()}


def test_what_was_found_for_a_commit_is_known_for_its_other_environments() -> None:
    lookups = Lookups()
    lookups.remember("c1", REFS, {"web:1": PIN}, now=10)
    assert lookups.known("c1", REFS, now=10 + KEPT_SECONDS) == {"web:1": PIN}
    assert lookups.known("c2", REFS, now=10) == {}
    assert lookups.known("c1", REFS, now=11 + KEPT_SECONDS) == {}


def test_another_platform_is_another_question() -> None:
    lookups = Lookups()
    lookups.remember("c1", REFS, {"web:1": PIN}, now=10)
    other = {"web:1": Lookup(platforms=frozenset({"linux/arm64"}))}
    assert lookups.known("c1", other, now=10) == {}


def test_only_the_newest_commits_are_remembered() -> None:
    lookups = Lookups()
    for number in range(6):
        lookups.remember(f"c{number}", REFS, {"web:1": PIN}, now=number)
    assert lookups.known("c0", REFS, now=6) == {}
    assert lookups.known("c5", REFS, now=6) == {"web:1": PIN}


def test_old_answers_are_not_made_young_by_new_ones() -> None:
    lookups = Lookups()
    lookups.remember("c1", REFS, {"web:1": PIN}, now=0)
    db = PIN.model_copy(update={"ref": "db:2"})
    lookups.remember("c1", REFS, {"db:2": db}, now=KEPT_SECONDS + 1)
    assert lookups.known("c1", REFS, now=KEPT_SECONDS + 2) == {"db:2": db}
