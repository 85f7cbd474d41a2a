"""What a person's Compose made, against what a definition would make: field by field."""

from __future__ import annotations

from typing import Any

import pytest

from projections.converge.sameness import differences
from projections.converge.wish import Wish, seconds
from projections.engine.makeup import image_defaults, makeup_of

IMAGE: dict[str, Any] = {
    "Id": "sha256:aa",
    "Config": {
        "Cmd": ["serve"],
        "Entrypoint": None,
        "Env": ["PATH=/bin", "MODE=image"],
        "Labels": {"vendor": "us"},
        "Volumes": {"/cache": {}},
        "Healthcheck": {"Test": ["CMD", "check"], "Interval": 5_000_000_000},
    },
}
DOCUMENT: dict[str, Any] = {
    "networks": {"default": {"name": "shop-prod_default"}, "back": {"name": "shop-prod_back"}},
    "volumes": {"data": {"name": "shop-prod_data"}},
}
DEFINITION: dict[str, Any] = {
    "image": "web:1",
    "environment": {"MODE": "live", "PRICE": "5$$"},
    "labels": {"team": "a", "stagecraft.service": "web"},
    "networks": {"default": None},
    "ports": [{"target": 80, "published": "8080", "host_ip": "127.0.0.1", "protocol": "tcp"}],
    "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
    "restart": "unless-stopped",
    "stop_grace_period": "1m30s",
    "depends_on": {"db": {"condition": "service_started"}},
    "cap_add": ["NET_ADMIN"],
    "mem_limit": "104857600",
}


def container(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  # sections of an inspection
    """An inspection of what Compose makes of `DEFINITION`; `changes` by section."""
    sections: dict[str, Any] = {
        "Id": "c" * 64,
        "Name": "/shop-prod-web-1",
        "Image": "sha256:aa",
        "Config": {
            "Hostname": "c" * 12,
            "Image": "web:1",
            "Cmd": ["serve"],
            "Env": ["PATH=/bin", "MODE=live", "PRICE=5$"],
            "Labels": {"team": "a", "vendor": "us", "com.docker.compose.service": "web"},
            "StopTimeout": 90,
            "Healthcheck": {"Test": ["CMD", "check"], "Interval": 5_000_000_000},
        },
        "HostConfig": {
            "NetworkMode": "shop-prod_default",
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "CapAdd": ["CAP_NET_ADMIN"],
            "Memory": 104857600,
            "MemorySwap": 209715200,
            "ShmSize": 67108864,
            "IpcMode": "private",
            "LogConfig": {"Type": "json-file", "Config": {}},
            "Runtime": "runc",
        },
        "Mounts": [
            {"Type": "volume", "Name": "shop-prod_data", "Destination": "/data", "RW": True},
            {"Type": "volume", "Name": "e" * 64, "Destination": "/cache", "RW": True},
        ],
        "NetworkSettings": {
            "Networks": {"shop-prod_default": {"Aliases": ["shop-prod-web-1", "web", "c" * 12]}}
        },
    }
    for section, change in changes.items():
        whole = isinstance(change, list)
        sections[section] = change if whole else {**sections[section], **change}
    return sections


def told(
    definition: dict[str, Any] | None = None,
    **changes: Any,  # noqa: ANN401  # as above
) -> dict[str, tuple[str, str]]:
    wish = Wish(
        definition=DEFINITION if definition is None else {**DEFINITION, **definition},
        document=DOCUMENT,
        image=image_defaults(IMAGE),
        host_variables={},
        services={"d" * 64: "db"},
    )
    return {one.field: (one.wanted, one.found) for one in differences(wish, makeup_of(container(**changes)))}


def test_what_compose_makes_of_the_definition_is_the_same() -> None:
    assert told() == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"Config": {"Cmd": ["other"]}}, "command"),
        ({"Config": {"Entrypoint": ["/init"]}}, "entrypoint"),
        ({"Config": {"User": "root"}}, "user"),
        ({"Config": {"Hostname": "web1"}}, "hostname"),
        ({"Config": {"StopTimeout": 10}}, "stop_grace_period"),
        ({"Config": {"Healthcheck": {"Test": ["NONE"]}}}, "healthcheck"),
        ({"HostConfig": {"Privileged": True}}, "privileged"),
        ({"HostConfig": {"CapAdd": ["NET_ADMIN", "SYS_ADMIN"]}}, "cap_add"),
        ({"HostConfig": {"PidMode": "host"}}, "pid"),
        ({"HostConfig": {"RestartPolicy": {"Name": "no"}}}, "restart"),
        ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}}, "ports"),
        ({"HostConfig": {"Memory": 0, "MemorySwap": 0}}, "mem_limit"),
        ({"HostConfig": {"Devices": [{"PathOnHost": "/dev/x", "PathInContainer": "/dev/x"}]}}, "devices"),
        ({"Mounts": []}, "volumes"),
        ({"NetworkSettings": {"Networks": {"bridge": {}}}}, "networks"),
    ],
)
def test_each_field_that_differs_is_told(changes: dict[str, Any], field: str) -> None:
    assert list(told(**changes)) == [field]


def test_a_mount_that_may_be_written_differs_from_one_that_may_not() -> None:
    mount = {"type": "volume", "source": "data", "target": "/data", "read_only": True}
    wanted, found = told({"volumes": [mount]})["volumes"]
    assert "(read only)" in wanted
    assert "(read only)" not in found


def test_values_of_variables_and_labels_are_never_shown() -> None:
    found = told(
        {"environment": {"MODE": "live", "PRICE": "hunter2"}, "labels": {"team": "b-secret"}},
        Config={"Env": ["PATH=/bin", "MODE=live", "PRICE=5$", "EXTRA=swordfish"]},
    )
    assert found["environment"] == ("~PRICE", "+EXTRA ~PRICE")
    assert found["labels"] == ("~team", "~team")
    assert not {"hunter2", "swordfish", "secret"} & set(str(found).replace("-", " ").split())


def test_a_key_that_is_not_known_is_a_difference() -> None:
    assert list(told({"blkio_config": {"weight": 300}})) == ["blkio_config"]


def test_a_shared_namespace_is_compared_by_its_service() -> None:
    shared: dict[str, Any] = {"networks": None, "network_mode": "service:db", "ports": []}
    host: dict[str, Any] = {"NetworkMode": f"container:{'d' * 64}", "PortBindings": {}}
    assert told(shared, HostConfig=host, NetworkSettings={"Networks": {}}) == {}
    other: dict[str, Any] = {**host, "NetworkMode": f"container:{'a' * 64}"}
    assert list(told(shared, HostConfig=other, NetworkSettings={"Networks": {}})) == ["networks"]


def test_a_health_check_is_filled_from_the_image() -> None:
    declared = {"healthcheck": {"interval": "10s", "retries": 2}}
    made = {"Test": ["CMD", "check"], "Interval": 10_000_000_000, "Retries": 2}
    assert told(declared, Config={"Healthcheck": made}) == {}


@pytest.mark.parametrize(("text", "value"), [("1m30s", 90.0), ("300ms", 0.3), ("1h0m0s", 3600.0), (5, 5.0)])
def test_durations(text: object, value: float) -> None:
    assert seconds(text) == pytest.approx(value)
