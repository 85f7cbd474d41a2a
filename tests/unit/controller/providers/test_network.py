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
        ("hosts", name, key) for name in ("a", "b") for key in ("address", "port")
    ]
    assert PROVIDERS.used("network", "tailscale", MESH) == [("tailnet_domain",)]
    assert PROVIDERS.used("cloud", "local", {"size": 1}) == []


def test_a_static_host_is_reached_at_the_address_that_is_listed() -> None:
    listed = {"hosts": {"a": {"address": "10.0.0.1", "port": 2222}, "b": {"address": "fd00::1"}, "c": {}}}
    found = {name: str(place) for name, place in PROVIDERS.places("static", listed).items()}
    assert found == {"a": "10.0.0.1:2222", "b": "[fd00::1]"}


@pytest.mark.parametrize("provider", ["tailscale", "nobody"])
def test_no_other_provider_says_where_hosts_are(provider: str) -> None:
    assert PROVIDERS.places(provider, MESH) == {}


@pytest.mark.parametrize("key", ["user", "engine_socket", "root"])
def test_how_a_host_is_entered_is_no_matter_of_a_repository(key: str) -> None:
    settings = {"hosts": {"a": {"address": "10.0.0.1", key: "root"}}}
    (broken,) = PROVIDERS.broken("network", "static", settings)
    assert (broken.key, "controller.yml" in broken.message) == (("hosts", "a", key), True)
    assert PROVIDERS.places("static", settings) == {}


def test_local_has_no_address_and_a_port_goes_with_one() -> None:
    (broken,) = PROVIDERS.broken("network", "static", {"hosts": {"local": {"address": "10.0.0.1"}}})
    assert "this machine's own engine" in broken.message
    (broken,) = PROVIDERS.broken("network", "static", {"hosts": {"a": {"port": 2222}}})
    assert "goes with an `address`" in broken.message
