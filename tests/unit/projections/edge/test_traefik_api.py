"""Traefik's answers against what it was told."""

from __future__ import annotations

from typing import Any

import pytest

from events.routes import Route
from projections.edge.port import Backends, Counters, Server
from projections.edge.traefik_api import (
    QUESTIONS,
    Kind,
    Thing,
    counted,
    difference,
    owned,
    question,
    wanted_of,
)

ROUTES = (
    Route(host="a", service="web", port=80, tls=True, resolver="acme"),
    Route(host="b", service="web", port=80, sticky=True),
    Route(host="*", service="web", port=90, protocol="tcp"),
)
SERVERS = tuple(
    Server(
        host="h1",
        container=str(weight) * 64,
        addresses={80: f"s{weight}:80", 90: f"s{weight}:90"},
        weight=weight,
    )
    for weight in (1, 3)
)
TOLD = Backends(name="shop-prod-web", service="web", routes=ROUTES, servers=SERVERS, retries=True)


def known(kind: Kind, thing: Thing) -> dict[str, dict[str, Any]]:
    """What a Traefik says that does as told."""
    found: dict[str, dict[str, Any]] = {}
    for name, one in wanted_of(TOLD, kind, thing).items():
        found[name] = {**one, "name": f"{name}@file", "status": "enabled", "provider": "file"}
        if "middlewares" in one:
            found[name]["middlewares"] = [f"{middleware}@file" for middleware in one["middlewares"]]
    return found


def test_what_it_does_as_told_is_no_difference() -> None:
    for kind, thing in QUESTIONS:
        answer = list(known(kind, thing).values())
        assert answer
        assert difference(wanted_of(TOLD, kind, thing), answer, thing) is None
        assert difference(wanted_of(TOLD, kind, thing), answer[:-1], thing) is not None
        further = [*answer, {**answer[0], "name": "x-shop-prod-web@file"}]
        assert difference(wanted_of(TOLD, kind, thing), further, thing) == "it still knows x-shop-prod-web"


@pytest.mark.parametrize(
    ("kind", "thing", "name", "changes", "words"),
    [
        ("http", "routers", "r0-shop-prod-web", {"rule": "Host(`x`)"}, "rule: Host(`x`)"),
        ("http", "routers", "r0-shop-prod-web", {"entryPoints": ["web"]}, "entry points"),
        ("http", "routers", "r0-shop-prod-web", {"service": "other@file"}, "service: other"),
        ("http", "routers", "r0-shop-prod-web", {"middlewares": None}, "middlewares"),
        ("http", "routers", "r0-shop-prod-web", {"tls": {}}, "certificates from"),
        ("http", "routers", "r1-shop-prod-web", {"tls": {}}, "TLS"),
        ("http", "routers", "r1-shop-prod-web", {"status": "disabled", "error": ["no such"]}, "no such"),
        ("http", "routers", "r1-shop-prod-web", {"status": "warning"}, "its status is warning"),
        ("http", "services", "http80-shop-prod-web", {"loadBalancer": {"servers": None}}, "servers: []"),
        ("http", "services", "http80sticky-shop-prod-web", {"loadBalancer": {}}, "servers"),
        ("tcp", "services", "tcp90-shop-prod-web", {"weighted": {}}, "weights"),
        (
            "tcp",
            "services",
            "tcp90of3-shop-prod-web",
            {"loadBalancer": {"servers": [{"address": "x:1"}]}},
            "x:1",
        ),
        ("tcp", "routers", "r2-shop-prod-web", {"rule": "HostSNI(`a`)"}, "HostSNI(`a`)"),
    ],
)
def test_whatever_it_does_otherwise_is_told(
    kind: Kind, thing: Thing, name: str, changes: dict[str, Any], words: str
) -> None:
    answer = known(kind, thing)
    answer[name] |= changes
    found = difference(wanted_of(TOLD, kind, thing), list(answer.values()), thing)
    assert found is not None
    assert found.startswith(f"{name}: ")
    assert words in found


def test_a_cookie_counts() -> None:
    answer = known("http", "services")
    balancer = answer["http80sticky-shop-prod-web"]["loadBalancer"]
    answer["http80sticky-shop-prod-web"]["loadBalancer"] = {"servers": balancer["servers"]}
    found = difference(wanted_of(TOLD, "http", "services"), list(answer.values()), "services")
    assert found is not None
    assert "cookie" in found


def test_only_what_is_the_services_own_is_looked_at() -> None:
    names = (
        "http80-shop-prod-web@file",
        "http80-shop-prod-web-2@file",
        "http80-my-shop-prod-web@file",
        "shop-prod-web@file",
        "http80-shop-prod-web@docker",
    )
    assert [one["name"] for one in owned([{"name": name} for name in names], "shop-prod-web")] == [names[0]]
    asked = question("http", "services", "a&b/c", 2)
    assert asked == "/api/http/services?search=a%26b%2Fc&per_page=1000&page=2"


def test_requests_of_all_routes_of_a_service_are_counted() -> None:
    def line(code: int, service: str, count: str, more: str = "") -> str:
        labels = f'code="{code}",method="GET",protocol="http",service="{service}@file"{more}'
        return f"traefik_service_requests_total{{{labels}}} {count}"

    metrics = [
        "# TYPE traefik_service_requests_total counter",
        line(200, "http80-shop-prod-web", "12"),
        line(502, "http80-shop-prod-web", "3"),
        line(499, "http81-shop-prod-web", "1"),
        line(500, "http80-shop-prod-web2", "9"),
        line(200, "http80-shop-prod-web", "1e+03", ',x="\\"y"'),
        'traefik_service_open_connections{service="http80-shop-prod-web@file"} 4',
    ]
    assert counted("\n".join(metrics), TOLD) == Counters(requests=1016, failed=3)
