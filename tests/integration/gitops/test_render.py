"""What the real Compose client makes of projects."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import OutsideError, UserError
from events.kernel.process import PROCESS_TIMED_OUT
from events.manifest import FILES_PREFIX, STATE_PREFIX, Gate, Job
from gitops.compose import client
from gitops.compose.faults import (
    COMPOSE_HOME_REFUSED,
    COMPOSE_INVALID,
    COMPOSE_PATH_REFUSED,
    COMPOSE_TOO_LARGE,
)
from gitops.compose.render import VARIABLE_MISSING
from gitops.config.faults import CONFIG_INVALID
from gitops.findings import FindingCode
from gitops.settings import SERVICES_NONE
from gitops.source.paths import PATH_ESCAPES
from tests.integration.gitops.renders import document_of, drafted, refusal, service_of

WEB = "services: {web: {image: web:1"


def test_the_smallest_project_renders(tmp_path: Path) -> None:
    made = drafted(tmp_path, {})
    assert (made.project, made.environment, made.compose_project) == ("hello", "prod", "hello-prod")
    assert list(made.hosts) == ["local"]
    document = document_of(made)
    assert document["name"] == "hello-prod"
    assert document["networks"]["default"]["name"] == "hello-prod_default"
    assert service_of(made)["image"] == "web:1"
    assert made.images == {"web": "web:1"}
    assert made.pull_policies == {"web": None}
    assert made.hosts["local"].services["web"].gate == Gate(settle_seconds=2.0, deadline_seconds=120.0)
    assert made.findings == ()
    assert "." not in made.blobs


def test_the_compose_project_may_be_given(tmp_path: Path) -> None:
    made = drafted(tmp_path, {"environments/prod.yml": "compose_project: old-name\n"})
    assert made.compose_project == document_of(made)["name"] == "old-name"


def test_a_top_level_name_is_ignored_with_a_finding(tmp_path: Path) -> None:
    made = drafted(tmp_path, {"compose.yaml": f"name: other\n{WEB}}}}}\n"})
    assert document_of(made)["name"] == "hello-prod"
    assert [finding.code for finding in made.findings] == [FindingCode.NAME_IGNORED]


def test_variables_of_ours_are_interpolated(tmp_path: Path) -> None:
    text = '"$STAGECRAFT_PROJECT $STAGECRAFT_ENVIRONMENT $STAGECRAFT_VERSION $IMAGE_TAG"'
    made = drafted(tmp_path, {"compose.yaml": f"{WEB}, environment: {{A: {text}}}}}}}\n"}, version="v7")
    assert service_of(made)["environment"] == {"A": "hello prod v7 v7"}


def test_a_given_version_wins_over_the_descriptors_and_that_over_the_commits(tmp_path: Path) -> None:
    files = {"compose.yaml": "services: {web: {image: 'web:${IMAGE_TAG}'}}"}
    fixed = {**files, "environments/prod.yml": "version: v2\n"}
    plain = drafted(tmp_path / "1", files, version="sha")
    declared = drafted(tmp_path / "2", fixed, version="sha")
    given = drafted(tmp_path / "3", fixed, version="sha", given_version="v3")
    assert [made.version for made in (plain, declared, given)] == ["sha", "v2", "v3"]
    assert [made.images["web"] for made in (plain, declared, given)] == ["web:sha", "web:v2", "web:v3"]
    assert ["" in made.inputs for made in (plain, declared, given)] == [True, False, False]


def test_a_variable_that_nothing_sets_is_blank_with_a_finding(tmp_path: Path) -> None:
    made = drafted(tmp_path, {"compose.yaml": f'{WEB}, environment: {{A: "x${{NOPE}}y"}}}}}}\n'})
    assert service_of(made)["environment"] == {"A": "xy"}
    (finding,) = made.findings
    assert (finding.code, finding.key) == (FindingCode.VARIABLE_UNSET, "NOPE")


def test_nothing_of_the_callers_environment_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "leaked")
    monkeypatch.setenv("COMPOSE_PROFILES", "extra")
    made = drafted(
        tmp_path,
        {"compose.yaml": "services: {web: {image: 'x:${LEAK:-1}'}, more: {image: y, profiles: [extra]}}\n"},
    )
    assert made.images == {"web": "x:1"}


def test_the_dotenv_is_the_lowest_layer(tmp_path: Path) -> None:
    made = drafted(
        tmp_path,
        {
            ".env": "TAG=9\nIMAGE_TAG=dotenv\nCOMPOSE_PROFILES=extra\nCOMPOSE_PROJECT_NAME=evil\n",
            "compose.yaml": "services: {web: {image: 'x:$TAG-$IMAGE_TAG'}, m: {image: y, profiles: [extra]}}",
        },
    )
    assert made.images == {"web": "x:9-v1"}
    assert document_of(made)["name"] == "hello-prod"
    assert {finding.code for finding in made.findings} == {FindingCode.COMPOSE_VARIABLE_IGNORED}


def test_the_dotenv_of_an_included_folder_is_not_read(tmp_path: Path) -> None:
    made = drafted(
        tmp_path,
        {
            "compose.yaml": "include: [sub/c.yml]",
            "sub/c.yml": "services: {web: {image: 'x:${TAG:-none}'}}",
            "sub/.env": "TAG=leaked",
        },
    )
    assert made.images == {"web": "x:none"}


def test_includes_extends_and_env_files_are_merged_as_compose_does(tmp_path: Path) -> None:
    made = drafted(
        tmp_path,
        {
            "compose.yaml": (
                "include: [{path: db/c.yml, project_directory: dbroot, env_file: db.vars}]\n"
                "services:\n"
                "  web:\n"
                "    extends: {file: base/web.yml, service: base}\n"
                "    env_file: [own.env, {path: gone.env, required: false}]\n"
                "    label_file: labels\n"
                "    environment: {C: inline}\n"
            ),
            "base/web.yml": "services: {base: {image: web:1, env_file: b.env, volumes: ['./d:/d']}}",
            "base/b.env": "A=base\nB=base\nC=base\n",
            "base/d/file": "x",
            "own.env": "B=own\n",
            "labels": "team=x\n",
            "db/c.yml": "services: {db: {image: 'db:${TAG}', env_file: here.env}}",
            "dbroot/here.env": "D=1\n",
            "db.vars": "TAG=7\n",
        },
    )
    web = service_of(made)
    assert web["environment"] == {"A": "base", "B": "own", "C": "inline"}
    assert web["labels"] == {"team": "x"}
    assert web["volumes"][0]["source"].startswith(FILES_PREFIX)
    assert service_of(made, "db")["environment"] == {"D": "1"}
    assert made.images == {"db": "db:7", "web": "web:1"}
    assert made.inputs["gone.env"] is None
    looked_for = {
        "base/web.yml",
        "base/b.env",
        "base/d",
        "own.env",
        "labels",
        "db/c.yml",
        "dbroot/here.env",
        "db.vars",
    }
    assert looked_for <= made.inputs.keys()


def test_a_project_in_a_folder_reads_what_is_beside_it(tmp_path: Path) -> None:
    made = drafted(
        tmp_path,
        {
            "apps/shop/stagecraft.yml": "project: {name: shop}\nenvironments: {prod: }\n",
            "apps/shop/compose.yml": "include: [../../shared/db.yml]\n"
            f"{WEB}, volumes: ['./x:/x', '../y:/y']}}}}",
            "shared/db.yml": "services: {db: {image: db:1, volumes: ['./seed:/s']}}",
            "shared/seed/a.sql": "1",
        },
        config_path="apps/shop/stagecraft.yml",
    )
    sources = [mount["source"] for mount in service_of(made)["volumes"]]
    assert sources == [f"{STATE_PREFIX}x", f"{STATE_PREFIX}.repository/apps/y"]
    assert service_of(made, "db")["volumes"][0]["source"].startswith(FILES_PREFIX)


@pytest.mark.parametrize(
    ("services", "deployed"),
    [
        ("", ["web"]),
        ("services: {tool: }", ["tool", "web"]),
        ("services: {tool: , debug: }", ["debug", "other", "tool", "web"]),
        ("services: {web: }", ["web"]),
    ],
)
def test_naming_a_service_activates_its_profiles(tmp_path: Path, services: str, deployed: list[str]) -> None:
    made = drafted(
        tmp_path,
        {
            "stagecraft.yml": f"project: {{name: hello}}\n{services}\nenvironments: {{prod: }}\n",
            "compose.yaml": (
                "services:\n"
                "  web: {image: x}\n"
                "  tool: {image: x, profiles: [tools]}\n"
                "  debug: {image: x, profiles: ['${P:-dbg}']}\n"
                "  other: {image: x, profiles: [dbg, more]}\n"
            ),
        },
    )
    assert sorted(made.images) == deployed
    assert all("profiles" not in service for service in document_of(made)["services"].values())


def test_a_service_of_a_descriptor_activates_its_profiles_there_alone(tmp_path: Path) -> None:
    files = {
        "stagecraft.yml": "project: {name: hello}\nenvironments: {prod: {services: {tool: }}, test: }\n",
        "compose.yaml": "services: {web: {image: x}, tool: {image: x, profiles: [t]}}",
    }
    assert sorted(drafted(tmp_path, files).images) == ["tool", "web"]
    assert sorted(drafted(tmp_path, files, environment="test").images) == ["web"]


def test_one_shot_services_are_found_by_who_waits_for_them(tmp_path: Path) -> None:
    made = drafted(
        tmp_path,
        {
            "compose.yaml": (
                "services:\n"
                "  web:\n"
                "    image: web:1\n"
                "    depends_on:\n"
                "      migrate: {condition: service_completed_successfully}\n"
                "      db: {condition: service_healthy}\n"
                "      cache: {condition: service_started}\n"
                "  migrate: {image: web:1, command: [migrate], depends_on: [db]}\n"
                "  db: {image: db:1, healthcheck: {test: [CMD, ok], interval: 60s, retries: 3}}\n"
                "  cache: {image: cache:1}\n"
            ),
        },
    )
    services = made.hosts["local"].services
    assert {name: service.job for name, service in services.items()} == {
        "cache": None,
        "db": None,
        "migrate": Job(),
        "web": None,
    }
    assert services["web"].waits_for == {
        "cache": "service_started",
        "db": "service_healthy",
        "migrate": "service_completed_successfully",
    }
    assert services["migrate"].waits_for == {"db": "service_started"}
    assert services["db"].gate.deadline_seconds == 3 * (60 + 30) + 10


def test_services_are_split_by_the_hosts_of_their_roles(tmp_path: Path) -> None:
    made = drafted(
        tmp_path,
        {
            "stagecraft.yml": (
                "project: {name: hello}\n"
                "hosts: {app: [h1, h2], db: [h3]}\n"
                "services: {db: {role: db}}\n"
                "environments: {prod: }\n"
            ),
            "compose.yaml": (
                "services:\n"
                "  web: {image: web:1, depends_on: [db], volumes: ['./conf:/c']}\n"
                "  db: {image: db:1, volumes: ['data:/d']}\n"
                "volumes: {data: {driver_opts: {x: y}}}\n"
            ),
            "conf/a": "1",
        },
    )
    assert {host: sorted(content.services) for host, content in made.hosts.items()} == {
        "h1": ["web"],
        "h2": ["web"],
        "h3": ["db"],
    }
    assert "depends_on" not in service_of(made, "web", "h1")
    assert made.hosts["h1"].services["web"].waits_for == {}
    assert (len(made.hosts["h1"].files), len(made.hosts["h3"].files)) == (1, 0)
    assert document_of(made, "h3")["volumes"]["data"]["driver_opts"] == {"x": "y"}
    assert FindingCode.DEPENDENCY_DROPPED in {finding.code for finding in made.findings}


def test_configs_and_secrets_of_all_kinds_become_files(tmp_path: Path) -> None:
    made = drafted(
        tmp_path,
        {
            ".env": "WORD='multi\nline$x'\n",
            "compose.yaml": (
                "services:\n"
                "  web:\n"
                "    image: web:1\n"
                "    configs: [file, {source: text, target: /etc/text}]\n"
                "    secrets: [word, {source: file, target: renamed}]\n"
                "configs: {file: {file: ./conf/app.ini}, text: {content: 'v=${IMAGE_TAG} $${X}'}}\n"
                "secrets: {word: {environment: WORD}, file: {file: conf/app.ini}}\n"
            ),
            "conf/app.ini": "ini",
        },
    )
    mounts = service_of(made)["volumes"]
    targets = [mount["target"] for mount in mounts]
    assert targets == ["/file", "/etc/text", "/run/secrets/word", "/run/secrets/renamed"]
    assert set(made.blobs.values()) == {b"ini", b"v=v1 ${X}", b"multi\nline$x"}
    assert all(mount["read_only"] and mount["source"].startswith(FILES_PREFIX) for mount in mounts)
    assert {"configs", "secrets"} & document_of(made).keys() == set()


def test_a_secret_from_a_variable_that_nothing_sets_is_an_error(tmp_path: Path) -> None:
    body = f"{WEB}, secrets: [s]}}}}\nsecrets: {{s: {{environment: NOPE}}}}\n"
    error = refusal(tmp_path, {"compose.yaml": body})
    assert (error.code, error.where.key) == (VARIABLE_MISSING, "s")


def test_other_warnings_of_compose_are_findings(tmp_path: Path) -> None:
    made = drafted(tmp_path, {"compose.yaml": f"version: '3'\n{WEB}}}}}\n"})
    (finding,) = made.findings
    assert finding.code == FindingCode.COMPOSE_WARNING
    assert "obsolete" in finding.message
    assert str(tmp_path) not in finding.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("services: {web: {imagee: x}}", "imagee"),
        ("services: {web: {image: 'x:${A:?must be set}'}}", "must be set"),
        ("services: {web: {image: x, depends_on: [gone]}}", 'depends on undefined service "gone"'),
        ("services: {web: {image: x, env_file: gone.env}}", "env file gone.env not found"),
        ("services: {web: {image: x, ports: ['x:y']}}", "invalid"),
        ("services: 3", "services must be a mapping"),
        ("include: [{path: a.yml, env_file: gone.vars}]", "gone.vars"),
    ],
)
def test_what_compose_refuses_is_told_in_its_own_words(tmp_path: Path, body: str, words: str) -> None:
    error = refusal(tmp_path, {"compose.yaml": body, "a.yml": "services: {web: {image: x}}"})
    assert (error.code, type(error)) == (COMPOSE_INVALID, UserError)
    assert words in error.why
    assert "stagecraft-render" not in str(error)
    assert "/co/" not in str(error)


def test_a_project_without_a_service_is_an_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"compose.yaml": "services: {web: {image: x, profiles: [off]}}"})
    assert error.code == SERVICES_NONE


def test_a_service_that_is_named_but_not_there_is_an_error_of_the_project(tmp_path: Path) -> None:
    files = {"stagecraft.yml": "project: {name: hello}\nservices: {wbe: }\nenvironments: {prod: }\n"}
    error = refusal(tmp_path, files)
    assert (error.code, error.where.key) == (CONFIG_INVALID, "services.wbe")


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"compose.yaml": f"{WEB}, volumes: ['${{UP}}/x:/x']}}}}", ".env": "UP=../.."}, PATH_ESCAPES),
        ({"compose.yaml": f"{WEB}, volumes: ['../x:/x']}}}}"}, PATH_ESCAPES),
        ({"compose.yaml": f"{WEB}, volumes: ['./../../../../../x:/x']}}}}"}, PATH_ESCAPES),
        ({"compose.yaml": f"{WEB}, environment: [HOME]}}}}"}, COMPOSE_HOME_REFUSED),
        ({"compose.yaml": f"{WEB}, env_file: a.env}}}}", "a.env": "X=${HOME}/x"}, COMPOSE_HOME_REFUSED),
        ({"compose.yaml": f"{WEB}, volumes: ['/.stagecraft/state/../../etc:/x']}}}}"}, COMPOSE_PATH_REFUSED),
    ],
)
def test_paths_that_only_show_after_the_render_are_refused(
    tmp_path: Path, files: dict[str, str], code: str
) -> None:
    error = refusal(tmp_path, files)
    assert error.code == code
    assert "stagecraft-render" not in str(error)


def test_a_render_that_is_too_large_is_stopped(tmp_path: Path) -> None:
    lines = "".join(f"A{number}={'x' * 1000}\n" for number in range(900))
    services = "".join(f"  s{number}: {{image: x, env_file: big.env}}\n" for number in range(60))
    error = refusal(tmp_path, {"compose.yaml": f"services:\n{services}", "big.env": lines})
    assert (error.code, type(error)) == (COMPOSE_TOO_LARGE, UserError)


def test_a_render_that_takes_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "DEADLINE_SECONDS", 0.001)
    with pytest.raises(OutsideError) as caught:
        drafted(tmp_path, {})
    assert caught.value.code == PROCESS_TIMED_OUT


def test_without_a_system_limit_the_size_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_LIMITS", {})
    monkeypatch.setattr(client, "MAX_OUTPUT_BYTES", 100)
    assert refusal(tmp_path, {}).code == COMPOSE_TOO_LARGE


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    drafted(tmp_path / "1", {})
    refusal(tmp_path / "2", {"compose.yaml": "services: 3"})
    assert list(scratch.iterdir()) == []
