"""The table of providers."""

from __future__ import annotations

from typing import Any

import pytest

from controller.providers.table import PROVIDERS, Entry, ProviderTable
from gitops.config.providers import KINDS


def test_every_kind_has_providers_and_their_names_are_sorted() -> None:
    for kind in KINDS:
        names = list(PROVIDERS.ids(kind))
        assert names
        assert names == sorted(names)
    assert PROVIDERS.ids("oven") == []


def test_a_provider_is_ready_when_it_says_so() -> None:
    table = ProviderTable({"network": {"a": Entry(ready=True), "b": Entry()}})
    assert (table.ready("network", "a"), table.ready("network", "b")) == (True, False)


def test_a_provider_without_a_model_takes_anything() -> None:
    assert PROVIDERS.broken("cloud", "digitalocean", {"any": ["thing"]}) == []


@pytest.mark.parametrize(
    ("kind", "provider", "settings", "said"),
    [
        ("backend", "encore-ts", {"dev": {"listen": "x"}}, ["dev.env_file", "dev.listen"]),
        ("backend", "generic", {}, ["dev"]),
        ("frontend", "generic", {"dev": {"command": []}}, ["dev.command"]),
        ("frontend", "generic-dev-command", {"dev": {"command": "npm"}}, ["dev.command"]),
        ("network", "static", {"hosts": {"h": {"user": "root"}}}, ["hosts.h.user"]),
        ("network", "tailscale", {"tailnet_domain": "x", "auth_key_env": "tskey-1"}, ["auth_key_env"]),
        (
            "network",
            "headscale",
            {"tailnet_domain": "x", "auth_key_env": "K", "tags": ["web"]},
            ["tags.0", "login_server"],
        ),
        ("secrets", "envfile", {"source_file": "a"}, ["target_file"]),
    ],
)
def test_what_a_provider_refuses_is_named(
    kind: str, provider: str, settings: dict[str, Any], said: list[str]
) -> None:
    broken = PROVIDERS.broken(kind, provider, settings)
    assert [".".join(map(str, one.key)) for one in broken] == said
