"""Whether a machine has what a host needs, judged from what it told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.host_facts import Disk, HostFacts
from controller.preflight import preflight, summary

GIB = 1 << 30
GOOD = HostFacts(
    user="deploy",
    client=True,
    server="29.1.0",
    api="1.52",
    compose="5.0.1",
    data_root="/var/lib/docker",
    root="folder",
    root_writable=True,
    disks={
        "/": Disk(total=100 * GIB, free=50 * GIB),
        "data": Disk(total=100 * GIB, free=50 * GIB),
        "root": Disk(total=100 * GIB, free=50 * GIB),
        "shm": Disk(total=GIB, free=GIB),
    },
    shm_writable=True,
    sysctls={
        "net/core/rmem_max": (212992,),
        "net/core/wmem_max": (212992,),
        "net/core/somaxconn": (4096,),
        "net/ipv4/ip_local_port_range": (32768, 60999),
    },
    nofile=1 << 20,
    synchronised=True,
    ahead=0.0,
)
FULL = Disk(total=100 * GIB, free=GIB)
SMALL = Disk(total=1024 * GIB, free=40 * GIB)  # much is free, and it is hardly anything of all


def failing(facts: HostFacts, *, domain: str | None = None) -> dict[str, str]:
    """What fails, with the advice."""
    found = preflight(facts, host="app-1", domain=domain)
    return {one.name: one.next for one in found if one.status == "FAIL"}


def test_a_stock_machine_passes_with_a_summary() -> None:
    found = preflight(GOOD, host="app-1")
    assert [one.status for one in found] == ["ok"] * len(found)
    assert summary(found) == "13/13 pass"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("docker", {"server": "", "client": False}),
        ("docker", {"server": "", "trouble": "permission denied"}),
        ("time-sync", {"synchronised": False}),
        ("time-sync", {"ahead": 600.0}),
        ("time-sync", {"ahead": -600.0}),
        ("disk-root", {"disks": {**GOOD.disks, "/": FULL}}),
        ("disk-data", {"disks": {**GOOD.disks, "data": SMALL}}),
        ("shm", {"disks": {**GOOD.disks, "shm": Disk(total=1 << 20, free=1 << 20)}}),
        ("shm", {"shm_writable": False}),
        ("rmem_max", {"sysctls": {**GOOD.sysctls, "net/core/rmem_max": (4096,)}}),
        ("wmem_max", {"sysctls": {**GOOD.sysctls, "net/core/wmem_max": (4096,)}}),
        ("somaxconn", {"sysctls": {**GOOD.sysctls, "net/core/somaxconn": (128,)}}),
        ("port-range", {"sysctls": {**GOOD.sysctls, "net/ipv4/ip_local_port_range": (40000, 40100)}}),
        ("nofile", {"nofile": 1024}),
        ("port-80", {"listening": frozenset({80})}),
        ("port-443", {"listening": frozenset({443})}),
    ],
)
def test_each_thing_that_is_wrong_fails_its_own_check_and_says_what_helps(
    name: str, change: dict[str, Any]
) -> None:
    found = failing(replace(GOOD, **change))
    assert list(found) == [name]
    assert found[name]


def test_what_a_host_does_not_tell_is_no_failure() -> None:
    silent = HostFacts(
        server="29.1.0", disks={"shm": GOOD.disks["shm"]}, shm_writable=True, user="x", client=True
    )
    found = preflight(silent, host="app-1")
    assert not [one for one in found if one.status == "FAIL"]
    assert {one.name for one in found if one.status == "warn"} >= {"time-sync", "disk-root", "rmem_max"}


def test_a_port_that_our_own_gateway_holds_is_fine() -> None:
    ours = ("shop-prod-traefik-1 0.0.0.0:80->80/tcp, 0.0.0.0:443->443/tcp",)
    assert failing(replace(GOOD, listening=frozenset({80, 443}), ours=ours)) == {}


def test_a_domain_is_looked_up_where_it_is_asked_for() -> None:
    assert failing(GOOD, domain="shop.example.org") == {
        "dns": "give shop.example.org an A or AAAA record, or mend the host's resolver: "
        "`getent ahosts shop.example.org`"
    }
    assert failing(replace(GOOD, addresses=("10.0.0.1",)), domain="shop.example.org") == {}
