"""Reverts that lead to no tree that was there before: told by their message, with real Git."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.main import run
from controller.home import Home
from events.blobs import FileBlobStore
from events.sqlite import SqliteEventLog
from projections.views.why.reading import why
from projections.views.why.traces import TRACES
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository, git
from tests.unit.projections.views.history import folded


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    return SimulatedController(repository=repository, folder=tmp_path / "home")


def reverts(controller: SimulatedController, revision: str, **images: str) -> str:
    """A revert that met a conflict: somebody resolved it to these images, and the message is Git's."""
    controller.merge(**images)
    message = f'Revert "change"\n\nThis reverts commit {revision}.'
    git("commit", "--quiet", "--amend", "--message", message, cwd=controller.repository.work)
    controller.repository.push("--force")
    return controller.repository.head()


def decided(controller: SimulatedController) -> list[tuple[str, str, str | None]]:
    """Type, way and what is taken back, of each request by Git."""
    found = [(one.type, json.loads(one.data)) for one in controller.log.read()]
    return [
        (kind, data.get("by", ""), data.get("reverts"))
        for kind, data in found
        if kind in {"DeployRequested", "RevertDetected"}
    ]


def test_a_revert_that_met_a_conflict_takes_back_the_release_that_it_names(
    controller: SimulatedController, tmp_path: Path
) -> None:
    controller.merge(web="web:v1", worker="worker:v1")
    controller.look()
    bad = controller.merge(web="web:v2", worker="worker:v1")
    controller.look()
    release = controller.state.deployed
    controller.merge(web="web:v2", worker="worker:v2")
    controller.look()
    revert = reverts(controller, bad, web="web:v1.1", worker="worker:v2")
    controller.look()
    assert decided(controller)[-1] == ("RevertDetected", "message", release)
    assert controller.state.deployed_release is not None
    assert controller.state.deployed_release.kind == "revert"
    with folded(controller.log, tmp_path / "views.db", TRACES) as tables:
        answer = why(controller.log, tables, revert)
    assert f"takes back what {release} brought" in answer.sentence
    assert "says-it-reverts" in [step.rule for step in answer.steps]


def test_a_commit_that_came_inside_a_merge_leads_to_the_release_of_the_merge(
    controller: SimulatedController,
) -> None:
    controller.merge(web="web:v1", worker="worker:v1")
    controller.look()
    controller.repository.branch("feature")
    inside = controller.merge(web="web:v2", worker="worker:v1")
    controller.repository.switch("main")
    controller.repository.merge("feature")
    controller.look()
    release = controller.state.deployed
    controller.merge(web="web:v2", worker="worker:v2")
    controller.look()
    reverts(controller, inside, web="web:v1", worker="worker:v2")
    controller.look()
    assert decided(controller)[-1] == ("RevertDetected", "message", release)


def test_a_revert_of_a_revert_takes_the_revert_back_and_one_in_the_same_push_nothing(
    controller: SimulatedController,
) -> None:
    controller.merge(web="web:v1")
    controller.look()
    bad = controller.merge(web="web:v2")
    controller.look()
    first = reverts(controller, bad, web="web:v1.1")
    controller.look()
    release = controller.state.deployed
    second = reverts(controller, first, web="web:v2.1")
    controller.look()
    assert decided(controller)[-1] == ("RevertDetected", "message", release)
    third = reverts(controller, second, web="web:v3")
    reverts(controller, third, web="web:v4")
    controller.look()
    assert decided(controller)[-1][0] == "DeployRequested"


def test_a_message_does_not_bring_a_held_change_back(controller: SimulatedController) -> None:
    controller.merge(web="web:v1", worker="worker:v1")
    controller.look()
    bad = controller.merge(web="web:v2", worker="worker:v1")
    controller.look()
    controller.rollback()
    reverts(controller, bad, web="web:v2", worker="worker:v2")
    controller.look()
    assert controller.types[-1] == "DeployDeferred"
    assert controller.state.hold is not None


def test_a_clean_revert_is_told_by_its_tree_and_renders_nothing(controller: SimulatedController) -> None:
    controller.merge(web="web:v1")
    controller.look()
    controller.merge(web="web:v2")
    controller.look()
    release = controller.state.deployed
    renders = controller.types.count("ManifestRendered")
    controller.repository.revert()
    controller.look()
    assert decided(controller)[-1] == ("RevertDetected", "tree", release)
    assert controller.types.count("ManifestRendered") == renders


def test_what_nobody_deployed_cannot_be_taken_back(controller: SimulatedController) -> None:
    first = controller.merge(web="web:v1")
    controller.look()
    reverts(controller, "ab" * 20, web="web:v2")
    controller.look()
    assert decided(controller)[-1][0] == "DeployRequested"
    assert first == controller.state.renders[0].revision


@pytest.fixture
def recorded(repository: Repository, tmp_path: Path) -> Iterator[SimulatedController]:
    """A controller whose home the command can read."""
    home = Home(tmp_path / "home")
    home.create()
    with closing(SqliteEventLog(home.events_db)) as log:
        yield SimulatedController(
            repository=repository, folder=home.root, log=log, blobs=FileBlobStore(home.blobs)
        )


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_plan_foretells_the_kind_of_release_that_a_look_then_makes(
    recorded: SimulatedController,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    dry_run: bool,
) -> None:
    monkeypatch.chdir(recorded.repository.work)
    monkeypatch.setenv("STAGECRAFT_HOME", str(recorded.folder))

    def kind() -> str:
        """The line of the plan for the commit that is checked out and pushed, and what it comes to."""
        watch = ("controller", "run", "--repo", str(recorded.repository.origin), "--dry-run")
        assert run(watch if dry_run else ("plan", "--env", "prod")) == 0
        lines = capsys.readouterr().out.splitlines()
        recorded.look()
        return next((line for line in lines if line.startswith("Kind: ")), "")

    good = recorded.merge(web="web:v1")
    assert kind() == ""
    bad = recorded.merge(web="web:v2")
    assert kind() == ""
    release = recorded.state.deployed
    reverts(recorded, bad, web="web:v1.1")
    assert kind() == f"Kind: revert of {bad} ({release}), because its message says so"
    assert decided(recorded)[-1] == ("RevertDetected", "message", release)
    last, release = recorded.repository.head(), recorded.state.deployed
    git("checkout", "--quiet", good, "--", ".", cwd=recorded.repository.work)
    recorded.repository.commit({}, "as it was")
    assert kind() == f"Kind: revert of {last} ({release}), because it leads to what ran before"
    assert decided(recorded)[-1] == ("RevertDetected", "tree", release)
    recorded.merge(web="web:v3")
    assert kind() == ""
    if not dry_run:
        assert run(("plan", "--env", "prod", "--format", "json", "--rev", last)) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["kind"], shown["reverts"]["by"]) == ("revert", "tree")


def test_where_no_branch_is_watched_nothing_is_foretold(
    recorded: SimulatedController, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(recorded.repository.work)
    monkeypatch.setenv("STAGECRAFT_HOME", str(recorded.folder))
    for image in ("web:v1", "web:v2"):
        recorded.merge(web=image)
        recorded.deploy()
    recorded.repository.revert()
    assert run(("plan", "--env", "prod", "--format", "json")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["reverts"]) == ("deploy", None)
