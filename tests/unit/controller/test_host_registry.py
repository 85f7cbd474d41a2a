"""Which hosts there are, where each is, and who says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from controller.host_registry import HostRegistry, host_registry
from controller.known_hosts import Declaration, KnownHost
from gitops.config.controller import ControllerFile
from gitops.place import HostPlace

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def file(**hosts: dict[str, object]) -> ControllerFile:
    names = {name.replace("_", "-"): host for name, host in hosts.items()}
    return ControllerFile.model_validate(
        {
            "network": {"static": {"hosts": names}},
            "repositories": [{"url": "a.git", "hosts": ["app-*"]}, {"url": "b.git"}],
        }
    )


def declared(address: str, port: int = 22) -> KnownHost:
    place = HostPlace(address, port)
    return KnownHost(declared=Declaration(place=place, project="shop", at=NOW))


def test_this_machine_is_always_there_and_first() -> None:
    assert list(host_registry(ControllerFile(), {})) == ["local"]
    found = host_registry(file(app_1={"address": "10.0.0.1"}), {"aaa": declared("x")})
    assert list(found) == ["local", "aaa", "app-1"]
    assert (found["local"].origin, found["local"].place, found["local"].reachable) == ("local", None, True)


def test_the_word_of_a_repository_places_a_host_that_the_operator_does_not_list() -> None:
    entry = host_registry(file(), {"app-1": declared("10.0.0.5", 2222)})["app-1"]
    assert (entry.origin, str(entry.place)) == ("git", "10.0.0.5:2222")
    assert (entry.user, entry.engine_socket, entry.root) == (
        "root",
        "/var/run/docker.sock",
        "/var/lib/stagecraft",
    )


def test_the_operator_wins_and_what_git_says_is_shown_beside() -> None:
    listed = file(app_1={"address": "10.0.0.1", "user": "deploy", "root": "/srv/stagecraft"})
    entry = host_registry(listed, {"app-1": declared("10.0.0.5")})["app-1"]
    assert (entry.origin, entry.address, entry.user) == ("controller", "10.0.0.1", "deploy")
    assert entry.also == HostPlace("10.0.0.5", 22)
    assert entry.as_json()["git_says"] == "10.0.0.5"
    assert host_registry(listed, {"app-1": declared("10.0.0.1")})["app-1"].also is None


def test_a_name_that_only_a_manifest_has_is_shown_and_not_reached() -> None:
    found = host_registry(file(), {}, roles={"app-9": {"shop/prod": {"web", "app"}}})
    assert (found["app-9"].origin, found["app-9"].reachable) == ("none", False)
    assert found["app-9"].roles == {"shop/prod": ("app", "web")}


def test_a_host_that_only_answered_once_is_none_of_the_registry() -> None:
    assert list(host_registry(file(), {"gone": KnownHost(answers=True)})) == ["local"]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("app-1", ("repositories[0]",)),
        ("db-1", ()),
        ("local", ("repositories[1]",)),
    ],
)
def test_an_entry_says_which_repositories_may_deploy_there(host: str, allowed: tuple[str, ...]) -> None:
    known = {"app-1": declared("x"), "db-1": declared("y")}
    assert host_registry(file(), known)[host].allowed == allowed


def test_what_reaches_a_host_changes_with_its_place_and_not_with_its_roles() -> None:
    one = host_registry(file(), {"a": declared("x")})["a"]
    same = host_registry(file(), {"a": declared("x")}, roles={"a": {"shop/prod": {"app"}}})["a"]
    moved = host_registry(file(), {"a": declared("x", 23)})["a"]
    assert one.reached_as(same)
    assert not one.reached_as(moved)


def test_the_registry_is_joined_again_when_something_new_is_known_and_not_before() -> None:
    known = {"a": declared("x")}
    registry = HostRegistry(file, lambda: known)
    first = registry()
    assert registry() is first
    known = {"a": declared("y")}
    assert registry()["a"].address == "y"


def test_a_host_that_git_places_is_entered_as_the_operators_defaults_say() -> None:
    listed = host_registry(file(app_1={"address": "x"}), {})["app-1"]
    entry = host_registry(file(), {"app-1": declared("x")})["app-1"]
    assert replace(entry, origin="controller") == listed
