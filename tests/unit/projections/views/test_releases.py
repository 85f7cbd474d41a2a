"""The history of Releases, as rows and as the published JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from events.catalog import event_classes
from events.catalog.release import PHASES
from events.envelope import ProposedEvent
from events.log import StreamAppend
from events.streams import host_stream
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.environments import list_environments
from projections.views.release_fold import RELEASES
from projections.views.releases import PHASE_NAMES, find_release, list_releases
from tests.support.time import START, CountingIds
from tests.unit.projections.views.history import FAILURE, History, digest, folded


@pytest.fixture
def history() -> Iterator[History]:
    made = History()
    yield made
    made.log.close()


def listed(history: History, path: Path) -> list[dict[str, Any]]:
    with folded(history.log, path / "views.db", RELEASES) as tables:
        return [release.as_json() for release in list_releases(tables)]


def shown(history: History, path: Path, release: str) -> dict[str, Any]:
    with folded(history.log, path / "views.db", RELEASES) as tables:
        found = find_release(tables, release)
    assert found is not None
    return found.as_json()


def test_the_phases_are_those_of_the_catalogue() -> None:
    assert PHASE_NAMES == PHASES


def test_every_event_type_it_concerns_exists() -> None:
    assert RELEASES.concerns <= set(event_classes())


def test_a_list_is_newest_first_with_the_published_keys(history: History, tmp_path: Path) -> None:
    first = history.deployed("a", revision="c1")
    second = history.requested("b", revision="c2", previous=first)
    assert listed(history, tmp_path) == [
        {
            "id": second,
            "project": "shop",
            "environment": "prod",
            "version": "c2",
            "revision": "c2",
            "digest": digest("b"),
            "created_at": "2026-01-02T03:04:09.000Z",
            "status": "pending",
            "previous_id": first,
            "kind": "deploy",
        },
        {
            "id": first,
            "project": "shop",
            "environment": "prod",
            "version": "c1",
            "revision": "c1",
            "digest": digest("a"),
            "created_at": "2026-01-02T03:04:06.000Z",
            "status": "completed",
            "previous_id": None,
            "kind": "deploy",
        },
    ]


@pytest.mark.parametrize(
    "verdict", ["pending", "running", "completed", "failed", "rolled_back", "superseded"]
)
def test_a_release_has_the_status_of_its_newest_event(history: History, tmp_path: Path, verdict: str) -> None:
    release = history.requested("a")
    if verdict not in ("pending", "superseded"):
        history.started(release)
    if verdict == "completed":
        history.completed(release)
    if verdict == "failed":
        history.failed(release)
    if verdict == "rolled_back":
        history.rolled_back(release, "a", restored="b")
    if verdict == "superseded":
        history.superseded(release, by="rel-x")
    assert [one["status"] for one in listed(history, tmp_path)] == [verdict]


def test_the_phase_that_a_newer_release_ended_is_not_under_way_any_more(
    history: History, tmp_path: Path
) -> None:
    release = history.requested("a")
    history.started(release)
    history.phase_started(release, "rollout")
    history.superseded(release, by="rel-x")
    phases = {
        one["name"]: (one["status"], one["detail"]) for one in shown(history, tmp_path, release)["phases"]
    }
    assert phases["rollout"] == ("skipped", "superseded by rel-x")
    assert phases["finalize"] == ("pending", "")


def test_reverts_and_rollbacks_are_kinds_of_their_own(history: History, tmp_path: Path) -> None:
    first = history.deployed("a")
    second = history.deployed("b", revision="c2", previous=first)
    third = history.reverted("a", revision="c3", previous=second, reverts=second)
    fourth = history.rollback("b", target=second, previous=third)
    assert [(one["id"], one["kind"]) for one in listed(history, tmp_path)][:2] == [
        (fourth, "rollback"),
        (third, "revert"),
    ]
    assert shown(history, tmp_path, third)["reverts"] == second
    assert shown(history, tmp_path, fourth)["reverts"] == third


def test_a_retry_names_what_it_repeats(history: History, tmp_path: Path) -> None:
    failed = history.requested("a")
    history.failed(failed)
    retry = history.requested("a", retry_of=failed)
    assert shown(history, tmp_path, retry)["retry_of"] == failed
    assert shown(history, tmp_path, failed)["retry_of"] is None


def test_only_the_environments_asked_for_are_listed(history: History, tmp_path: Path) -> None:
    wanted = history.requested("a")
    history.environment = "stage"
    history.requested("a")
    with folded(history.log, tmp_path / "views.db", RELEASES) as tables:
        found = list_releases(tables, environments=[("shop", "prod")])
        assert [one.id for one in found] == [wanted]
        assert list_releases(tables, environments=[("other", "prod")]) == []


def test_phases_are_six_in_order_and_pending_until_they_begin(history: History, tmp_path: Path) -> None:
    release = history.requested("a")
    history.phase_completed(release, "build")
    history.phase_started(release, "push")
    history.phase_completed(release, "push", "2 images pulled")
    history.phase_started(release, "migrate_pre")
    assert shown(history, tmp_path, release)["phases"] == [
        {"name": "build", "status": "completed", "detail": "no-op"},
        {"name": "push", "status": "completed", "detail": "2 images pulled"},
        {"name": "migrate_pre", "status": "running", "detail": ""},
        {"name": "rollout", "status": "pending", "detail": ""},
        {"name": "migrate_post", "status": "pending", "detail": ""},
        {"name": "finalize", "status": "pending", "detail": ""},
    ]


def test_a_failed_phase_says_why_and_skipped_ones_after_what(history: History, tmp_path: Path) -> None:
    release = history.requested("a")
    history.phase_failed(release, "rollout")
    history.phase_skipped(release, "finalize", "rollout failed")
    phases = {one["name"]: one for one in shown(history, tmp_path, release)["phases"]}
    assert phases["rollout"] == {"name": "rollout", "status": "failed", "detail": "web exited"}
    assert phases["finalize"] == {"name": "finalize", "status": "skipped", "detail": "rollout failed"}


def test_images_are_those_of_the_manifest_in_this_environment(history: History, tmp_path: Path) -> None:
    history.rendered("a", web="h1", db="h2")
    release = history.requested("a")
    history.environment = "stage"
    other = history.requested("a")
    pins = {
        "db": {"ref": "db:1", "pin": digest("db"), "pin_kind": "repo-digest"},
        "web": {"ref": "web:1", "pin": digest("web"), "pin_kind": "repo-digest"},
    }
    assert shown(history, tmp_path, release)["images"] == pins
    assert shown(history, tmp_path, other)["images"] == {}


def test_the_failure_of_a_release_is_kept_whole(history: History, tmp_path: Path) -> None:
    release = history.requested("a")
    history.failed(release)
    with folded(history.log, tmp_path / "views.db", RELEASES) as tables:
        found = find_release(tables, release)
    assert found is not None
    assert found.failure == FAILURE.model_dump(mode="json")


def test_an_unknown_release_is_none(history: History, tmp_path: Path) -> None:
    with folded(history.log, tmp_path / "views.db", RELEASES) as tables:
        assert find_release(tables, "rel-x") is None


def test_newest_is_what_was_requested_last_whatever_its_id(history: History, tmp_path: Path) -> None:
    first = history.requested("a")
    history.ids = CountingIds(START - timedelta(days=1))  # another machine's clock
    second = history.requested("b")
    assert second < first
    assert [one["id"] for one in listed(history, tmp_path)] == [second, first]


def test_of_two_requests_with_one_id_the_first_counts(history: History, tmp_path: Path) -> None:
    release = history.requested("a")
    history.ids = type(history.ids)()  # begins again, as another process might
    history.ids.event_id()
    history.environment = "stage"
    for _ in range(5):
        history.ids.event_id()
    assert history.requested("b") == release
    assert [(one["environment"], one["id"]) for one in listed(history, tmp_path)] == [("prod", release)]


def test_an_event_in_a_stream_of_another_kind_is_passed_over(history: History, tmp_path: Path) -> None:
    release = history.requested("a")
    template = history.log.read()[0]
    for type_name in ("DeployRequested", "ManifestRendered"):
        stray = ProposedEvent(
            id=history.ids.event_id(),
            type=type_name,
            schema=1,
            time=template.time,
            actor=template.actor,
            correlation=template.correlation,
            causation=None,
            data=b"{}",
        )
        history.log.append([StreamAppend(stream=host_stream("local"), events=(stray,))])
    with folded(history.log, tmp_path / "views.db", RELEASES, ENVIRONMENTS) as tables:
        assert [one.id for one in list_releases(tables)] == [release]
        assert list_environments(tables) == [("shop", "prod")]
