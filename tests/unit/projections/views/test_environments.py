"""What the log says of an environment: Git, desired, deployed, hold, suspend, work under way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from events.catalog import event_classes
from events.catalog.environment import DeploySkipped, ImageAwaited, ImagesRefreshed, MovedImage
from events.catalog.removal import (
    Belongings,
    DestroyRequested,
    EnvironmentDestroyed,
    EnvironmentOrphaned,
    EnvironmentReturned,
    PruneConfirmed,
    PruneDeferred,
    RemovalDeferred,
)
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.environments import (
    NOTHING,
    ActiveRelease,
    Environment,
    Placed,
    find_environment,
    list_environments,
    unseen,
)
from tests.unit.projections.views.history import FAILURE, History, digest, folded


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return tmp_path / "views.db"


def known(history: History, views: Path) -> Environment:
    with folded(history.log, views, ENVIRONMENTS) as tables:
        found = find_environment(tables, history.project, history.environment)
    assert found is not None
    return found


def test_every_event_type_it_concerns_exists() -> None:
    assert ENVIRONMENTS.concerns <= set(event_classes())


def test_an_environment_that_nobody_spoke_of_is_not_there(history: History, views: Path) -> None:
    history.deployed("a")
    with folded(history.log, views, ENVIRONMENTS) as tables:
        assert find_environment(tables, "shop", "stage") is None
        assert list_environments(tables) == [("shop", "prod")]


def test_environments_are_listed_sorted(history: History, views: Path) -> None:
    history.observed("c1", "shop/stage", "shop/prod", "app/prod")
    with folded(history.log, views, ENVIRONMENTS) as tables:
        assert list_environments(tables) == [("app", "prod"), ("shop", "prod"), ("shop", "stage")]


def test_a_completed_release_is_desired_and_deployed(history: History, views: Path) -> None:
    release = history.deployed("a", revision="c1")
    found = known(history, views)
    assert found.desired == Placed(release=release, digest=digest("a"), revision="c1")
    assert found.deployed == Placed(release=release, digest=digest("a"), revision="c1")
    assert found.active is None
    assert str(found) == "shop/prod"


def test_a_new_commit_is_seen_before_it_is_rendered(history: History, views: Path) -> None:
    history.observed("c1", "shop/prod")
    history.deployed("a", revision="c1")
    history.observed("c2", "shop/prod")
    history.observed("c3", "shop/stage")
    found = known(history, views)
    assert found.revision == "c2"
    assert found.revision_at == "2026-01-02T03:04:10.000Z"


def test_without_a_watched_branch_a_render_tells_the_commit(history: History, views: Path) -> None:
    history.rendered("a", revision="c1")
    assert known(history, views).revision == "c1"


def test_a_render_by_hand_does_not_move_what_a_watched_branch_shows(history: History, views: Path) -> None:
    history.observed("c2", "shop/prod")
    history.rendered("old", revision="c1")
    history.requested("old", revision="c1", by_person=True)
    assert known(history, views).revision == "c2"


def test_a_render_alone_makes_nothing_desired(history: History, views: Path) -> None:
    history.rendered("a")
    assert known(history, views).desired == NOTHING


def test_a_request_makes_its_manifest_desired_before_it_is_deployed(history: History, views: Path) -> None:
    first = history.deployed("a")
    second = history.requested("b", revision="c2", previous=first)
    found = known(history, views)
    assert found.desired == Placed(release=second, digest=digest("b"), revision="c2")
    assert found.deployed.release == first
    assert found.active == ActiveRelease(id=second, status="pending")


def test_a_started_release_is_active_until_its_verdict(history: History, views: Path) -> None:
    release = history.requested("a")
    history.started(release)
    assert known(history, views).active == ActiveRelease(id=release, status="running")
    history.failed(release)
    assert known(history, views).active is None
    assert known(history, views).deployed == NOTHING


@pytest.mark.parametrize("verdict", ["failed", "rolled_back"])
def test_a_release_that_did_not_complete_leaves_deployed_as_it_was(
    history: History, views: Path, verdict: str
) -> None:
    first = history.deployed("a")
    second = history.requested("b", previous=first)
    history.started(second, "b")
    if verdict == "failed":
        history.failed(second, "b")
    else:
        history.rolled_back(second, "b", restored="a")
    found = known(history, views)
    assert found.deployed.release == first
    assert found.desired.digest == digest("b")


def test_a_superseded_release_leaves_its_successor_active(history: History, views: Path) -> None:
    first = history.requested("a")
    second = history.requested("b")
    history.superseded(first, by=second)
    assert known(history, views).active == ActiveRelease(id=second, status="pending")


def test_a_skipped_render_is_what_git_shows(history: History, views: Path) -> None:
    release = history.deployed("a", revision="c1")
    history.requested("b", revision="c2")
    history.skipped("a", revision="c3")
    found = known(history, views)
    assert found.revision == "c3"
    assert found.desired == Placed(release=release, digest=digest("a"), revision="c1")


def test_a_deferred_render_is_desired_without_a_release(history: History, views: Path) -> None:
    history.deployed("a", revision="c1")
    history.deferred("b", revision="c2")
    assert known(history, views).desired == Placed(release=None, digest=digest("b"))


def test_a_decision_without_a_commit_keeps_the_newest_one(history: History, views: Path) -> None:
    history.deployed("a", revision="c1")
    history.skipped("a", revision=None)
    assert known(history, views).revision == "c1"


def test_the_completed_release_of_a_manifest_is_named_before_a_newer_failed_one(
    history: History, views: Path
) -> None:
    completed = history.deployed("a")
    failed = history.requested("a")
    history.failed(failed)
    assert known(history, views).desired.release == completed


def test_under_a_hold_its_target_is_desired(history: History, views: Path) -> None:
    first = history.deployed("a")
    second = history.deployed("b", revision="c2", previous=first)
    third = history.rollback("a", target=first, previous=second)
    history.held("a", "b")
    history.completed(third)
    found = known(history, views)
    assert found.desired == Placed(release=third, digest=digest("a"), revision="c0")
    assert found.deployed.digest == digest("a")
    assert found.hold == {
        "target": digest("a"),
        "bad": [digest("b")],
        "clears": "fixed",
        "reason": "it was slow",
        "until": None,
        "since": "2026-01-02T03:04:14.000Z",
        "actor": {"kind": "cli", "id": "act-1"},
    }


def test_a_rest_of_healing_is_shown_until_it_ends_or_a_release_comes(history: History, views: Path) -> None:
    history.deployed("a")
    history.breaker_opened()
    assert known(history, views).breaker == {
        "attempts": 5,
        "until": "2026-01-02T03:09:09Z",
        "reason": "it ends",
        "since": "2026-01-02T03:04:09.000Z",
    }
    history.breaker_closed()
    assert known(history, views).breaker is None
    history.breaker_opened()
    history.requested("b", revision="c2")
    assert known(history, views).breaker is None


def test_a_resumed_hold_gives_way_to_what_git_shows(history: History, views: Path) -> None:
    first = history.deployed("a")
    second = history.deployed("b", revision="c2", previous=first)
    history.rollback("a", target=first, previous=second)
    history.held("a", "b")
    history.cleared("resumed")
    found = known(history, views)
    assert found.hold is None
    assert found.desired.digest == digest("b")


def test_a_reverting_commit_makes_the_holds_target_what_git_shows(history: History, views: Path) -> None:
    history.deployed("a")
    history.deployed("b", revision="c2")
    history.held("a", "b")
    history.cleared("reverted", revision="c3")
    found = known(history, views)
    assert found.desired.digest == digest("a")
    assert found.revision == "c3"


def test_clearing_where_nothing_is_held_changes_nothing(history: History, views: Path) -> None:
    history.deployed("a", revision="c1")
    before = known(history, views)
    history.cleared("reverted", revision="c3")
    assert known(history, views) == before


def test_without_git_the_last_request_of_a_person_is_desired(history: History, views: Path) -> None:
    history.requested("a", by_person=True)
    second = history.requested("b", revision="c2", by_person=True)
    assert known(history, views).desired == Placed(release=second, digest=digest("b"), revision="c2")


def test_what_git_shows_comes_before_what_a_person_asked_for(history: History, views: Path) -> None:
    history.deployed("a", revision="c1")
    history.requested("b", by_person=True)
    assert known(history, views).desired.digest == digest("a")


def test_a_failed_render_is_told_until_a_commit_renders(history: History, views: Path) -> None:
    history.deployed("a", revision="c1")
    history.render_failed("c2")
    found = known(history, views)
    assert found.render_failure == {"revision": "c2", "rule": None, **FAILURE.model_dump(mode="json")}
    assert found.revision == "c2"
    assert found.desired.digest == digest("a")
    history.rendered("b", revision="c3")
    assert known(history, views).render_failure is None


def test_a_decision_about_a_known_tree_ends_a_failed_render(history: History, views: Path) -> None:
    history.deployed("a", revision="c1")
    history.render_failed("c2")
    history.skipped("a", revision="c3")
    assert known(history, views).render_failure is None


def test_a_suspend_lasts_until_it_is_resumed(history: History, views: Path) -> None:
    history.suspended()
    assert known(history, views).suspended == {
        "reason": "moving",
        "until": None,
        "since": "2026-01-02T03:04:05.000Z",
        "actor": {"kind": "cli", "id": "act-1"},
    }
    history.resumed()
    assert known(history, views).suspended is None


def test_services_are_those_of_what_is_deployed(history: History, views: Path) -> None:
    history.deployed("a")
    history.rendered("b", web="h1", worker="h2")
    history.requested("b")
    assert known(history, views).services == {"local": {"web": "h1"}}


def test_before_the_first_release_services_are_those_of_what_is_desired(
    history: History, views: Path
) -> None:
    history.rendered("b", web="h1", worker="h2")
    history.requested("b")
    assert known(history, views).services == {"local": {"web": "h1", "worker": "h2"}}


def test_a_job_is_finished_when_this_hash_of_it_ran(history: History, views: Path) -> None:
    history.rendered("a", web="h1", migrate="m2")
    release = history.requested("a")
    history.job_completed(release, "migrate", "m1")
    assert known(history, views).finished_jobs == frozenset()
    history.job_completed(release, "migrate", "m2")
    assert known(history, views).finished_jobs == {("local", "migrate")}


def test_environments_do_not_mix(history: History, views: Path) -> None:
    history.deployed("a")
    history.environment = "stage"
    history.held("b")
    found = known(history, views)
    assert found.deployed == NOTHING
    history.environment = "prod"
    assert known(history, views).hold is None


def test_an_environment_that_the_log_does_not_know_has_nothing() -> None:
    found = unseen("shop", "prod")
    assert (found.desired, found.deployed, found.services) == (NOTHING, NOTHING, {})
    assert str(found) == "shop/prod"


def awaited(revision: str, *, trigger: Literal["git", "person"] = "git") -> ImageAwaited:
    until = datetime(2026, 1, 2, 4, tzinfo=UTC)
    return ImageAwaited(revision=revision, images=("web:c2",), until=until, why="unknown", trigger=trigger)


def test_a_commit_that_waits_for_images_says_for_which_until_it_renders(
    history: History, views: Path
) -> None:
    history.deployed("a", revision="c1")
    history.append("environment", awaited("c2"))
    found = known(history, views)
    assert found.awaiting == {
        "revision": "c2",
        "images": ["web:c2"],
        "until": "2026-01-02T04:00:00Z",
        "why": "unknown",
    }
    assert found.revision == "c2"
    history.rendered("old", revision="c1")
    assert known(history, views).awaiting is not None
    history.rendered("b", revision="c2")
    assert known(history, views).awaiting is None


def test_a_wait_ends_with_a_failure_and_a_failure_with_a_wait(history: History, views: Path) -> None:
    history.append("environment", awaited("c2"))
    history.render_failed("c2")
    assert known(history, views).awaiting is None
    history.append("environment", awaited("c2"))
    found = known(history, views)
    assert found.awaiting is not None
    assert found.render_failure is None


def test_git_going_elsewhere_ends_the_wait(history: History, views: Path) -> None:
    history.deployed("a", revision="c1")
    history.append("environment", awaited("c2"))
    history.append("environment", DeploySkipped(reason="already-deployed", digest=digest("a"), revision="c3"))
    assert known(history, views).awaiting is None


def test_a_person_who_waits_changes_nothing_for_others(history: History, views: Path) -> None:
    history.observed("c1", "shop/prod")
    history.append("environment", awaited("c9", trigger="person"))
    found = known(history, views)
    assert found.awaiting is None
    assert found.revision == "c1"


@pytest.mark.parametrize(
    ("cause", "replaces", "desired"),
    [("person", "a", "b"), ("person", "other", "a"), ("person", None, "a"), ("policy", "a", "a")],
)
def test_what_a_person_has_looked_up_again_is_what_git_shows_if_it_is_that_commit(
    history: History,
    views: Path,
    cause: Literal["person", "policy"],
    replaces: str | None,
    desired: str,
) -> None:
    history.deployed("a", revision="c1")
    event = ImagesRefreshed(
        digest=digest("b"),
        replaces=None if replaces is None else digest(replaces),
        moved=(MovedImage(ref="web:1", before=digest("w"), now=digest("x")),),
        cause=cause,
    )
    history.append("environment", event)
    assert known(history, views).desired.digest == digest(desired)


def test_an_orphan_is_told_until_it_returns_or_a_person_deploys(history: History, views: Path) -> None:
    gone = EnvironmentOrphaned(ref="refs/heads/main", revision="c2", together=2)
    history.deployed("a")
    history.append("environment", gone)
    orphaned = known(history, views).orphaned
    assert orphaned is not None
    assert (orphaned["revision"], orphaned["together"], orphaned["deferred"]) == ("c2", 2, None)
    history.append("environment", RemovalDeferred(rule="too-many-at-once", detail="2"))
    orphaned = known(history, views).orphaned
    assert orphaned is not None
    assert orphaned["deferred"] == {"rule": "too-many-at-once", "detail": "2"}
    history.append("environment", EnvironmentReturned(ref="refs/heads/main", revision="c3"))
    assert known(history, views).orphaned is None
    history.append("environment", gone)
    history.requested("a", by_person=True)
    assert known(history, views).orphaned is None


def test_what_was_taken_away_is_neither_desired_nor_deployed_until_it_is_asked_for(
    history: History, views: Path
) -> None:
    history.deployed("a")
    history.append(
        "environment",
        DestroyRequested(cause="person", reason="over", hosts={"local": Belongings(volumes=("data",))}),
    )
    going = known(history, views)
    assert going.destroying is not None
    assert going.deployed.digest == digest("a")
    history.append("environment", EnvironmentDestroyed(hosts={"local": Belongings(volumes=("data",))}))
    away = known(history, views)
    assert (away.desired, away.deployed, away.destroying) == (NOTHING, NOTHING, None)
    assert away.destroyed is not None
    assert (away.destroyed["reason"], away.destroyed["volumes"]) == ("over", {"local": ["data"]})
    history.requested("a")
    assert known(history, views).destroyed is None
    assert known(history, views).desired.digest == digest("a")


def test_what_left_waits_until_it_is_confirmed_or_another_release_is_completed(
    history: History, views: Path
) -> None:
    def left() -> None:
        release = history.requested("b")
        history.append("environment", PruneDeferred(release=release, services=("local/a",), most=5))
        history.completed(release, "b")

    history.deployed("a")
    assert known(history, views).unpruned is None
    left()
    waiting = known(history, views).unpruned
    assert waiting is not None
    assert (waiting["services"], waiting["most"]) == (["local/a"], 5)
    history.append("environment", PruneConfirmed(release=waiting["release"], services=("local/a",)))
    assert known(history, views).unpruned is None
    left()
    history.deployed("c")
    assert known(history, views).unpruned is None


def test_a_stopped_service_is_known_until_it_is_started(history: History, views: Path) -> None:
    history.deployed("a", web="h1")
    history.stopped("web", "h1")
    assert known(history, views).stopped[("local", "web")]["reason"] == "moving"
    history.started_again("web")
    assert known(history, views).stopped == {}


@pytest.mark.parametrize(("web", "stays"), [("h1", True), ("h2", False)])
def test_a_stopped_service_is_forgotten_with_a_release_of_another_version(
    history: History, views: Path, *, web: str, stays: bool
) -> None:
    history.deployed("a", web="h1")
    history.stopped("web", "h1")
    history.deployed("b", revision="c2", web=web)
    assert (("local", "web") in known(history, views).stopped) is stays
