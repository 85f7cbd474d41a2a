"""What a simulated engine answers: the JSON bytes of API 1.41, as Docker 20.10 writes them.

A test on the simulated engine runs through the same parsers as one on the real engine, so the bytes have
the real ones' traps: null for an empty list, a health that a listing only says in words, a restart policy
without a name, a time of year 1 for never. Keys that the product does not read are written where a reader
could take them for something they are not.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from projections.engine.simulated_world import ENDED, Moment, SimulatedContainer, World

_NANOSECONDS = 1_000_000_000
_NEVER = "0001-01-01T00:00:00Z"
_UP = ("running", "paused", "restarting")
_RETRIES = 3
_HEALTH_WORDS = {"healthy": " (healthy)", "unhealthy": " (unhealthy)", "starting": " (health: starting)"}


def listing(world: World, chosen: Sequence[SimulatedContainer], now: float) -> bytes:
    """`GET /containers/json?all=1`, newest first as the engine does it."""
    ordered = sorted(chosen, key=lambda one: (-one.created_at, one.id))
    return _bytes([_listed(world, one, world.moment(one, now)) for one in ordered])


def inspection(world: World, one: SimulatedContainer, now: float) -> bytes:
    """`GET /containers/<id>/json`."""
    moment, life = world.moment(one, now), one.life
    started = one.started_at is not None
    command = life.log[:1] or ("serve",)
    return _bytes(
        {
            "Id": one.id,
            "Created": _time(one.created_at),
            "Path": command[0],
            "Args": list(command[1:]),
            "State": {
                "Status": moment.state,
                "Running": moment.state in _UP,
                "Paused": moment.state == "paused",
                "Restarting": moment.state == "restarting",
                "OOMKilled": life.oom_killed and (moment.state in ENDED or moment.restarts > 0),
                "Dead": moment.state == "dead",
                "Pid": 1000 if moment.state in {"running", "paused"} else 0,
                "ExitCode": moment.exit_code,
                "Error": life.start_error if moment.state == "created" else "",
                "StartedAt": _time(one.created_at) if started else _NEVER,
                "FinishedAt": _time(one.created_at) if moment.state in ENDED else _NEVER,
                **({"Health": _checked(one, moment)} if life.has_check and started else {}),
            },
            "Image": one.image_id,
            "Name": f"/{one.name}",
            "RestartCount": moment.restarts,
            "HostConfig": {
                "NetworkMode": one.networks[0] if one.networks else "default",
                "RestartPolicy": {
                    "Name": "" if one.policy == "no" else one.policy,
                    "MaximumRetryCount": 0,
                },
                "Binds": None,
                "PortBindings": {
                    f"{port.target or port.port}/{port.protocol}": [
                        {"HostIp": port.address, "HostPort": str(port.port)}
                    ]
                    for port in one.ports
                },
                "ShmSize": 67108864,
                "IpcMode": "private",
            },
            "Config": {
                "Image": one.image,
                "Labels": one.labels or None,
                "Hostname": one.id[:12],
                "Env": None,
                "Cmd": None,
                "Entrypoint": None,
                **({"Healthcheck": _declared(one)} if life.has_check else {}),
            },
            "NetworkSettings": {
                "Ports": _bound(one) if moment.state in _UP else {},
                "Networks": _networks(one, running=moment.state in {"running", "paused"}),
            },
            "Mounts": _mounts(one),
        }
    )


def makeup(world: World, one: SimulatedContainer, now: float) -> dict[str, Any]:
    """An inspection with what the container was made with, and what was changed on it since."""
    answer: dict[str, Any] = json.loads(inspection(world, one, now))
    if one.made:
        answer["Config"] = {**answer["Config"], **one.made["Config"], "Healthcheck": None}
        answer["HostConfig"] = {**answer["HostConfig"], **one.made["HostConfig"]}
        answer["Mounts"] = one.made["Mounts"]
    return answer


def image_inspection(world: World, image_id: str) -> bytes:
    """`GET /images/<name>/json`."""
    tags = sorted(text for text, found in world.images.items() if found == image_id and text != image_id)
    return _bytes(
        {
            "Id": image_id,
            "RepoTags": tags,
            "RepoDigests": world.repo_digests.get(image_id),
            "Parent": "",
            "Config": {"Labels": None},
        }
    )


def event(action: str, one: SimulatedContainer) -> bytes:
    """One object of `GET /events`."""
    attributes = {**one.labels, "image": one.image, "name": one.name}
    return _bytes(
        {
            "status": action,
            "id": one.id,
            "from": one.image,
            "Type": "container",
            "Action": action,
            "Actor": {"ID": one.id, "Attributes": attributes},
            "scope": "local",
        }
    )


def network_event(action: str, network: str, one: SimulatedContainer) -> bytes:
    """One object of `GET /events` about a container that came to a network or left it."""
    attributes = {"container": one.id, "name": network, "type": "bridge"}
    actor = {"ID": network.encode().hex(), "Attributes": attributes}
    return _bytes({"Type": "network", "Action": action, "Actor": actor, "scope": "local"})


def _listed(world: World, one: SimulatedContainer, moment: Moment) -> dict[str, Any]:
    means_another_by_now = world.images.get(one.image, one.image_id) != one.image_id
    return {
        "Id": one.id,
        "Names": [f"/{one.name}"],
        "Image": one.image_id if means_another_by_now else one.image,
        "ImageID": one.image_id,
        "Command": "serve",
        "Created": int(one.created_at),
        "Ports": [
            {
                "IP": port.address,
                "PrivatePort": port.target or port.port,
                "PublicPort": port.port,
                "Type": port.protocol,
            }
            for port in one.ports
            if moment.state in _UP
        ],
        "Labels": one.labels,
        "State": moment.state,
        "Status": _status(moment),
        "HostConfig": {"NetworkMode": one.networks[0] if one.networks else "default"},
        "NetworkSettings": {"Networks": _networks(one, running=moment.state in {"running", "paused"})},
        "Mounts": _mounts(one),
    }


def _status(moment: Moment) -> str:
    """The text for people; the only place where a listing of 1.41 says something about health."""
    match moment.state:
        case "running":
            return f"Up {int(moment.seconds)} seconds{_HEALTH_WORDS.get(moment.health, '')}"
        case "paused":
            return f"Up {int(moment.seconds)} seconds (Paused)"
        case "restarting":
            return f"Restarting ({moment.exit_code}) 1 second ago"
        case "exited":
            return f"Exited ({moment.exit_code}) 1 second ago"
        case "removing":
            return "Removal In Progress"
        case _:
            return moment.state.capitalize()


def _checked(one: SimulatedContainer, moment: Moment) -> dict[str, Any]:
    """`State.Health`, which an ended container keeps."""
    failing = moment.health == "unhealthy" or (
        moment.health == "starting" and one.life.unhealthy_after is not None
    )
    checks = [{"ExitCode": int(failing), "Output": one.life.health_output}]
    return {
        "Status": moment.health,
        "FailingStreak": _RETRIES if moment.health == "unhealthy" else 0,
        "Log": [{"ExitCode": 0, "Output": "an older check"}, *checks] if one.life.check_runs else None,
    }


def _declared(one: SimulatedContainer) -> dict[str, Any]:
    """A declaration whose retries are used up after the life's budget."""
    each = round(one.life.health_budget_seconds * _NANOSECONDS / _RETRIES / 2)
    return {"Test": ["CMD", "check"], "Interval": each, "Timeout": each, "Retries": _RETRIES}


