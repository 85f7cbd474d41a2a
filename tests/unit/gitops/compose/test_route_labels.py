"""Labels in Traefik's usual form: understood whole, or left whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from events.routes import Route
from gitops.compose.route_labels import LabelsUnclearError, has_labels, routes_of_labels, without_labels
from gitops.entrances import our_entrances

OURS = our_entrances(None)
ROUTER, SERVER = "traefik.http.routers.web", "traefik.http.services.web.loadbalancer"
USUAL = {
    "traefik.enable": "true",
    f"{ROUTER}.rule": "Host(`shop.example.org`)",
    f"{ROUTER}.entrypoints": "web",
    f"{SERVER}.server.port": "8000",
}


def found(**more: str) -> tuple[Route, ...]:
    """The routes of the usual labels with others over them; `__` is a point, an empty one goes."""
    labels = USUAL | {name.replace("__", "."): value for name, value in more.items()}
    return routes_of_labels("web", {name: value for name, value in labels.items() if value}, OURS)


def test_the_usual_form_is_a_route() -> None:
    assert found() == (Route(host="shop.example.org", service="web", port=8000, entry_point="web"),)


def test_every_part_of_the_form_counts() -> None:
    labels = {
        "Traefik.Enable": "true",
        "traefik.docker.network": "net",
        f"{ROUTER}.rule": "Host(`A.example.org`) || Host(`b.example.org`) && PathPrefix(`/x`)",
        f"{ROUTER}.entryPoints": "websecure",
        f"{ROUTER}.tls.certresolver": "le",
        f"{ROUTER}.service": "web",
        f"{SERVER}.server.port": "8000",
        f"{SERVER}.server.scheme": "h2c",
        f"{SERVER}.passhostheader": "true",
        f"{SERVER}.sticky.cookie": "true",
        "traefik.http.services.other.loadbalancer.server.port": "1",
    }
    first, second = routes_of_labels("web", labels, OURS)
    assert first == Route(
        host="a.example.org",
        service="web",
        port=8000,
        tls=True,
        protocol="h2c",
        entry_point="websecure",
        sticky=True,
        resolver="le",
    )
    assert (second.host, second.path) == ("b.example.org", "/x")


def test_a_router_that_names_no_entry_point_has_all_usual_ones() -> None:
    made = routes_of_labels(
        "web",
        {name: value for name, value in USUAL.items() if not name.endswith("entrypoints")},
        our_entrances("acme"),
    )
    assert [(one.entrance, one.tls, one.resolver) for one in made] == [
        ("web", False, None),
        ("websecure", True, "acme"),
    ]


def test_bytes_are_routed_by_the_name_in_tls_or_whoever_comes() -> None:
    labels = {
        "traefik.enable": "true",
        "traefik.tcp.routers.db.rule": "HostSNI(`*`)",
        "traefik.tcp.routers.db.entrypoints": "web",
        "traefik.tcp.services.db.loadbalancer.server.port": "5432",
    }
    (route,) = routes_of_labels("db", labels, OURS)
    assert (route.protocol, route.host, route.tls, route.entrance) == ("tcp", "*", False, "web")
    named = labels | {"traefik.tcp.routers.db.rule": "HostSNI(`db.example.org`)"}
    with pytest.raises(LabelsUnclearError):
        routes_of_labels("db", named, OURS)
    (route,) = routes_of_labels("db", {**named, "traefik.tcp.routers.db.tls": "true"}, OURS)
    assert (route.host, route.tls) == ("db.example.org", True)


def test_a_service_that_is_not_enabled_asks_for_nothing() -> None:
    assert found(traefik__enable="false") == ()
    assert found(traefik__enable="") == ()
    assert routes_of_labels("web", {"team": "a"}, replace(OURS, labels_count=True)) == ()
    bare = {name: value for name, value in USUAL.items() if name != "traefik.enable"}
    assert len(routes_of_labels("web", bare, replace(OURS, labels_count=True))) == 1


@pytest.mark.parametrize(
    ("label", "value"),
    [
        (f"{ROUTER}.middlewares", "login"),
        ("traefik.http.middlewares.login.basicauth.users", "x:y"),
        (f"{ROUTER}.priority", "5"),
        (f"{ROUTER}.tls.domains[0].main", "x"),
        ("traefik.udp.routers.x.entrypoints", "dns"),
        ("traefik.http.services.web.weighted.sticky", "true"),
        (f"{ROUTER}.rule", "Host(`a`) && Method(`GET`)"),
        (f"{ROUTER}.rule", "Host(`*.example.org`)"),
        (f"{ROUTER}.rule", "Host(`a b`)"),
        (f"{ROUTER}.rule", "Host(`a`) && PathPrefix(`/{{ env }}`)"),
        (f"{ROUTER}.rule", "Host(`${NAME}`)"),
        (f"{ROUTER}.entrypoints", "elsewhere"),
        (f"{ROUTER}.service", "another"),
        (f"{ROUTER}.tls", "perhaps"),
        (f"{ROUTER}.tls.certresolver", "a b"),
        (f"{SERVER}.server.port", "http"),
        (f"{SERVER}.server.port", "70000"),
        (f"{SERVER}.server.scheme", "ftp"),
        (f"{SERVER}.passhostheader", "false"),
        ("traefik.http.services.second.loadbalancer.server.port", "9"),
        ("traefik.http.routers.bare.entrypoints", "web"),
    ],
)
def test_one_label_that_is_not_understood_leaves_all(label: str, value: str) -> None:
    labels = {**USUAL, label: value}
    if label.endswith("certresolver"):
        labels[f"{ROUTER}.entrypoints"] = "websecure"
    with pytest.raises(LabelsUnclearError):
        routes_of_labels("web", labels, OURS)


@pytest.mark.parametrize("gone", [f"{SERVER}.server.port", f"{ROUTER}.rule"])
def test_what_the_gateway_would_make_up_is_not_understood(gone: str) -> None:
    labels = {name: value for name, value in USUAL.items() if name != gone}
    with pytest.raises(LabelsUnclearError):
        routes_of_labels("web", labels, OURS)
    with pytest.raises(LabelsUnclearError):
        routes_of_labels("web", {"traefik.enable": "true"}, OURS)


def test_only_labels_for_traefik_go() -> None:
    labels = {"team": "a", "Traefik.enable": "true", "traefiks": "x"}
    assert has_labels(labels)
    assert without_labels(labels) == {"team": "a", "traefiks": "x"}
