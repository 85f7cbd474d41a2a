"""Which hosts there are, where each is and who says so: the operator's file, repositories, this machine.

A pure join of three sources. `controller.yml` wins where it lists a host, because it also says how that one
is entered. A repository's word counts as it was recorded when it was taken (`HostDeclared`), so a rollback
finds its host without Git. A name that only a Manifest has is an entry without an address: it is shown, and
nothing is reached by it. `local` is this machine and always there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from events.streams import LOCAL_HOST
from gitops.place import DEFAULT_PORT, HostPlace

if TYPE_CHECKING:
    from controller.known_hosts import KnownHost
    from gitops.config.controller import ControllerFile

Origin = Literal["local", "controller", "git", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """One host."""

    name: str
    origin: Origin  # who says where it is; none: nobody does
    address: str = ""  # empty: it is this machine, or nobody says
    port: int = DEFAULT_PORT  # this and the next three are the operator's file's own defaults
    user: str = "root"
    engine_socket: str = "/var/run/docker.sock"
    root: str = "/var/lib/stagecraft"
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]], hash=False)
    """By environment, `<project>/<name>`: what it is there; sorted."""
    allowed: tuple[str, ...] = ()  # entries of `repositories` that may deploy there, as `repositories[0]`
    also: HostPlace | None = None  # where a repository says it is, and nothing comes of that

    @property
    def place(self) -> HostPlace | None:
        """Where its SSH server is; None for this machine, and where nobody says."""
        return HostPlace(self.address, self.port) if self.address else None

    @property
    def reachable(self) -> bool:
        """Whether there is a way to it at all."""
        return self.origin != "none"

    def reached_as(self, other: HostEntry) -> bool:
        """Whether what reaches one of them reaches the other in the same way."""
        return _access(self) == _access(other)

    def as_json(self) -> dict[str, Any]:
        """The part of `hosts list --json` that is known without asking it."""
        here = self.origin == LOCAL_HOST
        return {
            "name": self.name,
            "origin": self.origin,
            "address": self.address or None,
            "port": self.port if self.address else None,
            "user": self.user if self.address else None,
            "engine_socket": None if here else self.engine_socket,
            "root": None if here else self.root,
            "roles": {title: list(roles) for title, roles in sorted(self.roles.items())},
            "allowed": list(self.allowed),
            "git_says": None if self.also is None else str(self.also),
        }


def _access(entry: HostEntry) -> tuple[object, ...]:
    return (entry.origin == LOCAL_HOST, entry.place, entry.user, entry.engine_socket, entry.root)


Roles = Mapping[str, Mapping[str, Collection[str]]]
"""By host and environment, the roles that Manifests give to the host."""


def host_registry(
    file: ControllerFile, known: Mapping[str, KnownHost], *, roles: Roles | None = None
) -> dict[str, HostEntry]:
    """All hosts by name, `local` first and the others sorted."""
    placed = roles or {}
    named = {*file.network.static.hosts, *(name for name, one in known.items() if one.place), *placed}
    names = [LOCAL_HOST, *sorted(named - {LOCAL_HOST})]
    return {name: _entry(name, file, known.get(name), placed.get(name, {})) for name in names}


class HostRegistry:
    """The hosts as they are known at each moment, joined anew only when somebody said something."""

    def __init__(
        self, file: Callable[[], ControllerFile], known: Callable[[], Mapping[str, KnownHost]]
    ) -> None:
        """`file` is asked when a host is; `known` answers the same object until somebody says something."""
        self._file = file
        self._known = known
        self._joined: tuple[Mapping[str, KnownHost], dict[str, HostEntry]] | None = None

    def __call__(self) -> Mapping[str, HostEntry]:
        """All hosts by name. Raises what reading the operator's file raises."""
        known = self._known()
        joined = self._joined
        if joined is None or joined[0] is not known:
            self._joined = joined = (known, host_registry(self._file(), known))
        return joined[1]


def _entry(
    name: str, file: ControllerFile, known: KnownHost | None, roles: Mapping[str, Collection[str]]
) -> HostEntry:
    allowed = tuple(
        f"repositories[{position}]"
        for position, one in enumerate(file.repositories)
        if any(fnmatchcase(name, glob) for glob in one.hosts)
    )
    placed = {title: tuple(sorted(names)) for title, names in sorted(roles.items())}
    if name == LOCAL_HOST:
        return HostEntry(name=name, origin="local", roles=placed, allowed=allowed)
    declared = None if known is None else known.place
    listed = file.network.static.hosts.get(name)
    if listed is not None:
        own = HostPlace(listed.address, listed.port)
        return HostEntry(
            name=name,
            origin="controller",
            address=listed.address,
            port=listed.port,
            user=listed.user,
            engine_socket=listed.engine_socket,
            root=listed.root,
            roles=placed,
            allowed=allowed,
            also=None if declared == own else declared,
        )
    if declared is None:
        return HostEntry(name=name, origin="none", roles=placed, allowed=allowed)
    return HostEntry(
        name=name,
        origin="git",
        address=declared.address,
        port=declared.port,
        roles=placed,
        allowed=allowed,
    )
