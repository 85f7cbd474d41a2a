"""Ports that several containers of one host want."""

from __future__ import annotations

from typing import Any

import pytest

from events.kernel.errors import UserError
from gitops.compose.ports import refuse_port_conflicts


def publishing(*ports: str, **more: object) -> dict[str, Any]:
    """A service with ports, each written as `[address|]number[/protocol]`."""
    made: list[dict[str, str]] = []
    for text in ports:
        address, _, rest = text.rpartition("|")
        number, _, protocol = rest.partition("/")
        made.append({"host_ip": address, "published": number, "protocol": protocol or "tcp"})
    return {"ports": made, **more}


def check(*jobs: str, **services: dict[str, Any]) -> None:
    refuse_port_conflicts({"h1": {"services": services}}, jobs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("8080", "8080"),
        ("8080", "127.0.0.1|8080"),
        ("0.0.0.0|8080", "127.0.0.1|8080"),
        ("::1|8080", "::|8080"),
        ("|53/udp", "53/udp"),
    ],
)
def test_two_services_that_want_one_port_are_refused_by_name(one: str, other: str) -> None:
    with pytest.raises(UserError) as caught:
        check(db=publishing(one), web=publishing(other))
    error = caught.value
    assert error.code == "port-conflict"
    assert error.message.startswith("db and web want port ")
    assert (error.where.host, error.where.service, error.where.key) == ("h1", "web", "services.web.ports")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("8080", "8081"),
        ("53", "53/udp"),
        ("127.0.0.1|8080", "127.0.0.2|8080"),
        ("127.0.0.1|8080", "::1|8080"),
        ("8080-8090", "8080"),
        ("", ""),
    ],
)
def test_ports_that_both_can_have_are_left_alone(one: str, other: str) -> None:
    check(db=publishing(one), web=publishing(other))


@pytest.mark.parametrize("more", [{"scale": 2}, {"deploy": {"replicas": 3}}])
def test_replicas_cannot_share_a_port(more: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="two containers of web want port 80/tcp"):
        check(web=publishing("80", **more))
    check(web=publishing("8080-8082", **more))


def test_a_job_publishes_nothing_and_one_without_replicas_neither() -> None:
    check("load", load=publishing("80"), off=publishing("80", scale=0), web=publishing("80"))


def test_two_hosts_have_a_port_each() -> None:
    services = {"services": {"web": publishing("80")}}
    refuse_port_conflicts({"h1": services, "h2": services}, set())
