"""What an environment's rules make of its gateway's settings, by the real client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from events.manifest import FILES_PREFIX, STATE_PREFIX
from gitops.config.faults import ConfigInvalidError
from gitops.findings import FindingCode
from gitops.manifest import Draft
from tests.integration.gitops.renders import completed, drafted, refusal, service_of
from tests.integration.gitops.stack import COMPOSE, FILES, PROJECT


def files_of(made: Draft, service: str = "edge", host: str = "local") -> dict[str, Any]:
    """The generated files of the gateway by the path inside."""
    found: dict[str, Any] = {}
    for mount in service_of(made, service, host).get("volumes", ()):
        if not str(mount["source"]).startswith(FILES_PREFIX) or not str(mount["target"]).endswith(".yml"):
            continue
        assert mount["read_only"] is True
        digest = str(mount["source"]).removeprefix(FILES_PREFIX).partition("/")[0]
        (entry,) = made.hosts[host].files[f"sha256:{digest}"].entries
        found[mount["target"]] = yaml.safe_load(made.blobs[entry.blob])
    return found


def targets_of(made: Draft, service: str = "edge") -> dict[str, str]:
    return {mount["target"]: mount["source"] for mount in service_of(made, service).get("volumes", ())}


def test_a_gateway_with_mkcert_gets_its_certificates_and_addresses_outside(tmp_path: Path) -> None:
    made = drafted(tmp_path, FILES, environment="dev")
    files = files_of(made)
    watched = files["/etc/traefik/dynamic/stagecraft.yml"]
    assert watched["tls"]["certificates"] == [
        {"certFile": "/etc/traefik/certs/shop.pem", "keyFile": "/etc/traefik/certs/shop-key.pem"}
    ]
    assert targets_of(made)["/etc/traefik/certs"].startswith(FILES_PREFIX)
    servers = {
        name: service["loadBalancer"]["servers"][0]["url"]
        for name, service in watched["http"]["services"].items()
    }
    assert servers == {
        "api": "http://host.docker.internal:4000/v1",
        "web": "http://host.docker.internal:5173",
    }
    cors = watched["http"]["middlewares"]["cors-for-logto"]["headers"]
    assert cors["accessControlAllowOriginList"] == ["https://login.localdev.test"]
    assert "certificatesResolvers" not in files["/etc/traefik/traefik.yml"]


def test_a_gateway_with_acme_keeps_its_account_on_the_host(tmp_path: Path) -> None:
    made = drafted(tmp_path, FILES)
    (resolver,) = files_of(made)["/etc/traefik/traefik.yml"]["certificatesResolvers"].values()
    assert resolver["acme"]["email"] == "ops@example.org"
    assert resolver["acme"]["storage"] == "/etc/traefik/acme/acme.json"
    assert targets_of(made)["/etc/traefik/acme"] == "/srv/traefik"


@pytest.mark.parametrize("content", ["", "OPERATOR=\n", "OPERATOR=nobody\n", "OPERATOR='{{ env `X` }}@x'\n"])
def test_an_address_that_the_repository_does_not_have_is_not_made_up(tmp_path: Path, content: str) -> None:
    made = drafted(tmp_path, {**FILES, ".env": content})
    (resolver,) = files_of(made)["/etc/traefik/traefik.yml"]["certificatesResolvers"].values()
    assert "email" not in resolver["acme"]
    (told,) = [one for one in made.findings if one.code is FindingCode.GATEWAY_SETTING]
    assert "OPERATOR" in told.message
    assert told.key == "environments.prod.traefik.acme_email_env"


def test_an_edit_of_the_gateways_settings_replaces_the_gateway_alone(tmp_path: Path) -> None:
    before = completed(drafted(tmp_path / "a", FILES)).service_hashes()["local"]
    changed = PROJECT.replace("hsts: true", "hsts: false")
    after = completed(drafted(tmp_path / "b", {**FILES, "stagecraft.yml": changed})).service_hashes()["local"]
    assert {name for name in before if before[name] != after[name]} == {"edge"}


@pytest.mark.parametrize(
    ("own", "kept"),
    [
        ("command: [--api]", {"/etc/traefik/dynamic/stagecraft.yml"}),
        ("volumes: ['./edge.yml:/etc/traefik/traefik.yml']", {"/etc/traefik/dynamic/stagecraft.yml"}),
        ("volumes: ['./edge:/etc/traefik']", set[str]()),
    ],
)
def test_a_gateway_with_settings_of_its_own_keeps_them(tmp_path: Path, own: str, kept: set[str]) -> None:
    compose = COMPOSE.replace("command: []", own)
    made = drafted(tmp_path, {**FILES, "compose.yaml": compose, "edge.yml": "a: 1", "edge/x": ""})
    ours = {target for target in files_of(made) if target != "/etc/traefik/traefik.yml"}
    assert ours == kept
    assert [one.key for one in made.findings if one.code is FindingCode.GATEWAY_SETTING] == [
        "environments.prod.traefik"
    ]


def test_a_section_without_a_gateway_is_told_of(tmp_path: Path) -> None:
    made = drafted(tmp_path, {**FILES, "compose.yaml": COMPOSE.replace("traefik:v3.7", "caddy:2")})
    assert files_of(made) == {}
    assert "environments.prod.traefik" in {
        one.key for one in made.findings if one.code is FindingCode.GATEWAY_SETTING
    }


def test_a_gateway_that_is_no_service_is_refused_where_it_is_named(tmp_path: Path) -> None:
    project = PROJECT.replace("    web: {mode: container}", "    gateway: edg\n    web: {mode: container}")
    error = refusal(tmp_path, {**FILES, "stagecraft.yml": project})
    assert isinstance(error, ConfigInvalidError)
    assert "did you mean 'edge'?" in error.message


def test_state_of_a_rule_stays_on_the_host(tmp_path: Path) -> None:
    project = PROJECT.replace("./certs", "./elsewhere")
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": project}, environment="dev")
    assert targets_of(made)["/etc/traefik/certs"] == f"{STATE_PREFIX}elsewhere"
