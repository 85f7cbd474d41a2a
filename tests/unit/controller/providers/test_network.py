"""What network providers call hosts."""

from __future__ import annotations

from typing import Any

import pytest

from controller.providers.table import PROVIDERS

MESH = {"auth_key_env": "KEY", "tailnet_domain": "net.example.org"}


@pytest.mark.parametrize(
    ("provider", "settings", "host", "name"),
    [
        ("static", {"hosts": {"a": {"address": "10.0.0.1"}}}, "a", "10.0.0.1"),
        ("static", {"hosts": {"a": {"address": "10.0.0.1"}}}, "b", None),
        ("static", {"hosts": {"a": {}}}, "a", None),
        ("static", {}, "a", None),
        ("static", {"hosts": {"a": {"address": "x\nEVIL=1"}}}, "a", None),
        ("tailscale", MESH, "db-1", "db-1.net.example.org"),
        ("tailscale", {"tailnet_domain": "net.example.org"}, "db-1", None),
        ("headscale", {**MESH, "login_server": "https://h.example.org"}, "db-1", "db-1.net.example.org"),
        ("headscale", MESH, "db-1", None),
    ],
)
def test_a_host_is_called_by_what_the_settings_say(
    provider: str, settings: dict[str, Any], host: str, name: str | None
) -> None:
    assert PROVIDERS.host_name(provider, settings, host) == name


def test_what_names_come_from_is_in_use_and_nothing_else() -> None:
    listed = {"hosts": {"a": {"address": "x", "port": 22}, "b": {}}}
    assert PROVIDERS.used("network", "static", listed) == [
        ("hosts", "a", "address"),
        ("hosts", "b", "address"),
    ]
    assert PROVIDERS.used("network", "tailscale", MESH) == [("tailnet_domain",)]
    assert PROVIDERS.used("cloud", "local", {"size": 1}) == []
