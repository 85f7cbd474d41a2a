"""What an environment's rules make of a Compose file that was written for them, by the real client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from events.kernel.compose_client import compose_client, compose_environment
from events.kernel.errors import UserError
from events.manifest import FILES_PREFIX, ROUTES_PLACE, STATE_PREFIX
from gitops.compose.external import EXTERNAL_NAMESPACE
from gitops.compose.faults import COMPOSE_HOME_REFUSED, COMPOSE_PATH_REFUSED
from gitops.config.faults import ConfigInvalidError
from gitops.entrances import ADMIN_PORT
from gitops.findings import FindingCode
from gitops.manifest import Draft
from gitops.source.paths import PATH_ESCAPES
from tests.integration.gitops.renders import completed, document_of, drafted, refusal, service_of

COMPOSE = """\
x-note: kept out of what runs
networks: {net: {driver: bridge}}
volumes: {records: {}, cache: {}}
services:
  edge:
    image: traefik:v3.7
    networks: [net]
    ports: ["80:80", "443:443"]
    env_file: ["${PLATFORM_ENV_FILE:-.env.none}"]
    command: []
  store:
    image: store:16
    networks: [net]
    env_file:
      - path: ${PLATFORM_ENV_FILE:-.env.none}
        format: raw
    environment: {OWNER: "${STORE_OWNER:-nobody}", GIVEN: here}
    volumes:
      - ${STORE_VOLUME:-records}:/var/lib/store
      - ${STORE_INIT_SCRIPTS:-./scripts}:/init:ro
    ports: ["${STORE_PORT_PUBLISH:-}"]
    healthcheck: {test: ["CMD-SHELL", "check $$OWNER"], interval: 5s}
  cache:
    image: cache:7
    networks: [net]
    volumes: ["${CACHE_VOLUME:-cache}:/data"]
    ports: ["${CACHE_PORT_PUBLISH:-}", "127.0.0.1:9090:9090"]
    labels: {published: "${CACHE_PORT_PUBLISH}"}
  web:
    profiles: [app]
    image: web:${IMAGE_TAG:-latest}
    networks: [net]
    environment: {STORE: "${STORE_HOST:-unknown}"}
    depends_on: {store: {condition: service_healthy}, api: {condition: service_started}}
    links: ["api:backend"]
  api:
    profiles: [app]
    image: api:${IMAGE_TAG:-latest}
    networks: [net]
    depends_on: [cache]
"""
PROJECT = """\
project: {name: stack}
services:
  edge: {role: gateway}
  store: {role: db}
  cache: {role: cache}
environments:
  dev:
    hosts: {gateway: [local], db: [local], cache: [local], app: [local]}
    env_file: .env.dev
    store_volume: records
    store_init_scripts: ./scripts
    cache_volume: cache
    store_port_publish: "5433:5432"
    cache_port_publish: "6379:6379"
    traefik: {mode: mkcert, mkcert_cert_dir: ./certs, dashboard_auth: basic, cors_for_logto: true}
    web: {mode: external, url: "http://localhost:5173"}
    api: {mode: external, url: "http://localhost:4000/v1"}
  prod:
    hosts: {gateway: [local], db: [local], cache: [local], app: [local]}
    env_file: /etc/platform/env
    store_volume: /srv/store
    store_init_scripts: /opt/scripts
    cache_volume: /srv/cache
    store_port_publish: ""
    cache_port_publish: ""
    traefik: {mode: acme, acme_email_env: OPERATOR, acme_storage: /srv/traefik/acme.json, hsts: true}
    web: {mode: container}
    api: {mode: container}
"""
FILES: dict[str, str | bytes] = {
    "stagecraft.yml": PROJECT,
    "compose.yaml": COMPOSE,
    ".env": "OPERATOR=ops@example.org\nSTORE_OWNER=lowest\n",
    ".env.dev": "STORE_OWNER=dev\nLOGTO_DOMAIN=login.localdev.test\nGIVEN=elsewhere\nMORE=1\n",
    "scripts/first.sql": "select 1",
    "certs/shop.pem": "certificate",
    "certs/shop-key.pem": "key",
}
# The same by hand, for plain Compose. A port that is taken out has to be one first: Compose refuses an
# empty entry before it merges.
BY_HAND = {
    "dev": (
        """\
services:
  edge: {extra_hosts: ["host.docker.internal:host-gateway"]}
  cache: {labels: {published: "6379:6379"}}
  web: !reset null
  api: !reset null
""",
        {
            "PLATFORM_ENV_FILE": ".env.dev",
            "STORE_OWNER": "dev",
            "STORE_PORT_PUBLISH": "5433:5432",
            "CACHE_PORT_PUBLISH": "6379:6379",
            "STORE_HOST": "store",
        },
    ),
    "prod": (
        """\
