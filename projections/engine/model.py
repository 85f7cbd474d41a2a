"""From the engine's JSON to the port's records.

Pure and tolerant: engines of API 1.41 and newer, and those that only imitate Docker, leave out keys, write
null for an empty list, or say in a text what others say in a field (the health of a container in a listing).
A missing key takes the value that promises least. Only a container without an id and a state that nobody
knows are refused, because a guess there could end in a removal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from projections.engine.api import Answer
from projections.engine.errors import engine_refused, shown
from projections.engine.port import (
    Attachment,
    Container,
    ContainerDetail,
    ContainerState,
    Health,
    Image,
    PublishedPort,
)

_STATES: frozenset[str] = frozenset(get_args(ContainerState))
_OTHER_STATES: Mapping[str, ContainerState] = {
    "configured": "created",
    "initialized": "created",
    "stopped": "exited",
    "stopping": "running",
}  # Podman's words
_HEALTH_IN_STATUS = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_NANOSECONDS = 1_000_000_000
# What the engine takes for a value of a health check that is 0 or absent.
_INTERVAL_SECONDS = 30.0
_TIMEOUT_SECONDS = 30.0
_RETRIES = 3
_GRACE_SECONDS = 10  # what the engine takes when a container names no grace period of its own
_LONGEST_GRACE_SECONDS = 3600  # what "for ever" is cut to


def container_from_listing(answer: Answer) -> Container:
    """A container of `GET /containers/json`. Raises OutsideError `engine-refused` for what is no container.

    The engine shows an image id in place of the image's text when the text means another image by now.
    """
    names = [str(name) for name in _list(answer, "Names")]
    # A container that others link to has further names, `/other/alias`; its own has one slash.
    own = next((name for name in names if name.count("/") <= 1), "")
    return Container(
        id=_id(answer),
        name=own.removeprefix("/"),
        image=str(answer.get("Image") or ""),
        image_id=str(answer.get("ImageID") or ""),
        state=_state(answer.get("State")),
        health=_listed_health(answer),
        labels=_labels(answer),
        ports=_listed_ports(answer),
        networks=_networks(answer),
        volumes=_volumes(answer),
        created=int(answer.get("Created") or 0),
    )


def container_from_inspection(answer: Answer) -> ContainerDetail:
    """A container of `GET /containers/<id>/json`. Raises OutsideError `engine-refused` as above."""
    config, host, state = _object(answer, "Config"), _object(answer, "HostConfig"), _object(answer, "State")
    health = _object(state, "Health")
    checks = _list(health, "Log")
    declared = _object(config, "Healthcheck")
    return ContainerDetail(
        container=Container(
            id=_id(answer),
            name=str(answer.get("Name") or "").removeprefix("/"),
            image=str(config.get("Image") or ""),
            image_id=str(answer.get("Image") or ""),
            state=_state(state.get("Status")),
            health=_health(health.get("Status")) if state.get("Running") else "none",
            labels=_labels(config),
            ports=_bound_ports(answer),
            networks=_networks(answer),
            volumes=_volumes(answer),
        ),
        exit_code=int(state.get("ExitCode") or 0),
        restart_count=int(answer.get("RestartCount") or 0),
        restart_policy=str(_object(host, "RestartPolicy").get("Name") or "no"),
        oom_killed=bool(state.get("OOMKilled")),
        error=shown(str(state.get("Error") or "")),
        health_check=_is_check(declared),
        health_checked=bool(checks),
        health_output=shown(str(checks[-1].get("Output") or "")) if checks else "",
        health_failing_streak=int(health.get("FailingStreak") or 0),
        health_budget_seconds=health_budget_seconds(declared),
        pid=int(state.get("Pid") or 0),
        attachments=_attachments(answer),
    )


def _volumes(answer: Answer) -> tuple[str, ...]:
    """Names of the mounted volumes; anonymous ones have names too."""
    mounts = _list(answer, "Mounts")
    return tuple(sorted(str(one.get("Name") or "") for one in mounts if one.get("Type") == "volume"))


def image_from_inspection(answer: Answer) -> Image:
    """An image of `GET /images/<name>/json`."""
    return Image(id=_id(answer), repo_digests=tuple(str(digest) for digest in _list(answer, "RepoDigests")))


def platform_of(version: Answer) -> str:
    """What an engine runs, from `GET /version`; empty when it does not say."""
    system, architecture = version.get("Os"), version.get("Arch")
    return f"{system}/{architecture}" if system and architecture else ""


def health_budget_seconds(declared: Answer) -> float:
    """How long the engine itself gives a check until it says unhealthy, 0 without a check.

    The start period, in which failures do not count, and then every retry with its interval and timeout.
    """
    if not _is_check(declared):
        return 0.0
    start = int(declared.get("StartPeriod") or 0) / _NANOSECONDS
    interval = int(declared.get("Interval") or 0) / _NANOSECONDS or _INTERVAL_SECONDS
    timeout = int(declared.get("Timeout") or 0) / _NANOSECONDS or _TIMEOUT_SECONDS
    return start + (int(declared.get("Retries") or 0) or _RETRIES) * (interval + timeout)


def stop_grace_seconds(answer: Answer) -> int:
    """How long an inspected container may take to stop before the engine kills it."""
    own = _object(answer, "Config").get("StopTimeout")
    grace = _GRACE_SECONDS if own is None else int(own)
    return min(grace, _LONGEST_GRACE_SECONDS) if grace >= 0 else _LONGEST_GRACE_SECONDS


def _id(answer: Answer) -> str:
    """Also a check that the answer is what it should be: everything an engine keeps has an id."""
    value = answer.get("Id")
    if not isinstance(value, str) or not value:
        raise engine_refused("answer in a form that is known", "an object without an Id")
    return value


def _state(value: object) -> ContainerState:
    word = str(value or "").lower()
    if word in _STATES:
        return cast("ContainerState", word)
    if word in _OTHER_STATES:
        return _OTHER_STATES[word]
    raise engine_refused("answer in a form that is known", f"a container in the state {word!r}")


def _health(value: object) -> Health:
    word = str(value or "").lower()
    return cast("Health", word) if word in get_args(Health) else "none"


def _listed_health(answer: Answer) -> Health:
    """A field in newer engines, else words in brackets at the end of the status text."""
    health = answer.get("Health")
    if isinstance(health, Mapping):
        return _health(cast("Answer", health).get("Status"))
    found = _HEALTH_IN_STATUS.search(str(answer.get("Status") or ""))
    return _health(found[1]) if found else "none"


def _is_check(declared: Answer) -> bool:
    test = _list(declared, "Test")
    return bool(test) and test[0] != "NONE"


def _listed_ports(answer: Answer) -> tuple[PublishedPort, ...]:
    ports = {
        PublishedPort(
            address=str(port.get("IP") or "0.0.0.0"),  # noqa: S104  # what the engine means by saying nothing
            port=int(port["PublicPort"]),
            protocol=str(port.get("Type") or "tcp"),
            target=int(port.get("PrivatePort") or 0),
        )
        for port in _list(answer, "Ports")
        if port.get("PublicPort")
    }
    return _sorted(ports)


def _bound_ports(answer: Answer) -> tuple[PublishedPort, ...]:
    """`NetworkSettings.Ports`: `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": null}`."""
    ports: set[PublishedPort] = set()
    exposed = _object(_object(answer, "NetworkSettings"), "Ports")
    for inside in exposed:
        for binding in _list(exposed, inside):
            address = str(binding.get("HostIp") or "0.0.0.0")  # noqa: S104  # see above
            target, _, protocol = inside.partition("/")
            if binding.get("HostPort"):
                ports.add(
                    PublishedPort(
                        address=address,
                        port=int(binding["HostPort"]),
                        protocol=protocol or "tcp",
                        target=int(target) if target.isdecimal() else 0,
                    )
                )
    return _sorted(ports)


def _networks(answer: Answer) -> tuple[str, ...]:
    return tuple(sorted(_object(_object(answer, "NetworkSettings"), "Networks")))


def _attachments(answer: Answer) -> tuple[Attachment, ...]:
    """Both families of each network; a container that does not run has empty addresses."""
    networks = _object(_object(answer, "NetworkSettings"), "Networks")
    families = (
        ("IPAddress", "IPPrefixLen", "Gateway"),
        ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway"),
    )
    return tuple(
        Attachment(
            network=name,
            address=str(end[address]),
            prefix=int(end.get(prefix) or 0),
            gateway=str(end.get(gateway) or ""),
        )
        for name in sorted(networks)
        for end in (_object(networks, name),)
        for address, prefix, gateway in families
        if end.get(address)
    )


def _sorted(ports: set[PublishedPort]) -> tuple[PublishedPort, ...]:
    return tuple(sorted(ports, key=lambda port: (port.port, port.protocol, port.address)))


def _labels(answer: Answer) -> Mapping[str, str]:
    return {str(key): str(value) for key, value in _object(answer, "Labels").items()}


def _object(answer: Answer, key: str) -> Answer:
    """The object under `key`, empty when it is null, absent or something else."""
    value = answer.get(key)
    return cast("Answer", value) if isinstance(value, Mapping) else {}


def _list(answer: Answer, key: str) -> Sequence[Any]:
    """The list under `key`, empty when it is null, absent or something else."""
    value = answer.get(key)
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()
