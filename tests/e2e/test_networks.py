"""A changed option of a network: Compose alone leaves containers without any network."""

from __future__ import annotations

from docker.client import DockerClient

from tests.e2e.team import Team
from tests.support.images import TestImages


def with_network(team: Team, mtu: int, message: str) -> None:
    """Put `web` and `worker` on a network with this option; `apart` is on the default one."""
    text = f"""services:
  web:
    image: {team.web}
    stop_grace_period: 1s
    networks: [front]
    ports: ["127.0.0.1:{team.port}:8080"]
  worker: {{image: {team.worker}, stop_grace_period: 1s, networks: [front]}}
  apart: {{image: {team.worker}, stop_grace_period: 1s}}
networks:
  front: {{driver_opts: {{com.docker.network.driver.mtu: "{mtu}"}}}}
"""
    team.merge(message)
    team.repository.commit({"compose.yaml": text}, message)


def connected(team: Team) -> dict[str, list[str]]:
    """The networks that each service's container is really on."""
    return {
        one.labels["com.docker.compose.service"]: sorted(
            name for name, end in one.attrs["NetworkSettings"]["Networks"].items() if end["IPAddress"]
        )
        for one in team.project.containers()
    }


def test_a_changed_network_takes_its_services_along_and_no_other(team: Team) -> None:
    with_network(team, 1400, "first")
    team.look().expect(0)
    before = team.project.ids()
    with_network(team, 1300, "second")
    team.look().expect(0)
    after = team.project.ids()
    assert team.answer() == "web v1"
    assert after["apart"] == before["apart"]
    assert connected(team)["web"] == connected(team)["worker"] == [f"{team.project.name}-prod_front"]


def test_a_failure_on_a_changed_network_is_taken_back(team: Team, images: TestImages) -> None:
    with_network(team, 1400, "first")
    team.look().expect(0)
    team.worker = images.crashing("v2", name="worker")
    with_network(team, 1300, "bad")
    team.look().expect(1)
    assert team.answer() == "web v1"
    assert connected(team)["web"] == connected(team)["worker"] == [f"{team.project.name}-prod_front"]
    (network,) = [one for one in team.project.networks() if (one.name or "").endswith("_front")]
    assert network.attrs["Options"]["com.docker.network.driver.mtu"] == "1400"


def test_a_stranger_on_a_changed_network_stops_the_release_before_it_begins(
    team: Team, engine: DockerClient
) -> None:
    with_network(team, 1400, "first")
    team.look().expect(0)
    before = team.project.ids()
    stranger = engine.containers.create(
        team.worker,
        network=f"{team.project.name}-prod_front",
        labels={
            "com.docker.compose.project": f"{team.project.name}-by-hand",
            "com.docker.compose.service": "stranger",
        },
    )
    stranger.start()
    with_network(team, 1300, "second")
    outcome = team.look()
    assert outcome.code == 2, outcome.stderr
    assert "network-in-use" in outcome.stderr
    assert {name: ids for name, ids in team.project.ids().items() if name in before} == before
