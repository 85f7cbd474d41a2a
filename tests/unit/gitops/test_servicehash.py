"""Which changes of a service are changes of its container."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.servicehash import service_hash

SERVICE: dict[str, Any] = {
    "image": "web:1@sha256:" + "a" * 64,
    "command": ["run"],
    "environment": {"A": "1"},
    "labels": {"team": "x", "stagecraft.project": "p"},
    "networks": {"default": None},
    "volumes": [{"type": "volume", "source": "data", "target": "/d"}, {"type": "bind", "source": "/f/1"}],
    "depends_on": {"db": {}},
    "deploy": {"replicas": 1, "resources": {}},
}
DOCUMENT: dict[str, Any] = {
    "networks": {"default": {"driver": "bridge"}, "other": {}},
    "volumes": {"data": {}, "more": {}},
}
HASH = service_hash(SERVICE, DOCUMENT)


@pytest.mark.parametrize(
    "change",
    [
        {"depends_on": {}},
        {"profiles": ["debug"]},
        {"pull_policy": "always"},
        {"build": {"context": "."}},
        {"scale": 3},
        {"deploy": {"replicas": 5, "resources": {}}},
        {"labels": {"team": "x", "stagecraft.service-hash": "z"}},
    ],
)
def test_what_no_container_has_does_not_change_the_hash(change: dict[str, Any]) -> None:
    assert service_hash({**SERVICE, **change}, DOCUMENT) == HASH


@pytest.mark.parametrize(
    "change",
    [
        {"image": "web:1@sha256:" + "b" * 64},
        {"command": ["run", "faster"]},
        {"environment": {"A": "2"}},
        {"labels": {"team": "y"}},
        {"labels": None},
        {"volumes": [{"type": "bind", "source": "/f/2"}]},
        {"networks": {"other": None}},
        {"deploy": {"replicas": 1, "resources": {"limits": {"cpus": "1"}}}},
        {"deploy": None},
        {"restart": "always"},
    ],
)
def test_what_a_container_has_changes_the_hash(change: dict[str, Any]) -> None:
    assert service_hash({**SERVICE, **change}, DOCUMENT) != HASH


def test_options_of_used_networks_and_volumes_count() -> None:
    for section, name in (("networks", "default"), ("volumes", "data")):
        changed = {**DOCUMENT, section: {**DOCUMENT[section], name: {"driver": "other"}}}
        assert service_hash(SERVICE, changed) != HASH


def test_networks_and_volumes_of_others_do_not_count() -> None:
    for section, name in (("networks", "other"), ("volumes", "more")):
        changed = {**DOCUMENT, section: {**DOCUMENT[section], name: {"driver": "other"}}}
        assert service_hash(SERVICE, changed) == HASH


def test_the_order_of_keys_does_not_count() -> None:
    assert service_hash(dict(reversed(SERVICE.items())), DOCUMENT) == HASH


def test_a_service_of_nothing_has_a_hash() -> None:
    assert service_hash({}, {}).startswith("sha256:")
