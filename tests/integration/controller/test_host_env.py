"""Values that stay on the host: used, compared, and never told."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters import LateAdapters
from controller.host_names import host_names, host_references
from events import labels
from events.kernel.errors import UserError
from events.kernel.redact import REDACT
from events.manifest import Manifest
from projections.converge.converger import Converger
from tests.integration.gitops.renders import drafted, service_of
from tests.support.controllers import PROJECT, SimulatedController
from tests.support.repos import Repository

VALUE = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _nothing_learnt() -> Generator[None]:
    yield
    REDACT.forget()


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "platform.env"
    path.write_text(f"DB_PASSWORD={VALUE}\nMODE=fast\n")
    return path


@pytest.fixture
def controller(repository: Repository, tmp_path: Path, env_file: Path) -> SimulatedController:
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    converger = Converger(
        log=made.log,
        blobs=made.context.blobs,
        engines={"local": made.engine},
        roots={"local": made.context.home.local},
        observed=made.context.observed,
        clock=made.clock,
        progress=made.said.append,
        binding_key=b"k" * 32,
    )
    adapters = replace(made.context.adapters.wired, converger=converger)
    made.context = replace(made.context, adapters=LateAdapters(lambda: adapters))
    made.merge(web="web:1", worker="worker:1")
    compose = (
        f"services:\n  web: {{image: 'web:1', env_file: [own.env, '{env_file}']}}\n"
        "  worker: {image: 'worker:1'}\n"
    )
    repository.commit({"stagecraft.yml": PROJECT, "compose.yaml": compose, "own.env": "A=1\n"})
    return made


def told(controller: SimulatedController) -> str:
    """All that is recorded, shown or kept beside the engine's own data."""
    files = (path for path in controller.context.home.root.rglob("*") if path.is_file())
    recorded = b"".join(event.data for event in controller.log.read())
    return "".join(
        [recorded.decode(), *controller.said, *(path.read_bytes().decode(errors="replace") for path in files)]
    )


def test_the_document_names_the_file_and_holds_what_the_commit_supplies(
    tmp_path: Path, env_file: Path
) -> None:
    compose = f"services: {{web: {{image: x, env_file: [own.env, {{path: '{env_file}', format: raw}}]}}}}"
    made = drafted(tmp_path / "tree", {"compose.yaml": compose, "own.env": "A=1\n"})
    web = service_of(made)
    assert web["environment"] == {"A": "1"}
    assert web["env_file"] == [{"path": str(env_file), "format": "raw"}]
    assert host_names(made) == {str(env_file): ("DB_PASSWORD", "MODE")}
    env_file.unlink()
    assert host_names(made) == {str(env_file): None}


def test_the_release_says_names_and_a_keyed_digest_and_never_a_value(
    controller: SimulatedController, env_file: Path
) -> None:
    assert controller.look()[0].status == "completed"
    (bound,) = controller.log.read(type_name="HostVariablesBound")
    data = json.loads(bound.data)
    assert data["names"] == {str(env_file): ["DB_PASSWORD", "MODE"]}
    assert VALUE not in told(controller)
    label = controller.engine.world.named("shop-prod-web-1").labels[labels.HOST_ENV]
    assert len(label) == 64
    assert labels.HOST_ENV not in controller.engine.world.named("shop-prod-worker-1").labels


def test_a_changed_value_is_a_drift_of_the_services_that_take_it_alone(
    controller: SimulatedController, env_file: Path
) -> None:
    controller.look()
    before = {name: controller.engine.world.ids(name) for name in ("web", "worker")}
    events = len(controller.types)
    controller.look()
    assert len(controller.types) == events
    env_file.write_text("DB_PASSWORD=another-horse\nMODE=fast\n")
    (outcome,) = controller.look()
    assert outcome.healed
    assert controller.engine.world.ids("web") != before["web"]
    assert controller.engine.world.ids("worker") == before["worker"]
    (drift,) = controller.log.read(type_name="DriftDetected")
    assert json.loads(drift.data)["services"] == {"web": "an env file of the host changed"}
    assert len(controller.log.read(type_name="HostVariablesBound")) == 2
    assert "another-horse" not in told(controller)
    assert controller.look()[0].healed is False


def test_a_file_that_is_missing_starts_nothing_and_stops_nothing(
    controller: SimulatedController, env_file: Path
) -> None:
    content = env_file.read_text()
    env_file.unlink()
    (outcome,) = controller.look()
    assert outcome.failure is not None
    assert outcome.failure.code == "host-env-missing"
    assert (outcome.failure.service, controller.engine.world.ids("web")) == ("web", [])
    env_file.write_text(content)
    controller.clock.advance(3600)
    assert controller.look()[0].status == "completed"
    before = controller.engine.world.ids("web")
    env_file.unlink()
    assert controller.look()[0].status == "in-sync"
    assert controller.engine.world.ids("web") == before


