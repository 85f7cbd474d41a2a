"""Why a container exists, from events that a whole controller appended."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.demo.trail import described, newest_container, trail
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    return SimulatedController(repository=repository, folder=tmp_path / "home")


def newest(controller: SimulatedController) -> str:
    found = newest_container(controller.log.read(), "web")
    assert found is not None
    return found


def types(controller: SimulatedController) -> list[str]:
    return [event.type for event in trail(controller.log.read(), newest(controller))]


def test_a_deployed_container_leads_back_to_its_commit(controller: SimulatedController) -> None:
    revision = controller.merge(web="web:v1")
    controller.look()
    assert types(controller)[0] == "ServiceReplaced"
    found = set(types(controller))
    assert {"ReleaseStarted", "DeployRequested", "ManifestRendered", "RevisionObserved"} <= found
    lines = [described(event) for event in trail(controller.log.read(), newest(controller))]
    assert newest(controller)[:12] in lines[0]
    assert revision[:12] in lines[-1]


def test_a_rolled_back_container_leads_to_the_person_and_to_the_commit_that_it_runs(
    controller: SimulatedController,
) -> None:
    wanted = controller.merge(web="web:v1")
    controller.look()
    controller.merge(web="web:v2")
    controller.look()
    controller.rollback()
    found = types(controller)
    assert found.index("RollbackRequested") < found.index("ManifestRendered")
    lines = [described(event) for event in trail(controller.log.read(), newest(controller))]
    assert any("by cli" in line for line in lines)
    assert wanted[:12] in lines[-1]


def test_a_container_that_no_event_names_has_no_trail(controller: SimulatedController) -> None:
    controller.merge(web="web:v1")
    controller.look()
    assert trail(controller.log.read(), "f" * 64) == []
    assert newest_container(controller.log.read(), "worker") is None
