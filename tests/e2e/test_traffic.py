"""A service behind a gateway is replaced under load: nothing is lost, and the Release proves it itself."""

from __future__ import annotations

import pytest
from docker.client import DockerClient

from tests.e2e.traffic_shop import DYNAMIC, NAME, TrafficShop, answers, apps_of, check_told
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.images import TestImages
from tests.support.load_wire import Target
from tests.support.processes import free_port
from tests.support.repos import Repository

REQUESTS = 1_500  # at least, in the whole of it


@pytest.fixture
def target() -> Target:
    return Target(address="127.0.0.1", port=free_port(), name=NAME)


@pytest.fixture
def shop(
    repository: Repository, cli: Stagecraft, engine_project: EngineProject, images: TestImages, target: Target
) -> TrafficShop:
    return TrafficShop(
        name=engine_project.name,
        repository=repository,
        cli=cli,
        images=images,
        published=f"127.0.0.1:{target.port}",
    )


def test_a_push_loses_no_request_and_cuts_no_stream_and_a_bad_one_neither(
    shop: TrafficShop, target: Target, engine: DockerClient
) -> None:
    good, bad = shop.image("v2"), shop.images.crashing("v3", name="app")
    shop.merge(shop.image("v1"))
    shop.look().expect(0)
    assert answers(target) == {"app v1"}
    check(shop, engine)
    gateway = gateways_of(shop, engine)

    with shop.under_load(target) as load:
        shop.merge(good)
        shop.look().expect(0)
        after_good = answers(target)
        shop.merge(bad)
        failed = shop.look()
        result = load.end()

    assert failed.code == 1, failed.stdout
    assert after_good == answers(target) == {"app v2"}, failed.stderr
    assert (result.failed, result.cut, result.lost) == (0, 0, []), result.told()
    assert result.requests > REQUESTS, result.told()
    assert all(one.well for one in result.streams.values()), result.told()
    assert set(result.versions) == {"app v1", "app v2"}
    assert gateways_of(shop, engine) == gateway, "the gateway was not touched"
    check(shop, engine)

    rolled_back, completed, first = shop.releases()
    assert (rolled_back["status"], completed["status"]) == ("rolled_back", "completed")
    proof = completed["traffic"]
    assert proof["requests"] > 10
    assert (proof["failed"], proof["cut"]) == (0, 0)
    assert 0 < proof["longest_gap_ms"] < 2_000
    assert proof["drain_ms"] > 0
    assert first.get("traffic") is None, "nothing was switched"


def check(shop: TrafficShop, engine: DockerClient) -> None:
    """One container is the app, and the gateway is told of it alone."""
    assert len(apps_of(engine, shop.name)) == 1
    folder = shop.home / "local/apps" / shop.name / "prod" / DYNAMIC
    check_told(folder, project=shop.name, engines={"local": engine}, gateway="local")


def gateways_of(shop: TrafficShop, engine: DockerClient) -> list[str]:
    labels = [f"stagecraft.project={shop.name}", "stagecraft.service=gate"]
    return [str(one.id) for one in engine.containers.list(filters={"label": labels})]
