"""Images from a registry: pinned once, and needed only when something new appears."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.e2e.team import Team
from tests.support.images import TestImages
from tests.support.registry import Registry, put_image, running_registry


@pytest.fixture
def registry(tmp_path: Path, engine: DockerClient) -> Generator[Registry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder) as running:
        yield running
        running.forget(engine)


@pytest.fixture
def pulling(team: Team, engine: DockerClient, images: TestImages, registry: Registry) -> Team:
    """The team, whose web service comes from the registry."""
    team.web = registry.push(engine, images.web("v1"), "web", "v1")
    return team


def test_a_floating_tag_that_moves_does_not_move_what_runs(
    pulling: Team, engine: DockerClient, images: TestImages, registry: Registry
) -> None:
    pulling.deploys("first")
    before = pulling.project.ids()
    pin = pulling.release(pulling.releases()[0]["id"])["images"]["web"]
    assert pin["pin_kind"] == "repo-digest"
    assert pin["ref"] == pulling.web
    registry.push(engine, images.web("v2"), "web", "v1")
    pulling.deploys("elsewhere", worker=images.web("v2", name="worker"))
    assert pulling.answer() == "web v1"
    assert pulling.project.ids()["web"] == before["web"]
    assert pulling.release(pulling.releases()[0]["id"])["images"]["web"] == pin


def test_reverts_and_rollbacks_need_no_registry(
    pulling: Team, engine: DockerClient, images: TestImages, registry: Registry
) -> None:
    pulling.deploys("first")
    pulling.deploys("second", web=registry.push(engine, images.web("v2"), "web", "v2"))
    assert pulling.answer() == "web v2"
    registry.stop()
    pulling.repository.revert()
    pulling.look().expect(0)
    assert pulling.answer() == "web v1"
    assert pulling.releases()[0]["kind"] == "revert"


def test_the_rollback_stock_survives_a_prune_and_a_removed_name(
    pulling: Team, engine: DockerClient, images: TestImages, registry: Registry
) -> None:
    pulling.deploys("first")
    pulling.deploys("second", web=registry.push(engine, images.web("v2"), "web", "v2"))
    registry.stop()
    registry.forget(engine)
    engine.images.prune(filters={"dangling": True})  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
    pulling.cli.ok("rollback", "--env", "prod", "--to-previous", seconds=90)
    assert pulling.answer() == "web v1"


def test_a_registry_that_does_not_answer_touches_nothing(pulling: Team, registry: Registry) -> None:
    pulling.deploys("first")
    registry.stop()
    pulling.merge("second", web=f"{registry.address}/web:v2")
    outcome = pulling.look()
    assert outcome.code == 2, outcome.stderr
    assert "registry-unreachable" in outcome.stderr
    assert pulling.answer() == "web v1"


def test_refreshing_takes_what_the_tags_mean_now_and_git_shows_it_from_then_on(
    pulling: Team, engine: DockerClient, images: TestImages, registry: Registry
) -> None:
    pulling.deploys("first")
    before = pulling.project.ids()
    registry.push(engine, images.web("v2"), "web", "v1")
    deploy = ("deploy", "--env", "prod", "--refresh-images")
    pulling.cli.run(*deploy, cwd=pulling.repository.work, seconds=90).expect(0)
    assert pulling.answer() == "web v2"
    assert pulling.project.ids()["worker"] == before["worker"]
    (refreshed,) = [one["data"] for one in pulling.events() if one["type"] == "ImagesRefreshed"]
    assert refreshed["cause"] == "person"
    assert [one["ref"] for one in refreshed["moved"]] == [pulling.web]
    assert pulling.status()["hold"] is None
    known = len(pulling.types())
    pulling.look().expect(0)
    assert len(pulling.types()) == known
    pulling.deploys("elsewhere", greeting="good evening")
    assert pulling.answer() == "web v2"


def test_a_revert_brings_back_what_ran_and_not_what_the_tag_means_now(
    pulling: Team, engine: DockerClient, images: TestImages, registry: Registry
) -> None:
    pulling.deploys("first")
    pulling.deploys("second", greeting="good evening")
    registry.push(engine, images.web("v2"), "web", "v1")
    pulling.repository.revert()
    pulling.look().expect(0)
    assert pulling.answer() == "web v1"


def test_with_on_deploy_each_new_commit_looks_its_tags_up_again(
    pulling: Team, engine: DockerClient, images: TestImages, registry: Registry
) -> None:
    pulling.extra = "images: {refresh: on-deploy}\n"
    pulling.deploys("first")
    registry.push(engine, images.web("v2"), "web", "v1")
    pulling.look().expect(0)
    assert pulling.answer() == "web v1"
    pulling.deploys("second", greeting="good evening")
    assert pulling.answer() == "web v2"
    (refreshed,) = [one["data"] for one in pulling.events() if one["type"] == "ImagesRefreshed"]
    assert (refreshed["cause"], refreshed["replaces"]) == ("policy", None)


def test_an_image_for_another_platform_is_refused_before_anything_is_touched(
    pulling: Team, registry: Registry
) -> None:
    pulling.deploys("first")
    put_image(registry.address, "foreign", "v1", config={"os": "linux", "architecture": "s390x"})
    pulling.merge("second", web=f"{registry.address}/foreign:v1")
    outcome = pulling.look()
    assert outcome.code == 2, outcome.stderr
    assert "image-platform-missing" in outcome.stderr
    assert "it is there for linux/s390x" in outcome.stderr
    assert pulling.answer() == "web v1"