def test_a_file_of_passwords_is_not_told(controller: SimulatedController, env_file: Path) -> None:
    env_file.write_text("root:$6$thehash:19000:0:99999:7:::\n")
    (outcome,) = controller.look()
    assert outcome.failure is not None
    assert outcome.failure.code == "host-env-invalid"
    assert "thehash" not in told(controller)


def test_the_manifest_holds_the_path_alone(controller: SimulatedController, env_file: Path) -> None:
    controller.look()
    digest = controller.state.deployed_digest
    assert digest is not None
    manifest: Manifest = controller.context.manifest(digest)
    assert VALUE.encode() not in manifest.encode()
    assert str(env_file).encode() in manifest.encode()


@pytest.fixture
def referring(controller: SimulatedController, env_file: Path) -> SimulatedController:
    """The same with references to the environment's file, one of which nothing else sets."""
    compose = (
        "services:\n"
        "  web: {image: 'web:1', environment: {PW: '${DB_PASSWORD}', URL: 'x://u:${DB_PASSWORD:?needed}@db'}}\n"
        "  worker: {image: 'worker:1', environment: {M: '${MODE:-slow}'}}\n"
    )
    controller.repository.commit(
        {"stagecraft.yml": PROJECT.replace("{}", f"{{env_file: {env_file}}}"), "compose.yaml": compose}
    )
    return controller


def test_references_are_bound_by_name_and_no_pass_after_it_does_anything(
    referring: SimulatedController, env_file: Path
) -> None:
    assert referring.look()[0].status == "completed"
    (bound,) = referring.log.read(type_name="HostVariablesBound")
    data = json.loads(bound.data)
    assert data["names"] == {str(env_file): ["DB_PASSWORD", "MODE"]}
    assert {name: sorted(found) for name, found in data["variables"].items()} == {
        "web": ["DB_PASSWORD"],
        "worker": ["MODE"],
    }
    digest = referring.state.deployed_digest
    assert digest is not None
    assert VALUE not in told(referring) + referring.context.manifest(digest).encode().decode()
    events = len(referring.types)
    env_file.write_text(env_file.read_text() + "# a word\nMORE=1\n")
    referring.look()
    assert len(referring.types) == events


def test_a_value_that_changes_replaces_who_refers_to_it(
    referring: SimulatedController, env_file: Path
) -> None:
    referring.look()
    before = {name: referring.engine.world.ids(name) for name in ("web", "worker")}
    env_file.write_text(f"DB_PASSWORD={VALUE}\n")  # MODE comes to its default
    assert referring.look()[0].healed
    assert referring.engine.world.ids("web") == before["web"]
    assert referring.engine.world.ids("worker") != before["worker"]


def test_a_name_that_the_file_lacks_starts_nothing_until_it_is_there(
    referring: SimulatedController, env_file: Path
) -> None:
    env_file.write_text("MODE=fast\n")
    (outcome,) = referring.look()
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.failure.service) == ("host-variable-missing", "web")
    assert f"{env_file} of the host does not have DB_PASSWORD" in outcome.failure.message
    assert referring.engine.world.ids("worker") == []
    env_file.write_text(f"DB_PASSWORD={VALUE}\n")
    referring.clock.advance(3600)
    assert referring.look()[0].status == "completed"
    env_file.write_text("COMPOSE_REMOVE_ORPHANS=1\n")
    before = referring.engine.world.ids("web")
    assert referring.look()[0].status == "in-sync"
    assert referring.engine.world.ids("web") == before


def test_a_plan_lists_the_names_by_service_and_what_is_missing(tmp_path: Path, env_file: Path) -> None:
    compose = "services: {web: {image: x, environment: {A: '${DB_PASSWORD}', B: '${GONE}', C: '${D:-c}'}}}"
    project = PROJECT.replace("{}", f"{{env_file: {env_file}}}")
    made = drafted(tmp_path / "tree", {"stagecraft.yml": project, "compose.yaml": compose})
    (found,) = host_references(made)
    assert (found.service, found.names, found.missing) == ("web", ("D", "DB_PASSWORD", "GONE"), ("GONE",))
    env_file.unlink()
    assert host_references(made)[0].missing is None


def test_the_keys_of_stagecraft_are_no_env_file(controller: SimulatedController) -> None:
    key = controller.context.home.keys / "binding.key"
    compose = f"services: {{web: {{image: 'web:1', env_file: '{key}'}}}}"
    controller.repository.commit({"compose.yaml": compose})
    with pytest.raises(UserError, match="system-path"):
        controller.deploy()
