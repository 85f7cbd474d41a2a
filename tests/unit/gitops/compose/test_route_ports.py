"""How a gateway reaches a service: by a network, or by a port of its host."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.compose.route_ports import publish_routed, unreachable, with_admin_port, with_ports

GATEWAY: dict[str, Any] = {"networks": {"front": None}}


@pytest.mark.parametrize(
    ("service", "reached"),
    [
        ({"networks": {"front": None, "back": None}}, ["together", "apart"]),
        ({"networks": {"back": None}}, ["apart"]),
        ({"network_mode": "host"}, []),
        ({"network_mode": "service:other"}, []),
        ({}, []),
    ],
)
def test_a_network_in_common_is_needed_on_one_host(service: dict[str, Any], reached: list[str]) -> None:
    def why(where: str) -> str | None:
        return unreachable("web", service, gateway="edge", by=GATEWAY, together=where == "together")

    for where in ("together", "apart"):
        told = why(where)
        assert (told is None) == (where in reached)
        assert told is None or "web" in told


def documents() -> dict[str, dict[str, Any]]:
    return {host: {"services": {"web": {"image": "web:1"}, "db": {}}} for host in ("h1", "h2")}


def test_routed_ports_are_published_where_a_gateway_on_another_host_needs_them() -> None:
    ports = {"web": (9000, 8000)}
    made = documents()
    publish_routed(made, ports, ["h1"])
    assert made["h1"] == documents()["h1"]
    assert made["h2"]["services"]["db"] == {}
    assert made["h2"]["services"]["web"]["ports"] == [
        {"mode": "ingress", "target": port, "protocol": "tcp"} for port in (8000, 9000)
    ]
    both = documents()
    publish_routed(both, ports, ["h1", "h2"])
    assert "ports" in both["h1"]["services"]["web"]
    assert "ports" in both["h2"]["services"]["web"]


def test_a_port_that_others_reach_already_is_not_published_again() -> None:
    def published(**more: object) -> dict[str, Any]:
        return {"ports": [{"target": 8000, "protocol": "tcp", **more}]}

    anywhere, here = published(host_ip="0.0.0.0"), published(host_ip="10.0.0.12")  # noqa: S104  # documents
    for enough in (published(), published(published="80"), anywhere, here):
        assert with_ports(enough, [8000]) is enough
    for little in (published(host_ip="127.0.0.1"), published(host_ip="::1"), published(protocol="udp")):
        assert len(with_ports(little, [8000])["ports"]) == 2


def test_the_admin_port_is_for_this_machine_alone_and_published_once() -> None:
    service: dict[str, Any] = {"ports": [{"target": 80, "published": "80"}]}
    for _ in range(2):
        with_admin_port(service, 8099)
    assert service["ports"][1:] == [
        {"mode": "ingress", "host_ip": "127.0.0.1", "target": 8099, "protocol": "tcp"}
    ]
