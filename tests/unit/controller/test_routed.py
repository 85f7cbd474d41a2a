"""Routes of two Manifests side by side, and what a plan says of requests."""

from __future__ import annotations

from controller.changes import Comparison
from controller.comparing import compare
from controller.routed import NO_GATEWAY, telling, way_of_requests
from events.manifest import Manifest
from events.routes import Gateway, Route, Routing, Traffic
from projections.converge.foresight import foretell
from tests.unit.controller.test_comparing import manifest, service

WEB = Route(host="shop.example.org", service="web", port=8000)
GATEWAY = Gateway(service="edge", admin_port=8099, entry_points={"web": 80})


def routed(*routes: Route, **traffic: Traffic) -> Manifest:
    made = manifest({"web": {"image": "web:1"}}, {"web": service("h1")})
    routing = Routing(gateway=GATEWAY, routes=routes, traffic={"web": Traffic(), **traffic})
    return made.model_copy(update={"routing": routing if routes else None})


def test_declared_routes_are_told_though_no_container_changes() -> None:
    other = WEB.model_copy(update={"port": 9000})
    below = WEB.model_copy(update={"path": "/x"})
    (one,) = compare(routed(WEB), routed(other, below)).services
    assert (one.routes.added, one.routes.changed) == (("shop.example.org/x",), ("shop.example.org/",))
    assert [reason.kind for reason in one.reasons] == ["route"]
    (one,) = compare(routed(WEB), routed()).services
    assert one.routes.removed == ("shop.example.org/",)
    assert compare(routed(WEB), routed(WEB)).is_empty


def test_another_way_to_move_requests_is_told() -> None:
    (one,) = compare(routed(WEB), routed(WEB, web=Traffic(drain_seconds=1))).services
    assert [reason.kind for reason in one.reasons] == ["traffic"]


def test_a_plan_says_what_the_gateway_is_told() -> None:
    (line,) = telling(routed(WEB), routed(WEB.model_copy(update={"path": "/x"})))
    assert line.startswith("routes of web: +shop.example.org/x, -shop.example.org/;")
    assert list(telling(routed(WEB), routed(WEB))) == []
    assert len(list(telling(None, routed(WEB)))) == 1


def test_a_plan_says_how_requests_move() -> None:
    whole = way_of_requests(routed(WEB), "web", "start-first")
    assert whole == "requests move by gateway edge, open ones have 60 s to end"
    steps = way_of_requests(routed(WEB, web=Traffic(steps=(10, 50))), "web", "start-first")
    assert "10 %, 50 %, 100 % of them" in steps
    assert "edge tries again" in way_of_requests(routed(WEB), "web", "stop-first")
    assert way_of_requests(routed(WEB), "db", "start-first") == NO_GATEWAY
    assert way_of_requests(routed(), "web", "start-first") == NO_GATEWAY
    assert way_of_requests(routed(), "web", "stop-first") == ""
    assert way_of_requests(routed(WEB), "web", None) == ""


def test_a_plan_says_what_a_gateway_that_is_replaced_itself_costs() -> None:
    assert (
        way_of_requests(routed(WEB), "edge", "stop-first")
        == "nobody comes through the gateway edge meanwhile"
    )
    assert way_of_requests(routed(WEB), "edge", "start-first") == ""


def test_a_gateway_from_before_there_were_routes_is_replaced_once_and_the_plan_says_why() -> None:
    def deployed(version: str, *routes: Route) -> Manifest:
        made = manifest(
            {"edge": {"image": f"traefik:{version}", "ports": [{"target": 80, "published": "80"}]}},
            {"edge": service(f"h{version}")},
        )
        routing = Routing(gateway=GATEWAY, routes=routes, traffic={"web": Traffic()})
        return made.model_copy(update={"routing": routing if routes else None})

    def changes(old: Manifest, new: Manifest) -> list[dict[str, object]]:
        plans = foretell(new, old)
        found = Comparison(wanted=new, before=old, plans=plans, origins={}, stale={}).changes()
        return [one.as_json() for one in found]

    (first,) = changes(deployed("1"), deployed("2", WEB))
    assert first["action"] == "replace"
    assert str(first["reason"]).startswith("it is told of routes from now on, and replaced once for that; ")
    assert first["requests"] == "nobody comes through the gateway edge meanwhile"
    (later,) = changes(deployed("2", WEB), deployed("3", WEB))
    assert "from now on" not in str(later["reason"])
    (kept,) = changes(deployed("2"), deployed("2", WEB))
    assert kept["action"] == "keep"
