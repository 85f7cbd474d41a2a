"""Roles, gates and jobs of the services that are deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from events.catalog.environment import Conduct, HostsConduct
from events.kernel.errors import UserError
from events.manifest import CommandProbe, Gate, HttpProbe, Job, Probes, TcpProbe, Watch
from gitops.config.faults import CONFIG_INVALID
from gitops.config.load import load
from gitops.settings import SERVICES_NONE, ServiceSettings, conduct, resolve_services, service_sections
from tests.unit.gitops.trees import tree_of

WEB: dict[str, Any] = {"web": {"image": "x"}}


def resolved(
    folder: Path, body: str, services: dict[str, Any], descriptor: str | None = None
) -> dict[str, ServiceSettings]:
    files = {"stagecraft.yml": f"project: {{name: hello}}\n{body}"}
    if descriptor is not None:
        files["environments/prod.yml"] = descriptor
    return resolve_services(load(tree_of(folder, files), "stagecraft.yml", "prod"), services)


def refusal(folder: Path, body: str, services: dict[str, Any], descriptor: str | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        resolved(folder, body, services, descriptor)
    return caught.value


def test_without_hosts_every_role_is_on_the_local_host(tmp_path: Path) -> None:
    made = resolved(
        tmp_path, "services: {web: {role: anything}}\nenvironments: {prod: }\n", {**WEB, "db": {}}
    )
    assert (made["web"].role, made["web"].hosts) == ("anything", ("local",))
    assert (made["db"].role, made["db"].hosts) == ("app", ("local",))


def test_hosts_are_those_of_the_role_sorted_and_once(tmp_path: Path) -> None:
    made = resolved(tmp_path, "hosts: {app: [h2, h1, h2]}\nenvironments: {prod: }\n", WEB)
    assert made["web"].hosts == ("h1", "h2")


def test_hosts_of_the_environment_stand_in_for_the_projects(tmp_path: Path) -> None:
    body = "hosts: {app: [h1]}\nenvironments: {prod: {hosts: {app: [h9]}}}\n"
    assert resolved(tmp_path, body, WEB)["web"].hosts == ("h9",)


def conduct_of(folder: Path, rollout: str) -> Conduct:
    body = f"project: {{name: hello}}\nenvironments: {{prod: {{rollout: {rollout}}}}}\n"
    return conduct(load(tree_of(folder, {"stagecraft.yml": body}), "stagecraft.yml", "prod"))


def test_with_nothing_said_one_host_changes_at_a_time_and_none_may_fail(tmp_path: Path) -> None:
    made = conduct_of(tmp_path, "{}")
    assert made.hosts == HostsConduct(canary=None, max_parallel=1, max_failures=0, on_unreachable="fail")
    assert made.on_failure == "revert"


def test_what_is_said_of_hosts_is_how_releases_go_over_them(tmp_path: Path) -> None:
    hosts = "{canary: 2, max_parallel: 4, max_failures: 1, on_unreachable: skip}"
    made = conduct_of(tmp_path, f"{{hosts: {hosts}, on_failure: hold}}")
    assert made.hosts == HostsConduct(canary=2, max_parallel=4, max_failures=1, on_unreachable="skip")
    assert made.on_failure == "hold"
    assert conduct_of(tmp_path, "{hosts: {canary: app-1}}").hosts.canary == "app-1"


@pytest.mark.parametrize(
    ("body", "file", "line", "key"),
    [
        (
            "hosts: {apps: [h]}\nservices:\n  web: {role: app}\nenvironments: {prod: }\n",
            "stagecraft.yml",
            4,
            "services.web.role",
        ),
        ("hosts: {apps: [h]}\nenvironments: {prod: }\n", "stagecraft.yml", None, "services.web.role"),
        (
            "hosts: {apps: [h]}\nenvironments:\n  prod:\n    services: {web: {role: app}}\n",
            "stagecraft.yml",
            5,
            "environments.prod.services.web.role",
        ),
    ],
)
def test_a_role_without_a_host_is_refused_where_it_stands(
    tmp_path: Path, body: str, file: str, line: int | None, key: str
) -> None:
    error = refusal(tmp_path, body, WEB)
    assert (error.code, error.where.file, error.where.line, error.where.key) == (
        CONFIG_INVALID,
        file,
        line,
        key,
    )
    assert "did you mean 'apps'? (allowed: apps)" in error.message


def test_a_service_that_compose_does_not_have_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, "services:\n  wbe: {}\nenvironments: {prod: }\n", WEB)
    assert (error.code, error.where.line, error.where.key) == (CONFIG_INVALID, 3, "services.wbe")
    assert "did you mean 'web'? (allowed: web)" in error.message


def test_a_section_of_an_environment_that_names_no_service_is_refused(tmp_path: Path) -> None:
    body = "environments:\n  prod:\n    wbe: {mode: container}\n    web: {mode: container}\n"
    error = refusal(tmp_path, body, WEB)
    assert (error.where.line, error.where.key) == (4, "environments.prod.wbe")
    assert "unknown service or key 'wbe'; did you mean 'web'?" in error.message


def test_an_unknown_service_of_a_descriptor_is_found_in_its_file(tmp_path: Path) -> None:
    body = "services: {gone: {}}\nenvironments: {}\n"
    error = refusal(tmp_path, body, WEB, descriptor="services: {gone: {}, other: {}}\n")
    assert error.message.startswith("2 rules are broken:")
    assert "environments/prod.yml:1:22, key services.other" in error.message
    assert error.message.count("'gone'") == 1


def test_no_service_at_all_is_an_error(tmp_path: Path) -> None:
    assert refusal(tmp_path, "environments: {prod: }\n", {}).code == SERVICES_NONE


def test_a_service_that_another_waits_for_to_end_is_a_job(tmp_path: Path) -> None:
    services: dict[str, Any] = {
        "web": {
            "depends_on": {"mig": {"condition": "service_completed_successfully"}, "db": {"condition": "x"}}
        },
        "mig": {},
        "db": {},
    }
    made = resolved(tmp_path, "environments: {prod: }\n", services)
    assert {name: one.job for name, one in made.items()} == {"web": None, "mig": Job(), "db": None}


def test_a_job_may_be_marked(tmp_path: Path) -> None:
    body = "services: {a: {job: {}}, b: {job: {on_rollback: true}}}\nenvironments: {prod: }\n"
    made = resolved(tmp_path, body, {"a": {}, "b": {}})
    assert (made["a"].job, made["b"].job) == (Job(), Job(on_rollback=True))


def test_the_special_wins_over_the_general_key_by_key(tmp_path: Path) -> None:
    body = (
        "services:\n"
        "  web: {gate: {settle: 3s}, role: r1, paths: [a], job: {}}\n"
        "  own: {gate: {deadline: 9s}}\n"
        "environments:\n"
        "  prod:\n"
        "    gate: {settle: 5s, deadline: 50s}\n"
        "    services:\n"
        "      web: {gate: {deadline: 70s}}\n"
        "      own: {role: r2, paths: [b], job: {on_rollback: true}}\n"
    )
    made = resolved(tmp_path, body, {"web": {}, "own": {}, "plain": {}})
    assert made["web"].gate == Gate(settle_seconds=3, deadline_seconds=70)
    assert made["own"].gate == Gate(settle_seconds=5, deadline_seconds=9)
    assert made["plain"].gate == Gate(settle_seconds=5, deadline_seconds=50)
    assert (made["web"].role, made["web"].paths, made["web"].job) == ("r1", ("a",), Job())
    assert (made["own"].role, made["own"].paths, made["own"].job) == ("r2", ("b",), Job(on_rollback=True))


@pytest.mark.parametrize(
    ("check", "deadline"),
    [
        (None, 120.0),
        ({"test": ["CMD", "x"]}, 190.0),
        ({"interval": "10s", "timeout": "5s", "retries": 10, "start_period": "1m"}, 220.0),
        ({"interval": "1s", "timeout": "1s"}, 120.0),
        ({"disable": True}, 120.0),
    ],
)
def test_a_health_check_is_given_time_to_come_to_its_end(
    tmp_path: Path, check: dict[str, Any] | None, deadline: float
) -> None:
    made = resolved(tmp_path, "environments: {prod: }\n", {"web": {"healthcheck": check}})
    assert made["web"].gate == Gate(settle_seconds=2.0, deadline_seconds=deadline)


def test_a_deadline_that_is_given_is_taken_as_it_is(tmp_path: Path) -> None:
    body = "services: {web: {gate: {deadline: 5s}}}\nenvironments: {prod: }\n"
    assert (
        resolved(tmp_path, body, {"web": {"healthcheck": {"retries": 9}}})["web"].gate.deadline_seconds == 5.0
    )


def test_services_of_project_and_environment_are_named_together(tmp_path: Path) -> None:
    content = "project: {name: a}\nservices: {web: }\nenvironments: {prod: {services: {tool: }}}\n"
    configuration = load(tree_of(tmp_path, {"stagecraft.yml": content}), "stagecraft.yml", "prod")
    assert sorted(service_sections(configuration)) == ["tool", "web"]


_OVER = "prod: {services: {web: {rollout: {traffic: {strategy: start-first}}}}}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("environments: {prod: }\n", None),
        ("services: {web: {rollout: start-first}}\nenvironments: {prod: }\n", "start-first"),
        ("services: {web: {rollout: stop-first}}\nenvironments: {prod: }\n", "stop-first"),
        (
            f"services: {{web: {{rollout: stop-first}}}}\nenvironments: {{{_OVER}}}\n",
            "start-first",
        ),
        ("environments: {prod: {rollout: {traffic: {strategy: stop-first}}}}\n", "stop-first"),
        ("environments: {prod: {rollout: {traffic: {strategy: start-first}}}}\n", None),
        (
            "services: {web: {rollout: start-first}}\nenvironments: {prod: {rollout: {enabled: false}}}\n",
            "stop-first",
        ),
    ],
)
def test_how_a_service_is_replaced_is_its_own_word_or_the_environments(
    tmp_path: Path, body: str, expected: str | None
) -> None:
    assert resolved(tmp_path, body, WEB)["web"].rollout == expected


def test_start_first_for_what_cannot_be_twice_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    body = "services: {web: }\nenvironments:\n  prod:\n    services: {web: {rollout: start-first}}\n"
    published = {"web": {"image": "x", "ports": [{"published": "80", "target": 80, "protocol": "tcp"}]}}
    error = refusal(tmp_path, body, published)
    assert (error.where.line, error.where.key) == (5, "environments.prod.services.web.rollout")
    assert "cannot be replaced start-first: fixed host port 80/tcp" in error.message
    shared: dict[str, Any] = {**WEB, "side": {"image": "x", "network_mode": "service:web"}}
    assert "side lives in its container" in refusal(tmp_path, body, shared).message


def test_an_unknown_word_for_a_rollout_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    error = refusal(tmp_path, "services: {web: {rollout: start-frist}}\nenvironments: {prod: }\n", WEB)
    assert "start-first" in error.message


def test_what_a_gate_asks_and_watches_is_resolved_with_its_defaults(tmp_path: Path) -> None:
    body = (
        "services:\n"
        "  web: {gate: {http: {port: 8080}, logs: {silent_of: [FATAL]}}}\n"
        "  db: {gate: {tcp: {port: 5432}, command: [ready, -q], timeout: 2s, watch: 1m}}\n"
        "  api: {gate: {http: {port: 80, path: /up, status: 204, host: a.example.org}}}\n"
        "environments:\n"
        "  prod:\n"
    )
    made = resolved(tmp_path, body, {"web": {}, "db": {}, "api": {}})
    root = HttpProbe(port=8080, path="/", first_status=200, last_status=399)
    up = HttpProbe(port=80, path="/up", first_status=204, last_status=204, host="a.example.org")
    command = CommandProbe(command=("ready", "-q"))
    assert made["web"].gate.probes == Probes(http=root, timeout_seconds=5.0)
    assert made["web"].gate.watch == Watch(seconds=10.0, silent_of=("FATAL",))
    assert made["db"].gate.probes == Probes(tcp=TcpProbe(port=5432), command=command, timeout_seconds=2.0)
    assert made["db"].gate.watch == Watch(seconds=60.0)
    assert (made["api"].gate.probes, made["api"].gate.watch) == (Probes(http=up, timeout_seconds=5.0), None)


def test_the_watch_of_an_environment_counts_for_services_that_say_nothing(tmp_path: Path) -> None:
    body = (
        "services:\n"
        "  web: {gate: {logs: {silent_of: [FATAL]}}}\n"
        "  own: {gate: {watch: 5s, http: {port: 80}}}\n"
        "environments:\n"
        "  prod:\n"
        "    gate: {watch: 30s}\n"
        "    services: {own: {gate: {http: {port: 81, path: /up}}}}\n"
    )
    made = resolved(tmp_path, body, {"web": {}, "own": {}, "plain": {}})
    assert made["web"].gate.watch == Watch(seconds=30.0, silent_of=("FATAL",))
    assert made["plain"].gate.watch == Watch(seconds=30.0)
    own = made["own"].gate
    assert own.watch == Watch(seconds=5.0)
    assert own.probes is not None
    assert own.probes.http == HttpProbe(port=81, path="/up", first_status=200, last_status=399)


@pytest.mark.parametrize(
    ("gate", "service", "key", "message"),
    [
        ("http: {port: 80}", {"network_mode": "none"}, "http", "use `command`"),
        ("tcp: {port: 80}", {"network_mode": "none"}, "tcp", "use `command`"),
        ("logs: {silent_of: [a]}", {"logging": {"driver": "none"}}, "logs", "log driver"),
    ],
)
def test_what_cannot_be_asked_of_a_service_is_refused_where_it_stands(
    tmp_path: Path, gate: str, service: dict[str, Any], key: str, message: str
) -> None:
    body = f"services: {{web: {{gate: {{{gate}}}}}}}\nenvironments: {{prod: }}\n"
    error = refusal(tmp_path, body, {"web": service})
    assert (error.code, error.where.key) == ("config-invalid", f"services.web.gate.{key}")
    assert message in error.message
    assert resolved(tmp_path, body, {"web": {"network_mode": "host"}})["web"].gate != Gate(
        settle_seconds=2.0, deadline_seconds=120.0
    )


@pytest.mark.parametrize("gate", ["http: {port: 80}", "command: [a]", "watch: 1s"])
def test_a_job_has_no_gate_to_pass(tmp_path: Path, gate: str) -> None:
    body = f"environments: {{prod: {{services: {{load: {{job: {{}}, gate: {{{gate}}}}}}}}}}}\n"
    error = refusal(tmp_path, body, {"load": {}})
    assert error.where.key == f"environments.prod.services.load.gate.{gate.partition(':')[0]}"
    assert "a job" in error.message
