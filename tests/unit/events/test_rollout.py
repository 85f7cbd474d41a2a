"""What two containers of a service cannot both have, what they perhaps must not, and the project's word."""

from __future__ import annotations

from typing import Any

import pytest

from events.rollout import ASKED_FOR, Rollout, rollout_of

START, ONE_WRITER = Rollout(strategy="start-first"), "volume data with one writer"
DATA = {"type": "volume", "source": "data", "target": "/data"}


def of(definition: dict[str, Any], *, asked: Any = None, **others: dict[str, Any]) -> Rollout:  # noqa: ANN401  # a literal
    return rollout_of("web", {"web": definition, **others}, asked=asked)


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"ports": [{"target": 80, "protocol": "tcp"}]},
        {"volumes": [{**DATA, "read_only": True}, {"type": "tmpfs", "target": "/cache"}]},
        {"volumes": [{"type": "bind", "source": "/etc/x", "target": "/x", "read_only": True}]},
        {"volumes": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/docker.sock"}]},
        {"networks": {"front": None, "back": {"aliases": ["api"]}}},
        {"network_mode": "none"},
        {"hostname": "web"},
    ],
)
def test_side_by_side_is_the_rule(definition: dict[str, Any]) -> None:
    assert of(definition) == START


@pytest.mark.parametrize(
    ("definition", "cause"),
    [
        ({"ports": [{"target": 80, "published": "8080", "protocol": "udp"}]}, "fixed host port 8080/udp"),
        ({"network_mode": "host"}, "network of the host"),
        ({"container_name": "the-web"}, "container_name the-web"),
        (
            {"networks": {"back": {"ipv4_address": "10.0.0.2"}}},
            "ipv4_address 10.0.0.2 on the network back",
        ),
        ({"mac_address": "02:42:ac:11:00:01"}, "mac_address 02:42:ac:11:00:01"),
        ({"network_mode": "service:db"}, "lives in the container of db"),
        ({"pid": "container:abc"}, "lives in the container of abc"),
        ({"volumes_from": ["db:ro"]}, "lives in the container of db"),
        ({"deploy": {"mode": "global"}}, "deploy mode global, of which Compose makes one"),
        ({"pre_stop": [{"command": ["sync"]}]}, "pre_stop hooks, which only Compose runs"),
    ],
)
@pytest.mark.parametrize("asked", [None, "start-first"])
def test_what_cannot_be_twice_is_stop_first_whatever_is_asked_for(
    definition: dict[str, Any], cause: str, asked: str | None
) -> None:
    assert of(definition, asked=asked) == Rollout(strategy="stop-first", because=(cause,))


def test_a_service_that_others_live_in_ends_with_them() -> None:
    made = of({}, asked="start-first", side={"network_mode": "service:web"}, other={})
    assert made == Rollout(strategy="stop-first", because=("side lives in its container",))


@pytest.mark.parametrize(
    ("definition", "cause"),
    [
        ({"volumes": [DATA]}, ONE_WRITER),
        (
            {"volumes": [{"type": "volume", "target": "/data"}]},
            "anonymous volume at /data, which a new container does not get",
        ),
        (
            {"volumes": [{"type": "bind", "source": "/srv/data", "target": "/data"}]},
            "path of the host at /data with one writer",
        ),
        (
            {"devices": [{"source": "/dev/ttyS0", "target": "/dev/ttyS0"}]},
            "devices of the host with one user",
        ),
    ],
)
def test_what_is_doubtful_is_stop_first_unless_the_project_gives_its_word(
    definition: dict[str, Any], cause: str
) -> None:
    assert of(definition) == Rollout(strategy="stop-first", because=(cause,))
    assert of(definition, asked="start-first") == START


def test_stop_first_is_done_when_it_is_asked_for_and_says_so() -> None:
    assert of({}, asked="stop-first").because == (ASKED_FOR,)
    assert of({"volumes": [DATA]}, asked="stop-first").because == (ONE_WRITER, ASKED_FOR)