def _bound(one: SimulatedContainer) -> Mapping[str, Any]:
    bound: dict[str, list[dict[str, str]] | None] = {"9/tcp": None}  # exposed and not published
    for port in one.ports:
        key = f"{port.target or port.port}/{port.protocol}"
        binding = {"HostIp": port.address, "HostPort": str(port.port)}
        bound[key] = [*(bound.get(key) or ()), binding]
    return bound


def _networks(one: SimulatedContainer, *, running: bool) -> Mapping[str, Any]:
    return {
        name: {
            "Links": None,
            "Aliases": None,
            "NetworkID": name.encode().hex(),
            **(_addressed(one, name) if running and name not in {"host", "none"} else _UNADDRESSED),
        }
        for name in one.networks
    }


_UNADDRESSED = {"IPAddress": "", "IPPrefixLen": 0, "Gateway": "", "GlobalIPv6Address": ""}


def _addressed(one: SimulatedContainer, network: str) -> Mapping[str, Any]:
    """An address that follows from the names: each network has a /16, each container a place in it."""
    subnet = 16 + zlib.crc32(network.encode()) % 16
    place = zlib.crc32(one.id.encode()) % 65000
    return {
        "IPAddress": f"172.{subnet}.{1 + place // 256}.{place % 256}",
        "IPPrefixLen": 16,
        "Gateway": f"172.{subnet}.0.1",
        "GlobalIPv6Address": "",
    }


def _mounts(one: SimulatedContainer) -> list[dict[str, Any]]:
    return [
        {"Type": "volume", "Name": name, "Destination": "/data", "RW": True, "Driver": "local"}
        for name in one.volumes
    ]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat().replace("+00:00", "Z")


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()
