"""What a repository says of where its hosts are: taken when a commit is, said once, and only where it may."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters import LateAdapters
from controller.context import Context
from controller.repositories import BranchRules
from events.catalog import decode
from events.catalog.host import HostDeclared, HostReached
from events.kernel.errors import UserError
from events.streams import host_stream
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository

MAY = BranchRules(entry="repositories[0]", hosts=("local", "app-*"))


def project(address: str, *, name: str = "shop", host: str = "app-1", more: str = "") -> str:
    return (
        f"project: {{name: {name}}}\nenvironments: {{prod: {{}}}}\nhosts: {{app: [{host}]}}\n"
        f"network:\n  provider: static\n  static: {{hosts: {{app-1: {{address: {address}{more}}}}}}}\n"
    )


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    return SimulatedController(repository=repository, folder=tmp_path / "home")


def listing(context: Context, host: str) -> Context:
    """The same with a host whose place the operator says."""
    adapters = replace(context.adapters.wired, listed_hosts=frozenset({host}))
    return replace(context, adapters=LateAdapters(lambda: adapters))


def declared(controller: SimulatedController, host: str = "app-1") -> list[str]:
    """What the host's stream says of its place, oldest first."""
    events = [decode(stored) for stored in controller.log.read_stream(host_stream(host))]
    return [f"{one.address}:{one.port}" for one in events if isinstance(one, HostDeclared)]


def test_a_place_is_recorded_with_the_commit_that_names_the_host_and_never_by_an_idle_look(
    controller: SimulatedController,
) -> None:
    revision = controller.merge(project=project("10.0.0.5", more=", port: 2222"), web="web:1")
    controller.look(rules=MAY)
    (stored,) = [one for one in controller.log.read() if one.type == "HostDeclared"]
    assert json.loads(stored.data) == {
        "host": "app-1",
        "address": "10.0.0.5",
        "port": 2222,
        "origin": "git",
        "project": "shop",
        "environment": "prod",
        "revision": revision,
    }
    assert controller.types.index("HostDeclared") < controller.types.index("DeployRequested")
    controller.look(rules=MAY)
    controller.look(rules=MAY)
    assert declared(controller) == ["10.0.0.5:2222"]


def test_a_place_that_moves_is_recorded_and_so_is_the_revert_of_that(controller: SimulatedController) -> None:
    for address in ("10.0.0.5", "10.0.0.6", "10.0.0.5"):
        controller.merge(project=project(address), web="web:1")
        controller.look(rules=MAY)
        controller.look(rules=MAY)
    assert declared(controller) == ["10.0.0.5:22", "10.0.0.6:22", "10.0.0.5:22"]


def test_a_branch_has_no_say_in_hosts_that_it_may_not_deploy_to(controller: SimulatedController) -> None:
    controller.merge(project=project("10.0.0.66"), web="web:1")
    (outcome,) = controller.look()
    assert outcome.failure is not None
    assert outcome.failure.code == "host-not-allowed"
    assert declared(controller) == []
    told = [line for line in controller.said if "no effect" in line]
    assert len(told) == 1
    assert "where app-1 is has no effect: by controller.yml the branch may deploy to local only" in told[0]


def test_a_place_of_a_host_that_no_service_runs_on_is_not_recorded(controller: SimulatedController) -> None:
    controller.merge(project=project("10.0.0.5", host="local"), web="web:1")
    (outcome,) = controller.look(rules=MAY)
    assert outcome.status == "completed"
    assert declared(controller) == []


def test_a_project_does_not_move_a_host_that_another_one_placed(controller: SimulatedController) -> None:
    other = HostDeclared(
        host="app-1", address="10.0.0.5", port=22, origin="git", project="blog", environment="prod"
    )
    controller.context.recorder().append(host_stream("app-1"), other)
    controller.merge(project=project("10.0.0.66"), web="web:1")
    (outcome,) = controller.look(rules=MAY)
    assert outcome.failure is not None
    assert outcome.failure.code == "host-contested"
    assert "DeployDeferred" in controller.types
    assert "DeployRequested" not in controller.types
    before = controller.types
    controller.look(rules=MAY)
    assert controller.types == before
    with pytest.raises(UserError) as caught:
        controller.deploy()
    assert caught.value.code == "host-contested"
    assert declared(controller) == ["10.0.0.5:22"]

    controller.context = listing(controller.context, "app-1")
    controller.look(rules=MAY)
    assert "DeployRequested" in controller.types
    assert declared(controller) == ["10.0.0.5:22", "10.0.0.66:22"]


def test_two_branches_that_disagree_do_not_answer_each_other_for_ever(
    controller: SimulatedController, repository: Repository
) -> None:
    both = "project: {name: shop}\nenvironments: {prod: {}, staging: {}}\n"

    def words(address: str) -> str:
        return both + project(address).partition("environments: {prod: {}}\n")[2]

    controller.merge(project=words("10.0.0.5"), web="web:1")
    repository.branch("next")
    controller.merge(project=words("10.0.0.6"), web="web:1")
    for _ in range(3):
        controller.look("prod", branch="main", rules=MAY)
        controller.look("staging", branch="next", rules=MAY)
    assert declared(controller) == ["10.0.0.5:22", "10.0.0.6:22"]


def test_how_a_host_is_entered_is_refused_in_a_repository(controller: SimulatedController) -> None:
    controller.merge(project=project("10.0.0.5", more=", user: root"), web="web:1")
    with pytest.raises(UserError) as caught:
        controller.look(rules=MAY)
    assert caught.value.code == "config-invalid"
    assert "belongs to the operator" in str(caught.value)
    assert declared(controller) == []


def test_a_person_who_deploys_places_hosts_too(controller: SimulatedController) -> None:
    controller.merge(project=project("10.0.0.5"), web="web:1")
    controller.deploy()
    assert declared(controller) == ["10.0.0.5:22"]


def test_other_words_of_a_host_do_not_hide_its_place(controller: SimulatedController) -> None:
    controller.merge(project=project("10.0.0.5"), web="web:1")
    controller.look(rules=MAY)
    reached = HostReached(host="app-1", machine="m", engine="e", engine_version="1", api_version="1")
    controller.context.recorder().append(host_stream("app-1"), reached)
    controller.merge(project=project("10.0.0.5"), web="web:2")
    controller.look(rules=MAY)
    assert declared(controller) == ["10.0.0.5:22"]
    known = controller.context.known_hosts.of(controller.log)["app-1"]
    assert (str(known.place), known.answers, known.machine) == ("10.0.0.5", True, "m")
