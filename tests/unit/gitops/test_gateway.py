"""The gateway of an environment: who it is, what it is given, and what it passes on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import UserError
from events.manifest import ROUTES_PLACE
from events.routes import Maintenance, RequestProbe, Route, Routing, Traffic
from gitops.compose.files import Collector
from gitops.config.load import load
from gitops.findings import FindingCode
from gitops.gateway import GATEWAY_UNFIT, Equipped, equip_gateway
from gitops.settings import external_services, resolve_services
from tests.unit.gitops.trees import tree_of

NET: dict[str, Any] = {"networks": {"default": None}}
LABELS = {
    "team": "a",
    "traefik.enable": "true",
    "traefik.http.routers.web.rule": "Host(`web.example.org`)",
    "traefik.http.routers.web.entrypoints": "web",
    "traefik.http.services.web.loadbalancer.server.port": "8000",
}
SERVICES: dict[str, dict[str, Any]] = {
    "edge": {"image": "docker.io/library/traefik:v3", **NET},
    "web": {"image": "web:1", **NET},
    "api": {"image": "api:1", "networks": {"inner": None}},
    "host": {"image": "host:1", "network_mode": "host"},
    "migrate": {"image": "web:1", **NET},
}
FLAGS = ("--providers.file.directory=/dyn", "--api.insecure", "--entrypoints.web.address=:80")
HOSTS = "hosts: {gateway: [h1], app: [h1, h2]}\nservices: {edge: {role: gateway}, migrate: {job: {}}}\n"


def services(**more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    made = copy.deepcopy(SERVICES)
    for name, keys in more.items():
        made[name] = {**made.get(name, {"image": f"{name}:1", **NET}), **keys}
    return made


def equipped(
    folder: Path, environment: str, made: dict[str, dict[str, Any]] | None = None, project: str = HOSTS
) -> Equipped:
    """The gateway of an environment with this content, in flow style or in lines."""
    body = f"project: {{name: shop}}\n{project}environments:\n  prod: {{{environment}}}\n"
    tree = tree_of(folder, {"stagecraft.yml": body})
    configuration = load(tree, "stagecraft.yml", "prod")
    given = services() if made is None else made
    settings = resolve_services(configuration, given, outside=external_services(configuration))
    collector = Collector(tree=tree, folder="")
    return equip_gateway(configuration, collector, services=given, settings=settings, values={})


def routing(folder: Path, environment: str, made: dict[str, dict[str, Any]] | None = None) -> Routing:
    found = equipped(folder, environment, made).routing
    assert found is not None
    return found


def refusal(folder: Path, environment: str, made: dict[str, dict[str, Any]] | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        equipped(folder, environment, made)
    return caught.value


def messages(found: Equipped, code: FindingCode) -> list[str]:
    return [one.message for one in found.findings if one.code is code]


WEB = "routes: [{host: Shop.example.org, service: web, port: 8000}]"


def test_a_declared_route_equips_the_gateway(tmp_path: Path) -> None:
    made = services()
    found = equipped(tmp_path, WEB, made)
    assert found.hosts == ("h1",)
    assert found.routing is not None
    assert found.routing.routes == (Route(host="shop.example.org", service="web", port=8000),)
    assert found.routing.gateway.model_dump() == {
        "service": "edge",
        "kind": "traefik",
        "admin_port": 8099,
        "authenticated": True,
        "entry_points": {"web": 80, "websecure": 443},
    }
    assert found.routing.traffic == {"web": Traffic()}
    mounts = {mount["target"]: mount for mount in made["edge"]["volumes"]}
    assert mounts["/etc/traefik/dynamic"]["source"] == ROUTES_PLACE
    assert mounts["/etc/traefik/dynamic"]["read_only"] is True
    assert set(mounts) == {
        "/etc/traefik/dynamic",
        "/etc/traefik/dynamic/stagecraft.yml",
        "/etc/traefik/traefik.yml",
    }
    (port,) = made["edge"]["ports"]
    assert port == {"mode": "ingress", "host_ip": "127.0.0.1", "target": 8099, "protocol": "tcp"}
    assert found.findings == ()


def test_labels_become_a_route_and_go(tmp_path: Path) -> None:
    made = services(web={"labels": dict(LABELS)})
    found = routing(tmp_path, "", made)
    assert found.routes == (Route(host="web.example.org", service="web", port=8000, entry_point="web"),)
    assert made["web"]["labels"] == {"team": "a"}


def test_labels_and_declared_routes_of_a_service_add_up(tmp_path: Path) -> None:
    made = services(web={"labels": dict(LABELS)})
    declared = (
        "routes: [{host: web.example.org, service: web, port: 9000}, {host: b.org, service: web, port: 1}]"
    )
    assert [(one.host, one.port) for one in routing(tmp_path, declared, made).routes] == [
        ("b.org", 1),
        ("web.example.org", 9000),
    ]


@pytest.mark.parametrize(
    ("web", "environment"),
    [
        ({"labels": {**LABELS, "traefik.http.routers.web.middlewares": "x"}}, ""),
        ({"labels": LABELS}, "routes: [{host: web.example.org, service: other, port: 1}]"),
        ({"labels": LABELS, "networks": {"inner": None}}, ""),
        ({"labels": LABELS}, "routes: [{host: '*', service: other, port: 1, protocol: tcp}]"),
    ],
)
def test_labels_that_cannot_be_a_route_stay_with_a_finding(
    tmp_path: Path, web: dict[str, Any], environment: str
) -> None:
    made = services(web=dict(web), other={})
    found = equipped(tmp_path, environment, made)
    assert made["web"]["labels"] == web["labels"]
    (left,) = messages(found, FindingCode.ROUTE_LEFT)
    assert left.startswith("web keeps its labels")


def test_without_routes_and_a_section_nothing_is_given(tmp_path: Path) -> None:
    made = services()
    assert equipped(tmp_path, "", made) == Equipped(routing=None)
    assert made == SERVICES
    (told,) = equipped(tmp_path, "gateway: edge").findings
    assert told.key == "environments.prod.gateway"


def test_a_gateway_with_a_section_is_ready_for_routes_to_come(tmp_path: Path) -> None:
    found = equipped(tmp_path, "traefik: {mode: acme}")
    assert found.routing is not None
    assert found.routing.routes == ()


def test_certificates_of_acme_are_asked_for_by_name(tmp_path: Path) -> None:
    declared = "traefik: {mode: acme}, routes: [{host: a.org, service: web, port: 1, tls: true}]"
    (route,) = routing(tmp_path, declared).routes
    assert (route.tls, route.resolver) == (True, "acme")
    declared = "traefik: {mode: acme}, routes: [{host: a.org, service: web, port: 1, entry_point: websecure}]"
    (route,) = routing(tmp_path, declared).routes
    assert (route.tls, route.resolver) == (True, "acme")


@pytest.mark.parametrize(
    ("route", "key"),
    [
        ("host: a.org, service: wob, port: 1", "routes[0].service"),
        ("host: a.org, service: edge, port: 1", "routes[0].service"),
        ("host: a.org, service: migrate, port: 1", "routes[0].service"),
        ("host: a.org, service: host, port: 1", "routes[0].service"),
        ("host: a.org, service: api, port: 1", "routes[0].service"),
        ("host: a.org, service: web, port: 1, entry_point: http", "routes[0].entry_point"),
        ("host: a.org, service: web, port: 1, protocol: tcp", "routes[0].host"),
        ("host: '*.a.org', service: web, port: 1, protocol: tcp, tls: true", "routes[0].host"),
        ("host: '*', path: /x, service: web, port: 1, protocol: tcp", "routes[0].path"),
        ("host: '*', sticky: true, service: web, port: 1, protocol: tcp", "routes[0].sticky"),
        ("host: a.org, service: web, port: 1}, {host: A.org, service: web, port: 2", "routes[1]"),
        ("host: a.org, service: web, port: 1}, {host: a.org, service: other, port: 2", "routes[1]"),
        (
            "host: '*', service: web, port: 1, protocol: tcp}, {host: a, service: web, port: 2",
            "routes[1]",
        ),
        (
            "host: a, service: web, port: 2}, {host: '*', service: web, port: 1, protocol: tcp",
            "routes[1]",
        ),
    ],
)
def test_a_route_that_cannot_be_kept_is_refused_at_its_place(tmp_path: Path, route: str, key: str) -> None:
    error = refusal(tmp_path, f"routes: [{{{route}}}]", services(other={}))
    assert (error.code, error.where.key) == ("config-invalid", f"environments.prod.{key}")


@pytest.mark.parametrize(
    "route",
    [
        "host: 'a`b', service: web, port: 1",
        "host: 'a b', service: web, port: 1",
        "host: '{{ env `X` }}', service: web, port: 1",
        "host: a..b, service: web, port: 1",
        "host: a.org, path: x, service: web, port: 1",
        "host: a.org, path: '/`', service: web, port: 1",
        "host: a.org, path: '/{{x}}', service: web, port: 1",
        "host: a.org, service: web, port: 0",
        "host: a.org, service: web, port: 1, entry_point: 'a b'",
        "host: a.org, service: web, port: 1, protocol: udp",
    ],
)
def test_what_could_be_read_as_more_than_a_name_is_refused(tmp_path: Path, route: str) -> None:
    assert refusal(tmp_path, f"routes: [{{{route}}}]").code == "config-invalid"


def test_routes_need_a_gateway(tmp_path: Path) -> None:
    error = refusal(tmp_path, WEB, services(edge={"image": "caddy:2"}))
    assert error.where.key == "environments.prod.routes"
    named = routing(tmp_path, f"gateway: edge, {WEB}", services(edge={"image": "edge:1"}))
    assert named.gateway.service == "edge"


def test_a_gateway_with_good_flags_gets_the_folder_and_no_settings(tmp_path: Path) -> None:
    made = services(edge={"command": list(FLAGS)})
    found = equipped(tmp_path, WEB, made)
    assert found.routing is not None
    assert (found.routing.gateway.admin_port, found.routing.gateway.authenticated) == (8080, False)
    assert [mount["target"] for mount in made["edge"]["volumes"]] == ["/dyn"]
    assert made["edge"]["ports"][0]["target"] == 8080
    assert len(messages(found, FindingCode.GATEWAY_SETTING)) == 2
    again = services(edge={"command": list(FLAGS)})
    assert equipped(tmp_path, "", again).routing is None
    assert "volumes" not in again["edge"]


def test_a_gateway_that_cannot_be_told_is_refused_with_the_flags_that_it_lacks(tmp_path: Path) -> None:
    error = refusal(tmp_path, WEB, services(edge={"command": ["--api.insecure"]}))
    assert error.code == GATEWAY_UNFIT
    assert error.next == "add to its command: --providers.file.directory=/etc/traefik/dynamic"
    assert error.where.service == "edge"
    error = refusal(tmp_path, WEB, services(edge={"network_mode": "host", "networks": {}}))
    assert error.code == GATEWAY_UNFIT
    own = {"volumes": [{"type": "bind", "source": "/srv", "target": "/etc/traefik/dynamic"}]}
    assert refusal(tmp_path, WEB, services(edge=own)).code == GATEWAY_UNFIT


def test_labels_of_a_gateway_that_cannot_be_told_stay_with_one_finding(tmp_path: Path) -> None:
    made = services(edge={"command": ["--api.insecure"]}, web={"labels": dict(LABELS)})
    found = equipped(tmp_path, "", made)
    assert found.routing is None
    assert made["web"]["labels"] == LABELS
    (left,) = messages(found, FindingCode.ROUTE_LEFT)
    assert "--providers.file.directory=" in left


def test_labels_are_left_where_the_gateway_chooses_services(tmp_path: Path) -> None:
    made = services(
        edge={"command": [*FLAGS, "--providers.docker.constraints=Label(`a`,`b`)"]},
        web={"labels": dict(LABELS)},
    )
    found = equipped(tmp_path, "", made)
    assert found.routing is None
    assert "constraints" in messages(found, FindingCode.ROUTE_LEFT)[0]


def test_what_runs_outside_is_not_passed_on_to_by_a_route(tmp_path: Path) -> None:
    made = services()
    del made["web"]
    project = "services: {edge: {role: gateway}}\nhosts: {gateway: [h1], app: [h1]}\n"
    body = f"web: {{mode: external, url: 'http://localhost:1'}}, traefik: {{mode: acme}}, {WEB}"
    found = equipped(tmp_path, body, made, project)
    assert found.routing is not None
    assert found.routing.routes == ()
    assert any("runs outside" in one for one in messages(found, FindingCode.GATEWAY_SETTING))


SAID = """hosts: {gateway: [h1], app: [h1]}
services:
  edge: {role: gateway}
  web:
    rollout: {traffic: {strategy: canary, drain_seconds: 5}}
    probe: {path: /ready, rate: 2}
