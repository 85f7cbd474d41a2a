"""What a repository may ask for: real renders, decided on, deployed to a simulated engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.kernel.errors import UserError
from tests.support.controllers import PROJECT, SimulatedController
from tests.support.repos import Repository


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(web="web:1")  # so that the image is there
    return made


def asks(controller: SimulatedController, service: str, *, tail: str = "") -> None:
    """Merge a service with these keys."""
    compose = f"services: {{web: {{image: 'web:1', {service}}}}}\n{tail}"
    controller.repository.commit({"stagecraft.yml": PROJECT, "compose.yaml": compose})


DANGEROUS = [
    ("privileged: true", "privileged"),
    ("pid: host", "host-pid"),
    ("network_mode: host", "host-network"),
    ("ipc: host", "host-ipc"),
    ("uts: host", "host-uts"),
    ("userns_mode: host", "host-userns"),
    ("cgroup: host", "host-cgroup"),
    ("volumes: ['/var/run/docker.sock:/var/run/docker.sock']", "engine-socket"),
    ("volumes: ['/:/host:ro']", "host-root"),
    ("volumes: ['/etc:/x']", "system-path"),
    ("cap_add: [ALL]", "capabilities"),
    ("devices: ['/dev/kmsg:/dev/kmsg']", "devices"),
    ("security_opt: ['seccomp:unconfined']", "unconfined"),
    ("network_mode: 'container:other'", "foreign-containers"),
    ("environment: {A: '${NOBODY_SETS_THIS}'}", "unset-variables"),
]


@pytest.mark.parametrize(("service", "permission"), DANGEROUS)
def test_it_renders_is_deferred_once_and_runs_when_the_operator_allows_it(
    controller: SimulatedController, service: str, permission: str
) -> None:
    asks(controller, service)
    (outcome,) = controller.look()
    assert (outcome.status, controller.engine.world.ids("web")) == ("deferred", [])
    assert outcome.detail.startswith(f"not-allowed: {permission}")
    assert "ManifestRendered" in controller.types
    before = controller.types
    controller.look()
    assert controller.types == before
    controller.allow(shop=[permission])
    (outcome,) = controller.look()
    assert outcome.status == "completed"


@pytest.mark.parametrize(
    "tail",
    [
        "volumes: {data: {driver_opts: {type: none, o: bind, device: /}}}",
        "volumes: {data: {driver_opts: {type: overlay, o: 'lowerdir=/', device: overlay}}}",
    ],
)
def test_a_named_volume_is_no_way_around(controller: SimulatedController, tail: str) -> None:
    asks(controller, "volumes: ['data:/data']", tail=tail)
    (outcome,) = controller.look()
    assert outcome.status == "deferred"
    assert "host-root" in outcome.detail


@pytest.mark.parametrize("section", ["configs", "secrets"])
def test_a_file_of_the_host_as_a_config_is_no_way_around(
    controller: SimulatedController, section: str
) -> None:
    asks(controller, f"{section}: [c]", tail=f"{section}: {{c: {{file: /etc/shadow}}}}")
    (outcome,) = controller.look()
    assert "system-path:/etc/shadow" in outcome.detail


def test_the_log_and_the_state_of_stagecraft_are_no_folder_to_mount(
    controller: SimulatedController,
) -> None:
    home = controller.context.home.root
    asks(controller, f"volumes: ['{home}/keys:/keys']")
    (outcome,) = controller.look()
    assert f"system-path:{home}/keys" in outcome.detail


def test_what_one_project_is_allowed_another_is_not(controller: SimulatedController) -> None:
    controller.allow(blog=["privileged"])
    asks(controller, "privileged: true")
    assert controller.look()[0].status == "deferred"


def test_what_runs_goes_on_while_a_merge_is_not_allowed(controller: SimulatedController) -> None:
    controller.look()
    before = controller.engine.world.ids("web")
    asks(controller, "privileged: true")
    assert controller.look()[0].status == "deferred"
    assert controller.engine.world.ids("web") == before


def test_a_person_is_refused_with_what_to_do_and_the_log_says_so(controller: SimulatedController) -> None:
    asks(controller, "cap_add: [NET_ADMIN]")
    with pytest.raises(UserError) as caught:
        controller.deploy()
    assert caught.value.code == "not-allowed"
    assert "--allow capabilities:NET_ADMIN" in caught.value.next
    assert "policy.shop/prod.allow" in caught.value.next
    refused = controller.log.read()[-1]
    assert (refused.type, refused.actor.kind) == ("DeployRefused", "cli")
    assert controller.engine.world.ids("web") == []


def test_a_person_can_allow_it_by_name_and_the_log_says_who(controller: SimulatedController) -> None:
    asks(controller, "cap_add: [NET_ADMIN]")
    assert controller.deploy(allow=["capabilities:NET_ADMIN"]).status == "completed"
    (asked,) = controller.log.read(type_name="DeployRequested")
    assert json.loads(asked.data)["allowed"] == ["capabilities:NET_ADMIN"]
    assert asked.actor.kind == "cli"


def test_a_revert_to_what_a_person_allowed_is_let_through(controller: SimulatedController) -> None:
    asks(controller, "cap_add: [NET_ADMIN]")
    controller.deploy(allow=["capabilities:NET_ADMIN"])
    asks(controller, "labels: {a: b}")
    assert controller.look()[0].status == "completed"
    controller.repository.revert()
    assert controller.look()[0].status == "completed"
    assert controller.types.count("RevertDetected") == 1


def test_a_rollback_passes_the_same_gate(controller: SimulatedController) -> None:
    controller.allow(shop=["privileged"])
    asks(controller, "privileged: true")
    controller.look()
    asks(controller, "labels: {a: b}")
    controller.look()
    controller.allow()
    with pytest.raises(UserError, match="privileged"):
        controller.rollback()
    assert controller.rollback(allow=["privileged"]).status == "completed"


def test_a_blank_that_is_meant_is_no_unset_variable(controller: SimulatedController) -> None:
    asks(controller, "environment: {A: '${NOBODY_SETS_THIS:-}'}")
    assert controller.look()[0].status == "completed"
