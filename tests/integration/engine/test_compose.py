"""What Compose does with a real engine: the facts that the converger is built on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.models.containers import Container

from events.kernel.compose_client import compose_client, compose_environment
from events.kernel.errors import OutsideError, UserError
from projections.engine.docker import DockerEngine
from projections.engine.docker_connection import Deadlines
from projections.engine.port import App
from projections.engine.ports import held_here, taken_ports, wanted_ports
from projections.engine.sweep import Remove, Rename, sweep
from tests.integration.engine.conftest import Apps
from tests.support.cleanup import EngineProject
from tests.support.engine import SOCKET
from tests.support.images import TestImages
from tests.support.processes import free_port, wait_until

STUBBORN = {"command": ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"], "stop_grace_period": "60s"}


def published(port: int) -> dict[str, Any]:
    return {"ports": [{"mode": "ingress", "target": 8080, "published": str(port), "protocol": "tcp"}]}


def test_a_changed_volume_option_is_a_question_that_nobody_answers(docker: DockerEngine, apps: Apps) -> None:
    mount = {"volumes": [{"type": "volume", "source": "data", "target": "/data"}]}
    before = apps({"volumes": {"data": {}}}, web=mount)
    after = apps({"volumes": {"data": {"labels": {"a": "b"}}}}, web=mount)

    async def run() -> None:
        await docker.up(before, ["web"])
        containers = await apps.found(docker)
        prediction = await docker.predict(after, ["web"])
        assert f'"{apps.compose_project}_data"' in prediction.volume_question
        assert "data will be lost" in prediction.volume_question
        with pytest.raises(OutsideError) as caught:
            await docker.up(after, ["web"])
        assert caught.value.code == "compose-failed"
        assert "data will be lost" in caught.value.why
        assert await apps.found(docker) == containers

    asyncio.run(run())


ATTACHED = {"networks": ["n"]}


def on_a_network(apps: Apps, *, changed: bool) -> App:
    network = {"labels": {"x": "y"}} if changed else {}
    return apps({"networks": {"n": network}}, a=ATTACHED, b=ATTACHED)


def test_a_changed_network_restarts_every_service_on_it(docker: DockerEngine, apps: Apps) -> None:
    async def run() -> None:
        await docker.up(on_a_network(apps, changed=False), ["a", "b"])
        old = await apps.found(docker)
        prediction = await docker.predict(on_a_network(apps, changed=True), ["a", "b"])
        assert prediction.removed_networks == (f"{apps.compose_project}_n",)
        assert prediction.recreated == ()
        await docker.up(on_a_network(apps, changed=True), ["a", "b"])
        assert await apps.found(docker) == old

    asyncio.run(run())


def test_a_changed_network_of_which_a_service_is_not_named_is_left_in_pieces(
    docker: DockerEngine, apps: Apps
) -> None:
    async def run() -> None:
        await docker.up(on_a_network(apps, changed=False), ["a", "b"])
        assert (await docker.predict(on_a_network(apps, changed=True), ["a"])).removed_networks
        with pytest.raises(OutsideError) as caught:
            await docker.up(on_a_network(apps, changed=True), ["a"])
        assert "has active endpoints" in caught.value.why
        broken = (await apps.found(docker))["a-1"]
        assert (broken.state, broken.networks) == ("exited", ()), "stopped, and cut off"

        with pytest.raises(OutsideError) as caught:
            await docker.up(on_a_network(apps, changed=True), ["a", "b"])
        assert "is not connected to the network" in caught.value.why
        await docker.up(on_a_network(apps, changed=False), ["a", "b"])
        back = (await apps.found(docker))["a-1"]
        assert (back.state, back.networks) == ("running", ()), "the former document starts it, still cut off"

        await docker.remove(back.id)
        await docker.up(on_a_network(apps, changed=True), ["a", "b"])
        assert {(one.state, one.networks) for one in (await apps.found(docker)).values()} == {
            ("running", (f"{apps.compose_project}_n",))
        }

    asyncio.run(run())


def test_the_grounds_of_a_prediction_tell_networks_and_volumes_of_one_name_apart(
    docker: DockerEngine, apps: Apps
) -> None:
    def stored(label: str) -> App:
        mount = {"type": "volume", "source": "v", "target": "/data"}
        return apps({"volumes": {"v": {"labels": {"x": label}}}}, a={"volumes": [mount]})

    async def run() -> None:
        await docker.up(on_a_network(apps, changed=False), ["a", "b"])
        before = await docker.grounds(on_a_network(apps, changed=False))
        assert await docker.grounds(on_a_network(apps, changed=True)) == before
        await docker.up(on_a_network(apps, changed=True), ["a", "b"])
        assert await docker.grounds(on_a_network(apps, changed=True)) != before

        without = await docker.grounds(stored("y"))
        await docker.up(stored("y"), ["a"])
        there = await docker.grounds(stored("z"))
        assert len(there) > len(without)
        assert await docker.grounds(stored("y")) == there, "what is there, whatever is wanted"

    asyncio.run(run())


def test_a_taken_port_is_seen_beforehand_and_takes_the_old_container_otherwise(
    docker: DockerEngine, apps: Apps
) -> None:
    number = free_port()
    holder, wanting = apps(holder=published(number)), apps(web=published(number))

    async def run() -> None:
        await docker.up(holder, ["holder"])
        await docker.up(apps(web={}), ["web"])
        before = await apps.found(docker)
        own = {before["web-1"].id}
        (conflict,) = await taken_ports(
            docker, wanted_ports(wanting.document, ["web"]), own=own, held=held_here
        )
        assert "is already allocated" in conflict.message
        assert before["holder-1"].name in conflict.message
        assert (await docker.predict(wanting, ["web"])).recreated, "a dry run does not look at ports"

        with pytest.raises(OutsideError) as caught:
            await docker.up(wanting, ["web"])
        assert caught.value.code == "compose-failed"
        assert "is already allocated" in caught.value.why
        after = await apps.found(docker)
        assert after["web-1"].id != before["web-1"].id, "the old one is gone"
        assert after["web-1"].state == "created"

    asyncio.run(run())


def test_a_port_of_our_own_container_is_free_for_its_successor(docker: DockerEngine, apps: Apps) -> None:
    app = apps(web=published(free_port()))

    async def run() -> None:
        wanted = wanted_ports(app.document, ["web"])
        assert await taken_ports(docker, wanted, own=(), held=held_here) == []
        await docker.up(app, ["web"])
        own = {one.id for one in (await apps.found(docker)).values()}
        assert await taken_ports(docker, wanted, own=own, held=held_here) == []
        assert len(await taken_ports(docker, wanted, own=(), held=held_here)) == 1

    asyncio.run(run())


def test_a_command_that_does_not_exist_takes_the_old_container(docker: DockerEngine, apps: Apps) -> None:
    async def run() -> None:
        await docker.up(apps(web={}), ["web"])
        with pytest.raises(OutsideError) as caught:
            await docker.up(apps(web={"command": ["/bin/nothing"]}), ["web"])
        assert '"/bin/nothing"' in caught.value.why
        (container,) = (await apps.found(docker)).values()
        assert container.state == "created"
        detail = await docker.inspect(container.id)
        assert detail is not None
        assert '"/bin/nothing"' in detail.error

    asyncio.run(run())


def test_a_command_that_ends_at_once_is_no_error_to_compose(
    docker: DockerEngine, apps: Apps, images: TestImages
) -> None:
    async def run() -> None:
        await docker.up(apps(web={"image": images.crashing()}), ["web"])
        container = (await apps.found(docker))["web-1"]
        assert await docker.wait(container.id, deadline_seconds=10) == 3

    asyncio.run(run())


def test_a_bind_whose_source_is_missing_leaves_the_old_container(docker: DockerEngine, apps: Apps) -> None:
    bind = {"type": "bind", "source": "/nowhere/at/all", "target": "/x", "bind": {"create_host_path": False}}

    async def run() -> None:
        await docker.up(apps(web={}), ["web"])
        before = await apps.found(docker)
        with pytest.raises(OutsideError) as caught:
            await docker.up(apps(web={"volumes": [bind]}), ["web"])
        assert "bind source path does not exist" in caught.value.why
        assert await apps.found(docker) == before

    asyncio.run(run())


def test_a_service_that_shares_anothers_network_must_be_named_with_it(
    docker: DockerEngine, apps: Apps
) -> None:
    shared = {"network_mode": "service:a"}
    changed = apps(a={"environment": {"V": "2"}}, b=shared)

    async def run() -> None:
        await docker.up(apps(a={}, b=shared), ["a", "b"])
        names = tuple(f"{apps.compose_project}-{name}-1" for name in "ab")
        assert (await docker.predict(changed, ["a"])).recreated == names[:1]
        assert (await docker.predict(changed, ["a", "b"])).recreated == names

    asyncio.run(run())


def test_a_replica_too_many_is_predicted_and_removed(docker: DockerEngine, apps: Apps) -> None:
    async def run() -> None:
        one, two = apps(web={"deploy": {"replicas": 1}}), apps(web={"deploy": {"replicas": 2}})
        await docker.up(two, ["web"])
        prediction = await docker.predict(one, ["web"])
        assert prediction.running == (f"{apps.compose_project}-web-1",)
        assert prediction.removed == (f"{apps.compose_project}-web-2",)
        await docker.up(one, ["web"])
        assert list(await apps.found(docker)) == ["web-1"]

    asyncio.run(run())


def test_up_leaves_containers_of_services_that_left_the_document(docker: DockerEngine, apps: Apps) -> None:
    async def run() -> None:
        await docker.up(apps(web={}, old={}), ["web", "old"])
        before = await apps.found(docker)
        assert (await docker.predict(apps(web={}), ["web"])).messages == ()
        await docker.up(apps(web={}), ["web"])
        assert await apps.found(docker) == before

    asyncio.run(run())


def test_a_paused_container_is_refused_by_compose(
    docker: DockerEngine, apps: Apps, engine: DockerClient
) -> None:
    async def run() -> None:
        await docker.up(apps(web={}), ["web"])
        container = (await apps.found(docker))["web-1"]
        engine.containers.get(container.id).pause()
        assert (await apps.found(docker))["web-1"].state == "paused"
        with pytest.raises(OutsideError) as caught:
            await docker.up(apps(web={}), ["web"])
        assert "paused" in caught.value.why

    asyncio.run(run())


def test_a_service_may_be_called_like_an_option(docker: DockerEngine, apps: Apps) -> None:
    async def run() -> None:
        option: dict[str, dict[str, Any]] = {"-y": {}}
        app = apps(**option)
        assert (await docker.predict(app, ["-y"])).created == (f"{apps.compose_project}--y-1",)
        await docker.up(app, ["-y"])
        assert [one.service for one in (await apps.found(docker)).values()] == ["-y"]

    asyncio.run(run())


def test_nothing_of_our_own_environment_reaches_a_container(
    docker: DockerEngine, apps: Apps, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SECRET", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"):
        monkeypatch.setenv(name, "leaked")
    app = apps(web={"environment": {"SECRET": None, "TEXT": "${SECRET:-none}", "PRICE": "5$$"}})

    async def run() -> list[str]:
        await docker.up(app, ["web"])
        container = (await apps.found(docker))["web-1"]
        variables: list[str] = engine.containers.get(container.id).attrs["Config"]["Env"]
        return variables

    variables = asyncio.run(run())
    assert "TEXT=none" in variables
    assert "PRICE=5$" in variables
    assert not any("leaked" in variable for variable in variables)


def test_a_provider_is_refused_before_anything_is_started(
    docker: DockerEngine, apps: Apps, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    app = App(
        compose_project=apps.compose_project,
        document={"services": {"web": {"provider": {"type": str(program)}}}},
    )
    for call in (docker.predict(app, ["web"]), docker.up(app, ["web"]), docker.run_job(app, "web")):
        with pytest.raises(UserError) as caught:
            asyncio.run(call)
        assert (caught.value.code, caught.value.where.key) == ("compose-refused", "services.web.provider")
    assert not (tmp_path / "started").exists()


def test_the_document_leaves_nothing_on_disk(docker: DockerEngine, apps: Apps, tmp_path: Path) -> None:
    asyncio.run(docker.up(apps(web={}), ["web"]))
    home = tmp_path / "run" / "compose-home"
    assert home.stat().st_mode & 0o777 == 0o700
    assert list(home.rglob("*")) == []


def test_up_is_stopped_at_its_deadline(docker: DockerEngine, apps: Apps, tmp_path: Path) -> None:
    impatient = DockerEngine(None, tmp_path / "other-run", deadlines=Deadlines(up_seconds=1.0))

    async def run() -> None:
        await docker.up(apps(web=STUBBORN), ["web"])
        with pytest.raises(OutsideError) as caught:
            await impatient.up(apps(web={**STUBBORN, "environment": {"V": "2"}}), ["web"])
        assert (caught.value.code, caught.value.exit_code) == ("compose-failed", 2)
        assert "after 1 s" in caught.value.message
        assert "docker ps" in caught.value.next

    try:
        asyncio.run(run())
    finally:
        impatient.close()


@pytest.fixture
def killed(
    docker: DockerEngine, apps: Apps, engine: DockerClient, engine_project: EngineProject, tmp_path: Path
) -> Generator[App]:
    """The app whose Compose client was killed while it waited for the old container to stop."""
    asyncio.run(docker.up(apps(web={**STUBBORN, "volumes": ["/kept"]}), ["web"]))
    volume = mounted_volume(engine_project.containers()[0])
    app = apps(web={**STUBBORN, "volumes": ["/kept"], "environment": {"V": "2"}})
    try:
        _kill_client(app, tmp_path, docker)
        yield app
    finally:
        # To the second container the anonymous volume of the first is a named one, which stays with it.
        for container in engine_project.containers():
            container.remove(force=True)
        engine.volumes.get(volume).remove()


def mounted_volume(container: Container) -> str:
    (mount,) = container.attrs["Mounts"]
    return str(mount["Name"])


def _kill_client(app: App, folder: Path, docker: DockerEngine) -> None:
    def both_are_made() -> bool:
        """The engine lists a container before it has joined it to its network."""
        made = asyncio.run(docker.containers(app.compose_project))
        return len(made) == 2 and all(one.networks for one in made)

    document = folder / "compose.json"
    document.write_text(json.dumps(app.document))
    client = subprocess.Popen(
        [
            compose_client(),
            "-p",
            app.compose_project,
            "-f",
            document,
            "up",
            "-d",
            "--no-deps",
            "--pull",
            "never",
        ],
        env={**compose_environment(folder), "DOCKER_HOST": f"unix://{SOCKET}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until("the new container on its network", both_are_made)
    finally:
        os.kill(client.pid, signal.SIGKILL)
        client.wait()


def test_a_killed_client_leaves_a_container_that_a_sweep_removes(
    docker: DockerEngine, apps: Apps, killed: App
) -> None:
    async def run() -> None:
        before = await apps.found(docker)
        half_made = next(one for one in before.values() if one.state == "created")
        assert half_made.name == f"{before['web-1'].id[:12]}_{apps.compose_project}-web-1"
        assert await sweep(docker, apps.compose_project, owner=apps.owner) == [
            Remove(id=half_made.id, name=half_made.name)
        ]
        assert await apps.found(docker) == {"web-1": before["web-1"]}
        assert await sweep(docker, apps.compose_project, owner=apps.owner) == []
        assert (await docker.predict(killed, ["web"])).recreated == (f"{apps.compose_project}-web-1",)

    asyncio.run(run())


def test_a_sweep_keeps_the_data_when_the_old_container_is_gone(
    docker: DockerEngine, apps: Apps, killed: App, engine: DockerClient
) -> None:
    def volume(container: str) -> str:
        return mounted_volume(engine.containers.get(container))

    async def run() -> None:
        before = await apps.found(docker)
        half_made = next(one for one in before.values() if one.state == "created")
        data = volume(before["web-1"].id)
        assert volume(half_made.id) == data
        await docker.remove(before["web-1"].id)
        assert await sweep(docker, apps.compose_project, owner=apps.owner) == [
            Rename(id=half_made.id, name=half_made.name, to=f"{apps.compose_project}-web-1")
        ]
        await docker.up(killed, ["web"])
        after = await apps.found(docker)
        assert (list(after), after["web-1"].id, after["web-1"].state) == (["web-1"], half_made.id, "running")
        assert volume(after["web-1"].id) == data

    asyncio.run(run())


def test_a_sweep_of_another_owner_touches_nothing(docker: DockerEngine, apps: Apps, killed: App) -> None:
    async def run() -> None:
        before = await apps.found(docker)
        stranger = type(apps.owner)(project=apps.owner.project, environment="prod", log="log-2")
        assert await sweep(docker, killed.compose_project, owner=stranger) == []
        assert await apps.found(docker) == before

    asyncio.run(run())
