"""One Release on three real hosts over SSH: in order, taken back as one, caught up with, and without Git."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.shop_hosts import PLACES, OpenShop, Shop, everywhere
from tests.support.processes import wait_until

FOLDER = "/var/lib/stagecraft/apps/{name}/prod"
LOST_SECONDS = 90.0


@pytest.fixture
def shop(
    open_shop: OpenShop,
) -> Iterator[Shop]:
    """A new shop on three hosts, which are healed and empty afterwards."""
    made = open_shop(Shop)
    made.settle_in()
    yield made
    made.lab.heal()
    made.clear()


def test_a_release_goes_data_first_gateway_last_and_a_bad_canary_is_taken_back_on_every_host(
    shop: Shop,
) -> None:
    shop.merge("v1")
    shop.look().expect(0)
    assert shop.answers() == everywhere("v1")
    assert shop.statuses() == {"h1": "completed", "h2": "completed", "h3": "completed"}
    born = shop.births()
    assert born["store"] < born["web h2"] < born["web h1"] < born["gate"], "data, canary, the rest, gateway"

    folder = FOLDER.format(name=shop.name)
    assert shop.on("h1", f"cd {folder} && docker compose ps --services").split() == ["gate", "web"]
    found = shop.on("h1", "find /var/lib/stagecraft -type f").split()
    assert found == [f"{folder}/compose.yml", f"{folder}/fence"], "and nothing else was put there"
    dry = shop.on("h1", f"cd {folder} && docker compose --dry-run up -d 2>&1")
    assert "Recreate" not in dry, "by hand the same services are seen as they are"

    operate(shop)
    kept = shop.containers()
    shop.merge("v2", crashing="web")
    failed = shop.look().expect(1)
    assert "where: host h2, service web" in failed.stderr
    assert shop.answers() == everywhere("v1")
    assert shop.statuses() == {"h1": "untouched", "h2": "restored", "h3": "restored"}
    assert shop.verdict()["type"] == "ReleaseRolledBack"
    now = shop.containers()
    assert {place for place in PLACES if now[place] != kept[place]} == {"store", "web h2"}
    assert shop.cli.run("status", "--env", "prod").stdout.count("v1") >= len(PLACES) - 1


def operate(shop: Shop) -> None:
    """What a person does from the controller's machine on an ordinary day."""
    run = shop.cli.run
    lines = run("logs", "--env", "prod", "--service", "web").expect(0).stdout.splitlines()
    assert sorted(line.partition("|")[0].strip() for line in lines) == ["h1 web.1", "h2 web.1"]
    inside = run("exec", "--env", "prod", "--service", "web", "--host", "h2", "--", "sh", "-c", "exit 7")
    assert inside.code == 7, inside.stderr
    names = run("ssh", "app", "--env", "prod", "--", "hostname").expect(0).stdout
    assert [line.split()[-1] for line in names.splitlines()] == ["h1", "h2"]
    live = run("status", "--env", "prod", "--live", "--json").expect(0).json()
    assert live["health"] == "healthy", live
    hosts = {one["name"]: one for one in run("hosts", "list", "--json").expect(0).json()["hosts"]}
    assert hosts["h3"]["roles"] == {f"{shop.name}/prod": ["db"]}
    assert shop.lab.host("h3").logins() > 0


def test_a_host_that_is_lost_in_the_middle_catches_up_when_it_is_back(shop: Shop) -> None:
    shop.merge("v1")
    shop.look().expect(0)
    shop.rollout, shop.settle = "{hosts: {on_unreachable: skip, canary: h1}}", "3s"
    shop.merge("v2")
    with shop.looking() as look:
        wait_until("the new store", lambda: shop.replaced("store") == "h3", seconds=LOST_SECONDS)
        shop.lab.host("h2").cut()
        code = look.wait(LOST_SECONDS)
    said = shop.verdict()
    assert (code, said["type"]) == (0, "ReleaseCompleted"), said
    assert shop.statuses() == {"h1": "completed", "h2": "skipped", "h3": "completed"}
    status = shop.cli.run("status", "--env", "prod", "--live", seconds=60)
    assert "h2" in status.stdout
    assert "unknown" in status.stdout

    shop.lab.heal()
    releases = shop.cli.ok("releases", "list", "--json").stdout
    shop.look().expect(0)
    assert shop.answers() == everywhere("v2")
    again = shop.cli.ok("releases", "list", "--json").stdout
    assert len(json.loads(again)) == len(json.loads(releases)), "catching up makes no Release"


def test_a_rollback_needs_neither_the_registry_nor_git(shop: Shop) -> None:
    for version in ("v1", "v2"):
        shop.merge(version)
        shop.look().expect(0)
    shop.registry.stop()
    shop.repository.origin.rename(shop.repository.origin.with_suffix(".gone"))
    shop.cli.run("rollback", "--env", "prod", "--to-previous", "--reason", "too slow", seconds=120).expect(0)
    assert shop.answers() == everywhere("v1")
    assert shop.statuses() == {"h1": "completed", "h2": "completed", "h3": "completed"}
