"""How a service of a Manifest is replaced: beside what runs, or in its place; pure.

Start-first is the rule: the new containers run beside the old ones and have to pass their gate before the
old ones are stopped, so nobody waits. Some things two containers of a service cannot both have: a fixed port
of the host, a name, an address, the container whose namespace others live in. Then the old one has to stop
first, whatever anybody asks for. Other things two could have and perhaps must not, above all a volume that
both write: then it is stop-first unless the project says `start-first` for that service by name.

An anonymous volume counts as one of those: Compose hands it on when a container is replaced in its place,
and a container beside it begins with an empty one. What an image itself declares is not in a definition; who
sees the containers looks for it there.

It stands beside the Manifest because both sides of it ask: configuration refuses a word that cannot be kept,
and convergers act by it. Recording the decision in the Manifest was dropped: it follows from the definition,
and only the project's word is not in there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Strategy = Literal["start-first", "stop-first"]

ASKED_FOR = "the project asks for stop-first"
_SHARED_NAMESPACES = ("network_mode", "ipc", "pid")
_SOCKET = ".sock"  # what is asked through it has its own ways to serve many
_FIXED_ADDRESSES = ("ipv4_address", "ipv6_address", "mac_address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How one service is replaced."""

    strategy: Strategy
    because: tuple[str, ...] = ()  # of stop-first: each reason in a few words, in a fixed order


def rollout_of(name: str, definitions: Mapping[str, Mapping[str, Any]], *, asked: Strategy | None) -> Rollout:
    """How `name` is replaced, of the services `definitions` of one host; `asked` is the project's word."""
    forced = (*forbidden(definitions[name]), *shared_by(name, definitions))
    if asked == "stop-first":
        return Rollout(strategy="stop-first", because=(*forced, *doubtful(definitions[name]), ASKED_FOR))
    causes = (*forced, *(() if asked == "start-first" else doubtful(definitions[name])))
    return Rollout(strategy="stop-first" if causes else "start-first", because=causes)


def forbidden(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """What two containers of this definition cannot both have."""
    return tuple(_forbidden(definition))


def _forbidden(definition: Mapping[str, Any]) -> Iterable[str]:
    for port in definition.get("ports") or ():
        if port.get("published"):
            yield f"fixed host port {port['published']}/{port.get('protocol') or 'tcp'}"
    if definition.get("network_mode") == "host":
        yield "network of the host"
    if name := definition.get("container_name"):
        yield f"container_name {name}"
    yield from _addresses(definition)
    for provider in lives_in(definition):
        yield f"lives in the container of {provider}"
    deploy: Mapping[str, Any] = definition.get("deploy") or {}
    if deploy.get("mode") == "global":
        yield "deploy mode global, of which Compose makes one"
    if definition.get("pre_stop"):
        yield "pre_stop hooks, which only Compose runs"


def _addresses(definition: Mapping[str, Any]) -> Iterable[str]:
    """Addresses that the definition asks for by number."""
    if definition.get("mac_address"):
        yield f"mac_address {definition['mac_address']}"
    networks: object = definition.get("networks")
    if not isinstance(networks, Mapping):
        return
    for network, options in cast("Mapping[str, Mapping[str, Any] | None]", networks).items():
        for key in _FIXED_ADDRESSES:
            if address := (options or {}).get(key):
                yield f"{key} {address} on the network {network}"


def lives_in(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The services and containers whose namespaces or volumes a container of this definition takes."""
    modes = (str(definition.get(key) or "") for key in _SHARED_NAMESPACES)
    found = {mode.partition(":")[2] for mode in modes if mode.startswith(("service:", "container:"))}
    sources = (str(source) for source in definition.get("volumes_from") or ())
    found |= {source.removeprefix("container:").partition(":")[0] for source in sources}
    return tuple(sorted(found))


def shared_by(name: str, definitions: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The services that live in a container of `name`, each as a reason."""
    return tuple(
        f"{other} lives in its container"
        for other, definition in sorted(definitions.items())
        if other != name and name in lives_in(definition)
    )


def doubtful(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """What two containers of this definition could both have, and only the project knows whether they may."""
    return tuple(_doubtful(definition))


def _doubtful(definition: Mapping[str, Any]) -> Iterable[str]:
    for mount in definition.get("volumes") or ():
        if mount.get("read_only"):
            continue
        if mount.get("type") == "volume" and mount.get("source"):
            yield f"volume {mount['source']} with one writer"
        elif mount.get("type") == "volume":
            yield f"anonymous volume at {mount.get('target')}, which a new container does not get"
        elif mount.get("type") == "bind" and not str(mount.get("source")).endswith(_SOCKET):
            yield f"path of the host at {mount.get('target')} with one writer"
    if definition.get("devices") or definition.get("gpus"):
        yield "devices of the host with one user"
