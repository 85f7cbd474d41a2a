"""Which hosts a name means."""

from __future__ import annotations

import pytest

from controller.host_registry import HostEntry
from controller.named_hosts import hosts_named
from events.kernel.errors import UserError

ENTRIES = {
    "local": HostEntry(name="local", origin="local"),
    "app-1": HostEntry(name="app-1", origin="controller", address="10.0.0.1"),
    "app-2": HostEntry(name="app-2", origin="git", address="10.0.0.2"),
    "lost": HostEntry(name="lost", origin="none"),
}
ROLES = {
    "app-1": {"shop/prod": {"app", "gateway"}},
    "app-2": {"shop/prod": {"app"}},
    "local": {"shop/dev": {"app"}, "shop/prod": {"db"}},
    "lost": {"shop/prod": {"cache"}},
}


def named(name: str, environment: str | None = None) -> list[str]:
    return hosts_named(name, entries=ENTRIES, roles=ROLES, environment=environment)


def refused(name: str, environment: str | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        named(name, environment)
    return caught.value


def test_a_host_is_meant_before_a_role() -> None:
    assert named("app-1") == ["app-1"]
    entries = {**ENTRIES, "db": HostEntry(name="db", origin="git", address="10.0.0.9")}
    assert hosts_named("db", entries=entries, roles=ROLES, environment=None) == ["db"]


def test_a_role_means_its_hosts_in_the_environment() -> None:
    assert named("app", "prod") == ["app-1", "app-2"]
    assert named("app", "shop/prod") == ["app-1", "app-2"]
    assert named("app", "dev") == ["local"]
    assert named("db") == ["local"]


def test_a_role_of_several_environments_needs_one() -> None:
    error = refused("app")
    assert (error.code, error.next) == ("role-ambiguous", "name one with --env")
    assert "shop/dev, shop/prod" in error.message


def test_an_unknown_name_lists_the_known() -> None:
    error = refused("wbe")
    assert error.code == "no-such-host"
    assert error.why == "known hosts: app-1, app-2, local, lost; known roles: app, cache, db, gateway"
    assert refused("gateway", "dev").code == "no-such-host"


@pytest.mark.parametrize("name", ["lost", "cache"])
def test_a_host_that_nobody_says_the_place_of_is_refused(name: str) -> None:
    assert refused(name).code == "no-way-to-host"
