"""One Release on three real hosts over SSH: in order, taken back as one, caught up with, without Git."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from docker.client import DockerClient

from tests.e2e.shop_hosts import Shop, everywhere
from tests.support.cli import Stagecraft
from tests.support.images import TestImages
from tests.support.lab_hosts import Lab
from tests.support.repos import Repository


@pytest.fixture
def shop(
    lab_hosts: Lab, repository: Repository, cli: Stagecraft, images: TestImages, engine: DockerClient, request: pytest.FixtureRequest
) -> Iterator[Shop]:
    made = Shop(
        lab=lab_hosts, repository=repository, cli=cli, images=images, engine=engine, name=f"shop{abs(hash(request.node.name)) % 9999}"
    )
    made.settle_in()
    yield made
    lab_hosts.heal()


def test_a_release_goes_data_first_gateway_last_and_a_bad_canary_is_taken_back_on_every_host(
    shop: Shop,
) -> None:
    shop.merge("v1")
    print(shop.look().expect(0))
    assert shop.answers() == everywhere("v1")
    print(shop.verdict())
    print(shop.on("h1", "find /var/lib/stagecraft; cat /var/lib/stagecraft/apps/*/prod/compose.yml; cd /var/lib/stagecraft/apps/*/prod; docker compose ps"))
    shop.merge("v2", crashing="web")
    print(shop.look())
    print(shop.verdict())
    assert shop.answers() == everywhere("v1")
