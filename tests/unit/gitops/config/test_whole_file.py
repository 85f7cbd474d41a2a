"""Sections of stagecraft.yml beyond services and environments: what they take and refuse."""

from __future__ import annotations

from typing import Any

import pytest

from events.kernel.errors import UserError
from gitops.config.document import load_document
from gitops.config.models import EnvironmentSection, StagecraftFile
from gitops.config.providers import place_of, settings_of
from gitops.config.schema import parse
from gitops.config.unused import unused_keys, unused_roots, unused_summary

HEAD = "project: {name: a}\nenvironments: {prod: }\n"


def parsed(body: str) -> StagecraftFile:
    return parse(load_document("f", f"{HEAD}{body}".encode()), StagecraftFile)


def environment(body: str) -> EnvironmentSection:
    return parse(load_document("f", body.encode()), EnvironmentSection)


def message(body: str, *, descriptor: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        _ = environment(body) if descriptor else parsed(body)
    return f"{caught.value.where.key}: {caught.value.message}"


def test_keys_of_the_users_choosing_are_gathered() -> None:
    made = environment(
        "pg_volume: data\nredis_volume: /srv/r\npg_init_scripts: ./i\npg_port_publish: ''\n"
        "web: {mode: container}\n"
    )
    assert made.volumes == {"pg_volume": "data", "redis_volume": "/srv/r"}
    assert (made.init_scripts, made.ports) == ({"pg_init_scripts": "./i"}, {"pg_port_publish": ""})
    assert made.modes["web"].mode == "container"


@pytest.mark.parametrize("text", ["", "80", "8080:80", "127.0.0.1:8080:80", "[::1]:80:80/udp", "90-99:90-99"])
def test_published_ports_are_taken(text: str) -> None:
    assert environment(f"a_port_publish: '{text}'\n").ports == {"a_port_publish": text}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pg_volume: 5\n", "pg_volume: it must be text"),
        ("pg_port_publish: 80x\n", "pg_port_publish: a published port is text such as"),
        ("pg_port_publish: 5432\n", "pg_port_publish: it must be text"),
        ("_volume: x\n", "_volume: unknown key '_volume'"),
        ("Pg_volume: x\n", "Pg_volume: unknown key 'Pg_volume'"),
        ("web: {mod: container}\n", "web: unknown key 'web'"),
        ("web: {mode: both}\n", "web.mode: unknown value"),
        ("web: {mode: external, urll: x}\n", "web.urll: unknown key 'urll'; did you mean 'url'?"),
        ("web: {mode: external, url: 'ftp://x'}\n", "web.url: it must be an http or https address"),
        ("'[modes]': {web: {mode: container}}\n", "None: unknown key '[modes]'"),
        ("traefik: {mode: acne}\n", "traefik.mode: unknown value; did you mean 'acme'?"),
        ("traefik: {mode: acme, hsts: 'yes'}\n", "traefik.hsts: it must be a boolean"),
        ("traefik: {mode: acme, acme_email_env: me@example.org}\n", "traefik.acme_email_env: it is the name"),
        ("routes: [{host: x, service: web, port: 70000}]\n", "routes[0].port: input should be less than"),
        ("rollout: {hosts: {canary: 0}}\n", "rollout.hosts.canary: "),
        ("hooks: {before_deplo: []}\n", "hooks.before_deplo: unknown value; did you"),
    ],
)
def test_a_broken_rule_of_an_environment_is_named(body: str, said: str) -> None:
    assert message(body, descriptor=True).startswith(said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("network: {}\n", "network.provider: 'provider' is missing"),
        ("network: {provider: tailscale, tailscal: {}}\n", "network.tailscal: unknown key 'tailscal'"),
        ("network: {provider: tailscale, tailscale: x}\n", "network.tailscale: it must hold keys and values"),
        ("databases: {main: {}}\n", "databases.main.connection_env: 'connection_env' is missing"),
        ("databases: {m: {connection_env: 'postgres://x'}}\n", "databases.m.connection_env: it is the name"),
        (
            "databases: {m: {connection_env: U, migrations: {path: m, strategy: predeploy}}}\n",
            "databases.m.migrations.strategy: unknown value; did you mean 'pre_deploy'?",
        ),
        ("migrations: {}\n", "migrations: 'default_engine' is missing"),
        (
            "migrations: {default_engine: raw, sources: {raw_sql_dir: ../x}}\n",
            "migrations.sources.raw_sql_dir: it must be a relative path",
        ),
        (
            "migrations: {default_engine: raw, sources: {sql: x}}\n",
            "migrations.sources.sql: unknown key 'sql'",
        ),
        (
            "migrations: {default_engine: raw, selection: {all: true, ids: [a]}}\n",
            "migrations.selection: 'all' cannot stand beside",
        ),
        (
            "migrations: {default_engine: raw, selection: {tags: [a, ' a']}}\n",
            "migrations.selection.tags: a value is given twice",
        ),
        ("infra: {bootstrap: {docker: {install: yum}}}\n", "infra.bootstrap.docker.install: unknown value"),
    ],
)
def test_a_broken_rule_of_the_project_is_named(body: str, said: str) -> None:
    assert message(body).startswith(said)


