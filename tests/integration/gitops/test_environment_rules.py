"""What an environment's rules make of a Compose file that was written for them, by the real client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from events.kernel.compose_client import compose_client, compose_environment
from events.manifest import FILES_PREFIX, ROUTES_PLACE
from gitops.compose.external import EXTERNAL_NAMESPACE
from gitops.compose.faults import COMPOSE_HOME_REFUSED, COMPOSE_PATH_REFUSED
from gitops.config.faults import ConfigInvalidError
from gitops.entrances import ADMIN_PORT
from gitops.findings import FindingCode
from gitops.source.paths import PATH_ESCAPES
from tests.integration.gitops.renders import completed, document_of, drafted, refusal, service_of
from tests.integration.gitops.stack import COMPOSE, FILES, PROJECT

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