"""


def traffic(folder: Path, environment: str) -> dict[str, Traffic]:
    body = (
        f"{environment}, routes: [{{host: a, service: web, port: 1}}, {{host: b, service: other, port: 1}}]"
    )
    found = equipped(folder, body, services(other={}), SAID).routing
    assert found is not None
    return found.traffic


def test_words_of_a_service_go_over_those_of_the_environment_key_by_key(tmp_path: Path) -> None:
    found = traffic(
        tmp_path,
        "rollout: {traffic: {strategy: start-first, steps: [20, 100], watch_seconds: 9, drain_seconds: 7}}, "
        "probe: {rate: 3}",
    )
    assert found["web"] == Traffic(
        drain_seconds=5, watch_seconds=9, steps=(20,), probe=RequestProbe(path="/ready", rate=2)
    )
    assert found["other"] == Traffic(drain_seconds=7, watch_seconds=9, probe=RequestProbe(path="/", rate=3))


def test_a_canary_has_steps_without_being_told_and_none_where_nothing_overlaps(tmp_path: Path) -> None:
    assert traffic(tmp_path, "drift: heal")["web"].steps == (10, 50)
    assert traffic(tmp_path, "rollout: {enabled: false}")["web"].steps == ()


def test_a_probe_of_a_service_goes_over_that_of_the_environment_key_by_key(tmp_path: Path) -> None:
    over = f"probe: {{path: /alive, rate: 3}}, services: {{web: {{probe: {{path: /x}}}}}}, {WEB}"
    assert routing(tmp_path, over).traffic["web"].probe == RequestProbe(path="/x", rate=3)
    alone = f"services: {{web: {{probe: }}}}, {WEB}"
    assert routing(tmp_path, alone).traffic["web"].probe == RequestProbe(path="/", rate=10)


def test_bytes_are_not_asked_for_an_answer(tmp_path: Path) -> None:
    body = "probe: {path: /x}, routes: [{host: '*', service: web, port: 1, protocol: tcp}]"
    assert routing(tmp_path, body).traffic["web"].probe is None


def test_words_about_requests_that_nobody_passes_on_are_told_of(tmp_path: Path) -> None:
    said = "rollout: {traffic: {strategy: stop-first, drain_seconds: 5}}, probe: {rate: 3}"
    keys = [one.key for one in equipped(tmp_path, said).findings]
    assert keys == ["environments.prod.rollout.traffic.drain_seconds", "environments.prod.probe"]
    over = f"services: {{api: {{probe: {{rate: 1}}, rollout: {{traffic: {{steps: [1]}}}}}}}}, {WEB}"
    keys = [one.key for one in equipped(tmp_path, over).findings]
    assert keys == [
        "environments.prod.services.api.rollout.traffic.steps",
        "environments.prod.services.api.probe",
    ]
    other = "routes: [{host: b, service: other, port: 1}]"
    keys = [one.key for one in equipped(tmp_path, other, services(other={}), SAID).findings]
    assert keys == ["services.web.rollout.traffic.drain_seconds", "services.web.probe"]
    assert equipped(tmp_path, "", services(), SAID).findings == ()


@pytest.mark.parametrize("steps", ["[0]", "[101]", "[50, 10]", "[10, 10]", "x"])
def test_steps_rise_from_one_to_a_hundred(tmp_path: Path, steps: str) -> None:
    error = refusal(tmp_path, f"rollout: {{traffic: {{steps: {steps}}}}}")
    assert error.code == "config-invalid"


def test_a_caddy_that_is_named_is_told_by_its_admin_api_and_gets_no_files(tmp_path: Path) -> None:
    caddy = {"image": "docker.io/library/caddy:2", "environment": {"CADDY_ADMIN": "0.0.0.0:2019"}}
    made = services(edge=caddy, web={"labels": dict(LABELS)})
    found = equipped(tmp_path, f"gateway: edge, traefik: {{mode: acme}}, {WEB}", made)
    assert found.routing is not None
    gateway = found.routing.gateway
    assert (gateway.kind, gateway.admin_port, gateway.authenticated) == ("caddy", 2019, False)
    assert "volumes" not in made["edge"]
    assert made["edge"]["ports"][0]["host_ip"] == "127.0.0.1"
    assert made["web"]["labels"] == LABELS
    assert [one.key for one in found.findings] == ["environments.prod.traefik"]
    assert equipped(tmp_path, "gateway: edge", services(edge=caddy)).routing is None


@pytest.mark.parametrize("admin", [None, "localhost:2019", "127.0.0.1:2019", "off"])
def test_a_caddy_that_keeps_its_admin_api_to_itself_is_refused(tmp_path: Path, admin: str | None) -> None:
    made = services(edge={"image": "caddy:2", "environment": {"CADDY_ADMIN": admin}})
    error = refusal(tmp_path, f"gateway: edge, {WEB}", made)
    assert error.code == GATEWAY_UNFIT
    assert "CADDY_ADMIN" in error.why


PAGE = "maintenance: {service: sorry, port: 8080, path: /down.html}"


def test_a_page_for_what_is_drained_is_part_of_the_routing(tmp_path: Path) -> None:
    found = routing(tmp_path, f"{WEB}, {PAGE}", services(sorry={}))
    assert found.maintenance == Maintenance(service="sorry", port=8080, path="/down.html")
    assert found.dialled == {"sorry": frozenset({8080}), "web": frozenset({8000})}
    assert found.page_of("web") == found.maintenance
    raw = "{host: '*', service: web, port: 5000, protocol: tcp}"
    assert routing(tmp_path, f"routes: [{raw}], {PAGE}", services(sorry={})).page_of("web") is None
    assert "maintenance" not in routing(tmp_path, WEB).model_dump()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sory", "unknown service 'sory'; did you mean 'sorry'?"),
        ("migrate", "migrate is a job"),
        ("edge", "edge is the gateway itself"),
        ("host", "host has network_mode: host"),
        ("api", "api (networks: inner) shares no network with the gateway edge"),
    ],
)
def test_a_page_that_nobody_could_show_is_refused_where_it_stands(
    tmp_path: Path, name: str, why: str
) -> None:
    page = PAGE.replace("sorry", name)
    error = refusal(tmp_path, f"{WEB}, {page}", services(sorry={}))
    assert error.code == "config-invalid"
    assert why in f"{error.message} {error.why}"
    assert "maintenance.service" in f"{error.where} {error.message} {error.why}"


def test_a_page_without_anybody_who_shows_it_is_a_finding(tmp_path: Path) -> None:
    found = equipped(tmp_path, PAGE, services(sorry={}))
    assert found.routing is None
    assert messages(found, FindingCode.GATEWAY_SETTING) == [
        "no gateway passes requests on, so nobody gets the page"
    ]