services:
  edge: {env_file: !reset [], volumes: ["/srv/traefik:/etc/traefik/acme"]}
  store: {env_file: !reset [], ports: !reset []}
  cache: {ports: !override ["127.0.0.1:9090:9090"], labels: {published: ""}}
""",
        {
            "PLATFORM_ENV_FILE": ".env.dev",
            "STORE_OWNER": "lowest",
            "STORE_VOLUME": "/srv/store",
            "STORE_INIT_SCRIPTS": "/opt/scripts",
            "CACHE_VOLUME": "/srv/cache",
            "STORE_PORT_PUBLISH": "1:1",
            "CACHE_PORT_PUBLISH": "1:1",
            "COMPOSE_PROFILES": "app",
            "IMAGE_TAG": "v1",
            "STORE_HOST": "store",
        },
    ),
}


def compose_by_hand(folder: Path, environment: str) -> dict[str, Any]:
    """What `docker compose config` makes of the base file and an override."""
    override, variables = BY_HAND[environment]
    path = folder.parent / "override.yml"
    path.write_text(override)
    files = ["--project-directory", str(folder), "-f", str(folder / "compose.yaml"), "-f", str(path)]
    done = subprocess.run(
        [str(compose_client()), "-p", f"stack-{environment}", *files, "config", "--format", "json"],
        env={**compose_environment(folder.parent), **variables},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def normal(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A document without what is documented to differ: places of files, the gateway's own, its admin port."""
    services: dict[str, Any] = {}
    for name, service in document["services"].items():
        kept = {key: value for key, value in service.items() if key not in {"env_file", "profiles"}}
        mounts: list[Any] = []
        kept["ports"] = [one for one in kept.get("ports") or () if one["target"] != ADMIN_PORT]
        for mount in kept.pop("volumes", []):
            source = str(mount.get("source"))
            if source == ROUTES_PLACE:
                continue
            if source.startswith((FILES_PREFIX, str(folder))):
                if not str(mount["target"]).startswith("/etc/traefik"):
                    mounts.append(("of the commit", mount["target"], mount["read_only"]))
            else:
                mounts.append({key: value for key, value in mount.items() if key != "bind"})
        services[name] = {**kept, "volumes": mounts}
    used = {"networks": document.get("networks"), "volumes": document.get("volumes")}
    named = {mount["source"] for one in services.values() for mount in one["volumes"] if "source" in mount}
    defined: dict[str, Any] = used["volumes"] or {}
    volumes = {key: value for key, value in defined.items() if key in named}
    return {"name": document["name"], "services": services, "networks": used["networks"], "volumes": volumes}


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_environment_renders_as_compose_does_with_an_override_by_hand(
    tmp_path: Path, environment: str
) -> None:
    folder = tmp_path / "tree"
    made = drafted(folder, FILES, environment=environment)
    assert normal(document_of(made), folder) == normal(compose_by_hand(folder, environment), folder)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_two_renders_are_the_same_bytes(tmp_path: Path, environment: str) -> None:
    first = completed(drafted(tmp_path / "one", FILES, environment=environment))
    second = completed(drafted(tmp_path / "other/way", FILES, environment=environment))
    assert first.encode() == second.encode()


def test_an_env_file_of_the_host_stays_where_it_is_for_those_who_name_it(tmp_path: Path) -> None:
    made = drafted(tmp_path, FILES)
    assert service_of(made, "store")["env_file"] == [{"path": "/etc/platform/env", "format": "raw"}]
    assert "env_file" not in service_of(made, "cache")
    assert service_of(made, "store")["environment"]["GIVEN"] == "here"


def test_a_declared_env_file_that_is_not_there_is_told_once_and_nothing_fails(tmp_path: Path) -> None:
    files = {name: content for name, content in FILES.items() if name != ".env.dev"}
    made = drafted(tmp_path, files, environment="dev")
    assert "MORE" not in (service_of(made, "edge").get("environment") or {})
    absent = [one for one in made.findings if one.code is FindingCode.ENV_FILE_ABSENT]
    assert len(absent) == 1
    assert made.inputs[".env.dev"] is None


def test_an_env_file_that_only_compose_can_name_is_an_input(tmp_path: Path) -> None:
    files = {"compose.yaml": "services: {web: {image: x, env_file: '${WHERE:-deep/a.env}'}}\n"}
    made = drafted(tmp_path, {**files, "deep/a.env": "A=1\n"})
    assert service_of(made)["environment"] == {"A": "1"}
    assert made.inputs["deep/a.env"] is not None


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("../../etc/passwd", PATH_ESCAPES),
        ("/proc/1/environ", COMPOSE_PATH_REFUSED),
        ("/etc/../dev/stdin", COMPOSE_PATH_REFUSED),
        ("/etc/\x1b[31mred", COMPOSE_PATH_REFUSED),
        ("link.env", "path-is-link"),
        ("absent.env", "compose-invalid"),
    ],
)
def test_a_hostile_name_in_a_variable_is_refused(tmp_path: Path, where: str, code: str) -> None:
    (tmp_path / "link.env").symlink_to("/etc/passwd")
    error = refusal(
        tmp_path,
        {"compose.yaml": "services: {web: {image: x, env_file: '${WHERE}'}}\n", ".env": f"WHERE='{where}'\n"},
    )
    assert error.code == code
    assert "root:" not in str(error)


