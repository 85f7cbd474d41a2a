"""What services are called for those on other hosts, by the real client."""

from __future__ import annotations

from pathlib import Path

from events.kernel.errors import UserError
from gitops.findings import FindingCode
from tests.integration.gitops.renders import document_of, drafted, refusal, service_of
from tests.integration.gitops.stack import COMPOSE, FILES

SEVERAL = """\
project: {name: stack}
network:
  provider: %s
hosts: {gateway: [gw-1], db: [db-1], cache: [gw-1], app: [app-1, app-2]}
services:
  edge: {role: gateway}
  store: {role: db}
  cache: {role: cache}
  web: {role: app}
  api: {role: app}
environments:
  prod: {env_file: .env.dev, store_port_publish: "5432:5432", cache_port_publish: ""}
"""
STATIC = "static\n  static: {hosts: {db-1: {address: 10.9.0.3}, gw-1: {address: gw.example.org}}}"
MESH = "tailscale\n  tailscale: {auth_key_env: KEY, tailnet_domain: net.example.org}"


def test_two_hosts_get_their_services_with_the_names_of_the_others(tmp_path: Path) -> None:
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": SEVERAL % STATIC})
    placed = {host: sorted(content.document["services"]) for host, content in made.hosts.items()}
    assert placed == {
        "app-1": ["api", "web"],
        "app-2": ["api", "web"],
        "db-1": ["store"],
        "gw-1": ["cache", "edge"],
    }
    for host in ("app-1", "app-2"):
        web = service_of(made, "web", host)
        assert set(web["depends_on"]) == {"api"}
        assert web["extra_hosts"] == ["store=10.9.0.3"]
        assert web["environment"]["STORE"] == "10.9.0.3"
        assert "extra_hosts" not in service_of(made, "api", host)  # a name is no address
    dropped = {one.key: one.message for one in made.findings if one.code is FindingCode.DEPENDENCY_DROPPED}
    assert set(dropped) == {"services.web.depends_on", "services.api.depends_on"}
    assert "cache publishes no port" not in dropped["services.web.depends_on"]
    assert sorted(document_of(made, "db-1")["volumes"]) == ["records"]
    assert "volumes" not in document_of(made, "app-1")
    assert FindingCode.NETWORK_PER_HOST in {one.code for one in made.findings}


def test_hosts_of_a_mesh_are_called_by_their_names_in_it(tmp_path: Path) -> None:
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": SEVERAL % MESH})
    assert service_of(made, "web", "app-1")["environment"]["STORE"] == "db-1.net.example.org"


def test_a_file_of_the_repository_overrules_the_name_of_a_host(tmp_path: Path) -> None:
    for provider in (MESH, "static"):
        files = {**FILES, "stagecraft.yml": SEVERAL % provider, ".env": "STORE_HOST=store.internal\n"}
        made = drafted(tmp_path, files)
        assert service_of(made, "web", "app-1")["environment"]["STORE"] == "store.internal"
        assert FindingCode.HOST_UNNAMED not in {one.code for one in made.findings}


def test_a_host_without_a_name_is_told_of(tmp_path: Path) -> None:
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": SEVERAL % "static"})
    (told,) = [one for one in made.findings if one.code is FindingCode.HOST_UNNAMED]
    assert "${STORE_HOST}" in told.message
    assert service_of(made, "web", "app-1")["environment"]["STORE"] == "unknown"


def test_one_host_alone_needs_no_name(tmp_path: Path) -> None:
    assert service_of(drafted(tmp_path, FILES), "web")["environment"]["STORE"] == "store"


def test_a_volume_that_services_of_several_hosts_share_is_refused_by_name(tmp_path: Path) -> None:
    compose = COMPOSE.replace('    links: ["api:backend"]', "    volumes: ['records:/r']")
    error = refusal(tmp_path, {**FILES, "stagecraft.yml": SEVERAL % STATIC, "compose.yaml": compose})
    assert isinstance(error, UserError)
    assert error.code == "cross-host-volume"
    assert "store on db-1" in error.message
    assert "web on app-1, app-2" in error.message
    assert error.where.key == "volumes.records"
