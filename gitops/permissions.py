"""What a repository may ask for only where the operator's `controller.yml` allows it.

A document that asks for more than an ordinary container gets renders as Compose renders it: the plan shows
it and the Manifest records it. It is refused when it is to be deployed, so that a repository can never
give itself rights on a host. The words are the ones that `policy.<project>.allow` takes, each alone or with
one value: `capabilities` or `capabilities:NET_ADMIN`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """One thing that has to be allowed; a released word never changes its meaning."""

    PRIVILEGED = "privileged"
    CAPABILITIES = "capabilities"
    DEVICES = "devices"
    UNCONFINED = "unconfined"
    ENGINE_SOCKET = "engine-socket"
    HOST_ROOT = "host-root"
    SYSTEM_PATH = "system-path"
    HOST_NETWORK = "host-network"
    HOST_PID = "host-pid"
    HOST_IPC = "host-ipc"
    HOST_UTS = "host-uts"
    HOST_USERNS = "host-userns"
    HOST_CGROUP = "host-cgroup"
    FOREIGN_CONTAINERS = "foreign-containers"
    UNSET_VARIABLES = "unset-variables"


MEANINGS: dict[Permission, str] = {
    Permission.PRIVILEGED: "`privileged`, also of a hook",
    Permission.CAPABILITIES: "`cap_add` of what the engine does not give by itself; value: the capability",
    Permission.DEVICES: "`devices`, `device_cgroup_rules`; value: the path on the host",
    Permission.UNCONFINED: "`security_opt` that lifts seccomp, AppArmor or SELinux; value: the option",
    Permission.ENGINE_SOCKET: "a mount of the engine's socket or of a folder that holds it",
    Permission.HOST_ROOT: "a mount of `/`, or of a file system of the service's own choice",
    Permission.SYSTEM_PATH: "a mount of the system's or Stagecraft's folders; value: the path or one above",
    Permission.HOST_NETWORK: "`network_mode: host`",
    Permission.HOST_PID: "`pid: host`",
    Permission.HOST_IPC: "`ipc: host`",
    Permission.HOST_UTS: "`uts: host`",
    Permission.HOST_USERNS: "`userns_mode: host`",
    Permission.HOST_CGROUP: "`cgroup: host`, `cgroup_parent`",
    Permission.FOREIGN_CONTAINERS: "namespaces, volumes or links of a container by its name; value: the name",
    Permission.UNSET_VARIABLES: "a variable that nothing sets and that renders blank; value: its name",
}
"""What each word covers, for the reference."""

_BY_PATH = frozenset({Permission.SYSTEM_PATH, Permission.DEVICES})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Need:
    """One place that needs a permission."""

    permission: Permission
    value: str = ""  # what the permission may be narrowed to
    service: str = ""  # empty: of no single service
    key: str  # dotted
    message: str  # what it would be given

    @property
    def narrow(self) -> str:
        """The narrowest word that allows it: `capabilities:NET_ADMIN`."""
        return f"{self.permission}:{self.value}" if self.value else str(self.permission)

    def met_by(self, allowed: Collection[str]) -> bool:
        """Whether one of `allowed` covers it."""
        return any(self._covered(one) for one in allowed)

    def _covered(self, text: str) -> bool:
        word, _, value = text.partition(":")
        if word != self.permission:
            return False
        if not value or value == self.value:
            return True
        return self.permission in _BY_PATH and self.value.startswith(f"{value.rstrip('/')}/")


def unmet(needs: Iterable[Need], allowed: Collection[str]) -> tuple[Need, ...]:
    """The needs that nothing in `allowed` covers, sorted."""
    return tuple(sorted(need for need in needs if not need.met_by(allowed)))


def checked_allowance(text: str) -> str:
    """`text`, when it is a permission with or without a value. Raises ValueError."""
    word, separator, value = text.partition(":")
    if word not in set(Permission) or (separator and not value):
        known = ", ".join(sorted(Permission))
        raise ValueError(f"unknown permission {text!r} (allowed: {known}; each alone or as NAME:VALUE)")
    return text