def test_the_home_of_whoever_renders_is_no_place_for_an_env_file(tmp_path: Path) -> None:
    files = {"compose.yaml": "services: {web: {image: x, env_file: '${WHERE}'}}\n", ".env": "WHERE=$HOME/e\n"}
    assert refusal(tmp_path, files).code == COMPOSE_HOME_REFUSED


def test_a_service_that_runs_outside_is_not_waited_for(tmp_path: Path) -> None:
    project = PROJECT.replace('web: {mode: external, url: "http://localhost:5173"}', "web: {mode: container}")
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": project}, environment="dev")
    web = service_of(made, "web")
    assert set(web["depends_on"]) == {"store"}
    assert "links" not in web
    told = {one.key: one.message for one in made.findings if one.code is FindingCode.DEPENDENCY_EXTERNAL}
    assert set(told) == {"services.web.depends_on", "services.web.links"}
    assert "api" in told["services.web.depends_on"]


def test_what_lives_inside_a_service_that_runs_outside_is_refused_by_name(tmp_path: Path) -> None:
    compose = COMPOSE.replace('links: ["api:backend"]', "pid: service:api")
    project = PROJECT.replace('web: {mode: external, url: "http://localhost:5173"}', "web: {mode: container}")
    error = refusal(
        tmp_path, {**FILES, "compose.yaml": compose, "stagecraft.yml": project}, environment="dev"
    )
    assert error.code == EXTERNAL_NAMESPACE
    assert (error.where.service, error.where.key) == ("web", "services.web.pid")


def test_nothing_is_left_when_all_runs_outside(tmp_path: Path) -> None:
    files = {
        "stagecraft.yml": "project: {name: a}\nenvironments: {prod: {web: {mode: external}}}\n",
        "compose.yaml": "services: {web: {image: x}}\n",
    }
    error = refusal(tmp_path, files)
    assert error.code == "services-none"
    assert "outside" in error.message


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


def test_a_rule_that_no_compose_file_uses_is_told_of(tmp_path: Path) -> None:
    project = PROJECT.replace(
        "    cache_volume: /srv/cache", "    cache_volume: /srv/cache\n    old_volume: x1"
    )
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": project})
    unused = [one for one in made.findings if one.code is FindingCode.UNUSED_KEY]
    assert [one.key for one in unused] == ["environments.prod.old_volume"]


def test_a_host_folder_of_a_rule_needs_the_permission_of_any_other(tmp_path: Path) -> None:
    project = PROJECT.replace("store_volume: /srv/store", "store_volume: /etc/ssh").replace(
        "acme_storage: /srv/traefik/acme.json", "acme_storage: /root/acme.json"
    )
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": project})
    needed = [one.message for one in made.findings if one.code is FindingCode.NEEDS_PERMISSION]
    assert any("system-path:/etc/ssh" in message for message in needed)
    assert any("system-path:/root" in message for message in needed)


@pytest.mark.parametrize(
    "rule",
    [
        "store_volume: /srv/../etc",
        "store_volume: '/srv:/x'",
        "store_volume: v",
        'store_volume: "/srv/\\e[31m"',
        "store_init_scripts: ../scripts",
        "store_init_scripts: ~/scripts",
        "env_file: ../.env",
        "env_file: '$HOME/x'",
        "web: {mode: external, url: 'http://user:word@x/'}",
        "web: {mode: external, url: 'http://x/{{ env `Y` }}'}",
        "traefik: {mode: acme, acme_storage: ../acme.json}",
        "traefik: {mode: mkcert, mkcert_cert_dir: /}",
    ],
)
def test_a_rule_that_leads_astray_is_refused_at_its_place(tmp_path: Path, rule: str) -> None:
    project = f"project: {{name: a}}\nenvironments:\n  prod:\n    {rule}\n"
    error = refusal(tmp_path, {"stagecraft.yml": project})
    assert isinstance(error, ConfigInvalidError)
    assert error.where.line == 4
    assert "\x1b" not in str(error)


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


def test_state_of_a_rule_stays_on_the_host(tmp_path: Path) -> None:
    project = PROJECT.replace("./certs", "./elsewhere")
    made = drafted(tmp_path, {**FILES, "stagecraft.yml": project}, environment="dev")
    assert targets_of(made)["/etc/traefik/certs"] == f"{STATE_PREFIX}elsewhere"