def test_lists_of_migrations_are_sorted_and_nothing_is_an_empty_list() -> None:
    made = parsed("migrations: {default_engine: raw, selection: {tags: [b, ' a'], ids: }}\n").migrations
    assert made is not None
    assert made.selection is not None
    assert (made.selection.tags, made.selection.ids) == (["a", "b"], [])


def test_settings_of_a_provider_come_from_all_their_places() -> None:
    section = parsed(
        "backend:\n  provider: x\n  dev: {a: 1}\n  x: {b: 2, c: 3}\n"
        "  providers: {x: {c: 4, d: 5}, y: {e: 6}}\n"
    ).backend
    assert section is not None
    assert settings_of(section) == {"c": 3, "d": 5, "b": 2, "dev": {"a": 1}}
    places: dict[tuple[str, ...], Any] = {
        ("dev", "a"): ("dev", "a"),
        ("b",): ("x", "b"),
        ("d",): ("providers", "x", "d"),
        ("missing",): ("x", "missing"),
    }
    assert {key: place_of(section, key) for key in places} == places


def test_what_is_missing_from_settings_is_told_where_they_stand() -> None:
    listed = parsed("cloud: {provider: x, providers: {x: {a: 1}}}\n").cloud
    nowhere = parsed("cloud: {provider: x}\n").cloud
    assert listed is not None
    assert nowhere is not None
    assert place_of(listed, ("missing",)) == ("providers", "x", "missing")
    assert place_of(nowhere, ("missing",)) == ("missing",)


def test_unused_keys_are_told_one_by_one_and_in_a_summary() -> None:
    body = "project: {name: a}\nsecrets:\nterraform:\n  a: [1, 2]\n  b: [{c: 1}, {}]\n  d: {}\ncloud:\n"
    document = load_document("f", body.encode())
    assert [one.key for one in unused_keys(document, StagecraftFile)] == [
        "secrets",
        "terraform.a",
        "terraform.b[0].c",
        "terraform.b[1]",
        "terraform.d",
        "cloud",
    ]
    (summary,) = unused_summary(document, unused_roots(document, StagecraftFile))
    assert "secrets, terraform, cloud;" in summary.message
    assert unused_summary(document, []) == []


def test_a_long_summary_is_cut() -> None:
    body = "environments:\n" + "".join(f"  e{number}: {{driver: x}}\n" for number in range(20))
    document = load_document("f", body.encode())
    (summary,) = unused_summary(document, unused_roots(document, StagecraftFile))
    assert "environments.e11.driver and 8 more" in summary.message


def test_keys_that_no_schema_has_are_not_called_unused() -> None:
    document = load_document("f", b"wrong: 1\nhosts: 5\nservices: {web: 3}\n")
    assert unused_keys(document, StagecraftFile) == []
