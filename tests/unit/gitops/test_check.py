"""All findings of a configuration at once, each with its place."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from controller.providers.table import PROVIDERS
from events.kernel.errors import UserError
from gitops.check import check_controller, check_project
from gitops.config.load import CONFIG_NOT_FOUND, ENVIRONMENT_UNKNOWN
from gitops.findings import Finding, FindingCode, Severity
from tests.unit.gitops.trees import tree_of

SMALL = "project: {name: hello}\nenvironments: {prod: }\n"
COMPOSE = "services:\n  web: {image: w}\n  db: {image: d}\n"


def found(folder: Path, files: dict[str, str], *environments: str) -> list[Finding]:
    tree = tree_of(folder, {"compose.yaml": COMPOSE, **files})
    return check_project(tree, "stagecraft.yml", providers=PROVIDERS, environments=environments)


def told(folder: Path, content: str, **more: str) -> list[str]:
    """`line:column severity code key` of the findings of a project file."""
    return [
        f"{one.line}:{one.column} {one.severity} {one.code} {one.key}"
        for one in found(folder, {"stagecraft.yml": content, **more})
    ]


def test_a_sound_project_has_no_finding(tmp_path: Path) -> None:
    assert found(tmp_path, {"stagecraft.yml": SMALL}) == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("project: {nam: hello}\nenvironments: {prod: }\n", "1:1 error missing-key project.name"),
        (f"{SMALL}servces: {{}}\n", "3:1 error unknown-key servces"),
        (f"{SMALL}hosts: [a]\n", "3:1 error wrong-type hosts"),
        (f"{SMALL}hosts: {{a: [b/c]}}\n", "3:13 error value-invalid hosts.a[0]"),
        (f"{SMALL}project: {{}}\n", "3:1 error duplicate-key project"),
        ("project: [\n", "2:1 error yaml-invalid None"),
        ("project: {name: hello}\n", "None:None error missing-key environments"),
        (f"{SMALL}services: {{wbe: }}\n", "3:12 error service-unknown services.wbe"),
        (
            f"{SMALL}hosts: {{db: [h]}}\nservices: {{db: {{role: dv}}}}\n",
            "4:17 error role-unknown services.db.role",
        ),
        (f"{SMALL}cloud: {{provider: loca}}\n", "3:9 error provider-unknown cloud.provider"),
        (f"{SMALL}cloud: {{provider: local}}\n", "3:9 warning provider-not-ready cloud.provider"),
        (f"{SMALL}terraform: {{a: [1, 2]}}\n", "3:13 info unused-key terraform.a"),
    ],
)
def test_each_kind_of_finding_has_its_code_and_place(tmp_path: Path, content: str, line: str) -> None:
    assert line in told(tmp_path, content)


def test_a_near_name_is_proposed_for_keys_values_services_and_providers(tmp_path: Path) -> None:
    content = "project: {name: hello, registri: x}\nenvironments: {prod: {drift: haeal}}\n"
    assert [one.message for one in found(tmp_path / "a", {"stagecraft.yml": content})] == [
        "unknown key 'registri'; did you mean 'registry'? (allowed: name, registry)",
        "unknown value; did you mean 'heal'? (allowed: heal, hold, report)",
    ]
    content = f"{SMALL}services: {{wbe: }}\ncloud: {{provider: lokal}}\n"
    messages = [one.message for one in found(tmp_path / "b", {"stagecraft.yml": content})]
    assert "unknown service 'wbe'; did you mean 'web'? (allowed: db, web)" in messages
    assert "unknown cloud provider 'lokal'; did you mean 'local'? (allowed: digitalocean, local)" in messages


def test_findings_of_all_files_come_by_file_and_place(tmp_path: Path) -> None:
    files = {
        "stagecraft.yml": f"{SMALL}more: 1\nhosts: 2\n",
        "environments/live.yml": "versio: x\nhosts: {}\n",
        "environments/Bad.yml": "",
        "environments/broken.yml": "a: [\n",
    }
    places = [(one.file, one.line) for one in found(tmp_path, files)]
    assert places == [
        ("environments/Bad.yml", None),
        ("environments/broken.yml", 2),
        ("environments/live.yml", 1),
        ("environments/live.yml", 2),
        ("stagecraft.yml", 3),
        ("stagecraft.yml", 4),
    ]


def test_one_environment_can_be_checked_alone(tmp_path: Path) -> None:
    files = {"stagecraft.yml": SMALL, "environments/live.yml": "versio: x\n"}
    assert found(tmp_path, files, "prod") == []
    assert [one.code for one in found(tmp_path, files, "live")] == [FindingCode.UNKNOWN_KEY]
    with pytest.raises(UserError) as caught:
        found(tmp_path, files, "prd")
    assert caught.value.code == ENVIRONMENT_UNKNOWN


def test_a_descriptor_that_stands_in_for_an_entry_is_told(tmp_path: Path) -> None:
    files = {"stagecraft.yml": SMALL, "environments/prod.yml": ""}
    (finding,) = found(tmp_path, files)
    assert (finding.code, finding.severity) == (FindingCode.ENVIRONMENT_REPLACED, Severity.WARNING)


def test_a_file_that_may_be_taken_for_a_descriptor_is_told(tmp_path: Path) -> None:
    (finding,) = found(tmp_path, {"stagecraft.yml": SMALL, "environments/live.yaml": "version: v1\n"})
    assert (finding.code, finding.file) == (FindingCode.DESCRIPTOR_IGNORED, "environments/live.yaml")
    assert finding.severity is Severity.WARNING


def test_unused_keys_of_a_descriptor_are_told_in_its_own_file(tmp_path: Path) -> None:
    files = {"stagecraft.yml": SMALL, "environments/live.yml": "driver: hetzner\n"}
    (finding,) = found(tmp_path, files)
    assert (finding.file, finding.key, finding.severity) == ("environments/live.yml", "driver", Severity.INFO)


def test_a_services_section_must_name_a_service(tmp_path: Path) -> None:
    content = "project: {name: a}\nenvironments: {prod: {wbe: {mode: container}, web: {mode: external}}}\n"
    errors = [one for one in found(tmp_path, {"stagecraft.yml": content}) if one.severity is Severity.ERROR]
    assert [(one.code, one.key) for one in errors] == [(FindingCode.SERVICE_UNKNOWN, "environments.prod.wbe")]
    assert "did you mean 'web'?" in errors[0].message


@pytest.mark.parametrize(
    ("compose", "why"), [(None, "no Compose file"), ("include: [x.yml]\n", "includes"), ("a: [", "not YAML")]
)
def test_without_readable_names_services_are_not_compared(
    tmp_path: Path, compose: str | None, why: str
) -> None:
    files = {"stagecraft.yml": f"{SMALL}services: {{wbe: }}\n"}
    tree = tree_of(tmp_path, files if compose is None else {**files, "compose.yaml": compose})
    (finding,) = check_project(tree, "stagecraft.yml", providers=PROVIDERS)
    assert finding.code is FindingCode.COMPOSE_UNREAD
    assert why in finding.message


@pytest.mark.parametrize(
    ("body", "key", "near"),
    [
        (
            "environments: {prod: {profile: smal}}\nprofiles: {small: }\n",
            "environments.prod.profile",
            "small",
        ),
        ("environments: {prod: {gateway: wob}}\n", "environments.prod.gateway", "web"),
        (
            "environments: {prod: {routes: [{host: x, service: wob, port: 1}]}}\n",
            "environments.prod.routes[0].service",
            "web",
        ),
        (
            "environments: {prod: {maintenance: {service: wob, port: 1}}}\n",
            "environments.prod.maintenance.service",
            "web",
        ),
        (
            "environments: {prod: {rollout: {hosts: {canary: shop-2}}, hosts: {app: [shop-1]}}}\n",
            "environments.prod.rollout.hosts.canary",
            "shop-1",
        ),
        (
            "environments: {prod: }\nmigrations: {default_engine: raw, env: {prd: {}}}\n",
            "migrations.env.prd",
            "prod",
        ),
    ],
)
def test_names_that_do_not_count_yet_are_compared_too(tmp_path: Path, body: str, key: str, near: str) -> None:
    findings = found(tmp_path, {"stagecraft.yml": f"project: {{name: a}}\n{body}"})
    (error,) = [one for one in findings if one.severity is Severity.ERROR]
    assert error.key == key
    assert f"did you mean {near!r}?" in error.message


def test_settings_of_a_provider_are_found_wherever_they_stand(tmp_path: Path) -> None:
    content = (
        f"{SMALL}"
        "network:\n  provider: tailscale\n  tailscale:\n    auth_key: hunter2-secret\n    tailnet_domain: x\n"
        "backend:\n  provider: generic\n  dev:\n    comand: [x]\n"
        "secrets:\n  provider: envfile\n  providers:\n    envfile: {source_file: 1, target_file: x}\n"
        "frontend:\n  provider: generic\n"
    )
    findings = found(tmp_path, {"stagecraft.yml": content})
    errors = [(one.line, one.code, one.key) for one in findings if one.severity is Severity.ERROR]
    assert errors == [
        (5, "missing-key", "network.tailscale.auth_key_env"),
        (6, "unknown-key", "network.tailscale.auth_key"),
        (10, "missing-key", "backend.dev.command"),
        (11, "unknown-key", "backend.dev.comand"),
        (15, "wrong-type", "secrets.providers.envfile.source_file"),
        (16, "missing-key", "frontend.dev"),
    ]
    assert "hunter2" not in str(findings)


def test_a_missing_file_is_an_error_and_no_finding(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        found(tmp_path, {})
    assert caught.value.code == CONFIG_NOT_FOUND


def test_a_name_of_any_length_and_kind_can_be_shown(tmp_path: Path) -> None:
    content = f'{SMALL}"\\e[31m{"k" * 800}\\n": 1\n? {"x" * 10_000}\n: 1\n'
    findings = found(tmp_path, {"stagecraft.yml": content})
    assert len(findings) == 2
    for one in findings:
        assert len(str(one)) < 2000
        assert "\x1b" not in str(one)
        assert "\n" not in str(one)


def test_forty_thousand_wrong_keys_are_told_in_bounded_time_and_number(tmp_path: Path) -> None:
    content = SMALL + "".join(f"k{number:07d}: 1\n" for number in range(40_000))
    started = time.monotonic()
    findings = found(tmp_path, {"stagecraft.yml": content})
    assert len(findings) == 501
    assert "39500 more rules are broken" in findings[0].message
    assert time.monotonic() - started < 60


def test_a_controller_file_is_checked_like_a_project(tmp_path: Path) -> None:
    path = tmp_path / "controller.yml"
    path.write_text("poll: {interval: 30}\nnetwork: {provider: static}\nssh: {host_keys: strikt}\n")
    assert [(one.line, one.code, one.key) for one in check_controller(path)] == [
        (1, "value-invalid", "poll.interval"),
        (3, "value-invalid", "ssh.host_keys"),
    ]
    path.write_text("poll: [")
    assert [one.code for one in check_controller(path)] == [FindingCode.YAML_INVALID]


def test_a_rule_that_no_compose_file_uses_is_found(tmp_path: Path) -> None:
    files = {
        "stagecraft.yml": "project: {name: a}\nenvironments: {prod: {db_volume: data, old_volume: data}}\n",
        "compose.yaml": "services: {db: {image: x, volumes: ['${DB_VOLUME}:/d']}}\nvolumes: {data: }\n",
    }
    found = check_project(tree_of(tmp_path, files), "stagecraft.yml", providers=PROVIDERS)
    assert [(one.code, one.key) for one in found] == [
        (FindingCode.UNUSED_KEY, "environments.prod.old_volume")
    ]


def test_settings_of_the_network_are_unused_but_for_what_names_come_from(tmp_path: Path) -> None:
    files = {
        "stagecraft.yml": "project: {name: a}\nenvironments: {prod: }\nnetwork:\n  provider: static\n"
        "  static: {hosts: {h: {address: 10.0.0.1, port: 22}}}\n"
        "  providers: {tailscale: {auth_key_env: K}}\n",
        "compose.yaml": "services: {db: {image: x}}\n",
    }
    found = check_project(tree_of(tmp_path, files), "stagecraft.yml", providers=PROVIDERS)
    assert [one.key for one in found if one.code is FindingCode.UNUSED_KEY] == [
        "network.providers.tailscale.auth_key_env",
    ]
    assert not [one for one in found if one.code is FindingCode.PROVIDER_NOT_READY]


def test_a_network_that_only_names_hosts_is_not_ready(tmp_path: Path) -> None:
    network = "network:\n  provider: tailscale\n  tailscale: {auth_key_env: K, tailnet_domain: x}\n"
    findings = found(tmp_path, {"stagecraft.yml": f"{SMALL}{network}"})
    (not_ready,) = [one for one in findings if one.code is FindingCode.PROVIDER_NOT_READY]
    assert "names hosts and does nothing else yet" in not_ready.message
