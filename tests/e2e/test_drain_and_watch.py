"""Requests held back from a service, and a new version that fails while it is watched, by a real gateway."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from tests.e2e.traffic_shop import NAME, TrafficShop, answer, answers
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.images import TestImages
from tests.support.load_wire import Target
from tests.support.processes import free_port
from tests.support.repos import Repository

SILENT = {"503 no available server"}


@pytest.fixture
def target() -> Target:
    return Target(address="127.0.0.1", port=free_port(), name=NAME)


@pytest.fixture
def shop(
    repository: Repository, cli: Stagecraft, engine_project: EngineProject, images: TestImages, target: Target
) -> TrafficShop:
    made = TrafficShop(
        name=engine_project.name,
        repository=repository,
        cli=cli,
        images=images,
        published=f"127.0.0.1:{target.port}",
        drain_seconds=10,
        environment={"SLOW": "6"},  # seconds: longer than a command takes on a machine that has more to do
    )
    made.merge(made.image("v1"))
    made.look().expect(0)
    assert answers(target) == {"app v1"}
    return made


@contextmanager
def visitors(target: Target) -> Generator[None]:
    """Somebody who asks again and again."""
    gone = threading.Event()

    def ask() -> None:
        while not gone.wait(0.02):
            answer(target)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield
        finally:
            gone.set()
            asking.result()


def test_a_drained_service_answers_503_and_finishes_what_is_open(shop: TrafficShop, target: Target) -> None:
    with closing(http.client.HTTPConnection(target.address, target.port, timeout=60)) as visitor:
        visitor.request("GET", "/slow", headers={"Host": target.name, "Connection": "close"})
        said = shop.cli.ok("drain", "web", "--env", "prod", "--reason", "new disk").stdout
        assert "web: nobody answers, its gateway says 503" in said
        assert "1 connection is still open" in said
        assert answers(target) == SILENT
        assert visitor.getresponse().read() == b"app v1\n"
    (drained,) = shop.cli.ok("status", "--env", "prod", "--json").json()["drained"]
    assert (drained["kind"], drained["name"], drained["reason"]) == ("service", "web", "new disk")
    shop.look().expect(0)
    assert answers(target) == SILENT, "no look ends it"
    assert "web: local answers" in shop.cli.ok("undrain", "web", "--env", "prod").stdout
    assert answers(target) == {"app v1"}


def test_a_drained_service_shows_the_page_of_another_one(shop: TrafficShop, target: Target) -> None:
    shop.environment_line = "maintenance: {service: sorry, port: 8080, path: /index.html}"
    shop.services_line = f'sorry: {{image: "{shop.images.web("v1", name="back-at-noon")}"}}'
    shop.merge(shop.image("v1"))
    shop.look().expect(0)
    assert answers(target) == {"app v1"}
    for name in ("web", "local"):
        said = shop.cli.ok("drain", name, "--env", "prod").stdout
        assert "web: nobody answers, its gateway says 503 with the page sorry:8080/index.html" in said
        assert answers(target) == {"503 back-at-noon v1"}
        if name == "web":
            shop.merge(shop.image("v2"))
            shop.look().expect(0)
            assert answers(target) == {"503 back-at-noon v1"}, "a Release changes nothing about it"
        assert "web: local answers" in shop.cli.ok("undrain", name, "--env", "prod").stdout
        assert answers(target) == {"app v2"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"LOSES": "fail:4"}, "requests to web failed with 5xx"),
        ({"DIES_AFTER": "6"}, "the container ended with exit code 3 while its Release was watched"),
    ],
)
def test_a_version_that_fails_after_it_is_live_goes_back(
    shop: TrafficShop, target: Target, fault: dict[str, str], words: str
) -> None:
    shop.environment, shop.watch_seconds = {**shop.environment, **fault}, 20
    with visitors(target):
        shop.merge(shop.image("v2"))
        failed = shop.look()
    assert failed.code == 1
    assert words in failed.stderr
    assert answers(target) == {"app v1"}
    back, bad, _first = shop.releases()
    assert (back["kind"], back["status"], bad["status"]) == ("rollback", "completed", "completed")
    status = shop.cli.ok("status", "--env", "prod", "--json").json()
    assert words in status["hold"]["reason"]
    assert (status["watch"], status["sync"]) == (None, "in-sync")
    assert words in shop.cli.ok("why", bad["id"]).stdout
