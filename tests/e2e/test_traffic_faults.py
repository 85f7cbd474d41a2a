"""A switch through a gateway on another host, with faults in the middle: one version serves afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from docker.client import DockerClient

from tests.e2e.traffic_lab import FAULTS, GATEWAY, SECOND, LabShop, write_bad_file
from tests.e2e.traffic_shop import LOAD, answers
from tests.support.cli import COMMAND, Stagecraft
from tests.support.images import TestImages
from tests.support.lab_hosts import Lab
from tests.support.repos import Repository

pytestmark = pytest.mark.slow
KILLS = 12
LOOK_SECONDS = 240.0
SHORT = replace(LOAD, rate=100, streams=())
_POLL_SECONDS = 0.02


@pytest.fixture
def shop(
    lab_hosts: Lab, repository: Repository, cli: Stagecraft, images: TestImages, engine: DockerClient
) -> Iterator[LabShop]:
    """An app at v1 behind a gateway on another host."""
    made = LabShop(
        name=f"traffic-{os.urandom(4).hex()}",
        repository=repository,
        cli=cli,
        images=images,
        published="8081",
        lab=lab_hosts,
        engine=engine,
    )
    yield made
    made.mend()
    made.clear()


def begin(shop: LabShop) -> None:
    """The first version everywhere."""
    shop.settle_in()
    shop.deliver("v1")
    shop.look().expect(0)
    shop.check()


def looking(shop: LabShop) -> subprocess.Popen[bytes]:
    """A look that goes on beside the test."""
    return subprocess.Popen(
        [COMMAND, *shop.look_words],
        cwd=shop.cli.cwd,
        env={**os.environ, **shop.cli.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_three_switches_lose_nothing_where_the_app_is_on_another_host(shop: LabShop) -> None:
    begin(shop)
    with shop.under_load(shop.target()) as load:
        for version in ("v2", "v3", "v4"):
            shop.deliver(version)
            shop.look().expect(0)
            shop.check()
        result = load.end()
    assert (result.failed, result.cut) == (0, 0), result.told()
    assert set(result.versions) == {"app v1", "app v2", "app v3", "app v4"}
    assert result.requests > 2_000, result.told()
    proofs = [one["traffic"] for one in shop.releases()[:3]]
    assert [(one["failed"], one["cut"]) for one in proofs] == [(0, 0)] * 3


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_fails_in_a_switch_one_version_serves_afterwards(shop: LabShop, name: str) -> None:
    fault = FAULTS[name]
    begin(shop)
    shop.deliver("v2")
    before = shop.head()
    with shop.under_load(shop.target(), SHORT) as load:
        if not fault.after:
            fault.strike(shop)
        with looking(shop) as look:
            while fault.after and look.poll() is None and not shop.recorded(fault.after, after=before):
                time.sleep(_POLL_SECONDS)
            if fault.after:
                fault.strike(shop)
            look.wait(LOOK_SECONDS)
        assert shop.releases()[0]["status"] in {"completed", "failed", "rolled_back"}, "it has a verdict"
        shop.mend()
        shop.come_to_rest()
        result = load.end()
    if fault.lossless:
        assert result.failed == 0, f"{name}: {result.told()} {result.lost[:3]}"
    assert all(one.at < result.seconds - 1 for one in result.lost), "what serves at the end answers"


def test_a_drain_that_never_ends_is_cut_at_its_limit_and_told(shop: LabShop) -> None:
    shop.drain_seconds = 2
    shop.environment = {"SLOW": "60", "EVENTS": "2"}
    begin(shop)
    shop.deliver("v2")
    with shop.under_load(shop.target(), replace(LOAD, rate=100, streams=("slow",))) as load:
        began = time.monotonic()
        shop.look().expect(0)
        assert time.monotonic() - began < 40
        shop.environment = {"SLOW": "1", "EVENTS": "2"}
        shop.deliver("v3")
        shop.look().expect(0)
        result = load.end()
    shop.check()
    assert set(result.by_kind) == {kind for kind in result.by_kind if kind.startswith("slow ")}, result.told()
    proof = shop.releases()[1]["traffic"]
    assert proof["cut"] >= 1
    assert proof["failed"] == 0


def test_a_bad_file_is_named_and_everything_goes_on_once_it_is_gone(shop: LabShop) -> None:
    begin(shop)
    write_bad_file(shop.folder(GATEWAY))
    shop.deliver("v2")
    failed = shop.look()
    assert failed.code == 2, "it is nothing that a push could mend"
    assert "zz-somebody.yml" in failed.stderr
    assert answers(shop.target()) == {"app v1"}
    shop.mend()
    shop.cli.run("deploy", "--env", "prod", cwd=shop.repository.work, seconds=LOOK_SECONDS)
    shop.come_to_rest()


def test_one_of_two_gateways_that_is_unreachable_names_no_dead_server_afterwards(shop: LabShop) -> None:
    shop.gateways = (GATEWAY, SECOND)
    begin(shop)
    shop.deliver("v2")
    before = shop.head()
    with shop.under_load(shop.target(), SHORT) as load:
        with looking(shop) as look:
            while look.poll() is None and not shop.recorded("PhaseStarted", after=before):
                time.sleep(_POLL_SECONDS)
            shop.lab.host(SECOND).cut()
            look.wait(LOOK_SECONDS)
        shop.mend()
        shop.come_to_rest()
        result = load.end()
    assert result.failed == 0, f"the gateway that is there: {result.told()}"


def test_a_controller_that_is_killed_at_any_point_of_a_switch_loses_nothing(
    shop: LabShop, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = os.environ.get("STAGECRAFT_TRAFFIC_SEED") or str(random.SystemRandom().randrange(2**32))
    draw = random.Random(seed)  # noqa: S311  # to be replayed
    with capsys.disabled():
        sys.stdout.write(f"\nreplay with STAGECRAFT_TRAFFIC_SEED={seed}\n")
    begin(shop)
    with shop.under_load(shop.target()) as load:
        for number in range(int(os.environ.get("STAGECRAFT_TRAFFIC_KILLS") or KILLS)):
            shop.deliver(f"v{number + 2}")
            with looking(shop) as look:
                try:
                    look.wait(draw.uniform(0.3, 6))
                except subprocess.TimeoutExpired:
                    look.send_signal(signal.SIGKILL)
            shop.come_to_rest()
        result = load.end()
    assert (result.failed, result.cut) == (0, 0), f"{result.told()} {result.lost[:5]}"
