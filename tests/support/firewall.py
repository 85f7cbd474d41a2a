"""What a Docker engine leaves in the kernel's network after it stopped, and how to take it back.

An engine adds its chains and rules to iptables, sets the policy of FORWARD, turns on IP forwarding and
makes the bridge `docker0`, and leaves all of that behind. `NetworkState.remember()` notes how things were,
`restore()` undoes the difference rule by rule. Loading the noted rules as a whole would be shorter, but it
would also throw away what others changed in the meantime.
"""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FORWARDING = (Path("/proc/sys/net/ipv4/ip_forward"), Path("/proc/sys/net/ipv6/conf/all/forwarding"))
_FIREWALLS = ("iptables", "ip6tables")
_BRIDGE = "docker0"


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The parts of the kernel's network that an engine changes, at one moment."""

    rules: dict[str, tuple[str, ...]]  # by program: the lines of its `-save`, without comments and counters
    forwarding: dict[Path, str]
    bridge: bool

    @classmethod
    def remember(cls) -> NetworkState:
        """The state now."""
        return cls(
            rules={program: _rules(program) for program in _FIREWALLS},
            forwarding={path: path.read_text() for path in _FORWARDING if path.exists()},
            bridge=_has_bridge(),
        )

    def restore(self) -> None:
        """Undo what came on top of this state since."""
        for program, before in self.rules.items():
            for arguments in undo(before, _rules(program)):
                subprocess.run([program, "--wait", *arguments], check=True, capture_output=True)
        if not self.bridge and _has_bridge():
            subprocess.run(["ip", "link", "delete", _BRIDGE], check=True, capture_output=True)
        for path, value in self.forwarding.items():
            if path.read_text() != value:
                path.write_text(value)


def _has_bridge() -> bool:
    """Asked of the kernel: /sys may show another network namespace than the one this process is in."""
    return any(name == _BRIDGE for _, name in socket.if_nameindex())


def _rules(program: str) -> tuple[str, ...]:
    """Lines such as `*nat`, `:DOCKER -` and `-A FORWARD -o docker0 -j DOCKER`; none without the program."""
    if shutil.which(f"{program}-save") is None:
        return ()
    saved = subprocess.run([f"{program}-save"], check=False, capture_output=True, text=True)
    lines = (line.partition(" [")[0].strip() for line in saved.stdout.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def undo(before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[list[str]]:
    """The arguments that turn `after` back into `before`: rules first, then chains, which must be empty."""
    known = set(_located(before))
    added = [entry for entry in _located(after) if entry not in known]
    for table, line in added:
        if line.startswith("-A "):
            yield ["--table", table, "--delete", *shlex.split(line)[1:]]
    for table, line in added:
        if line.startswith(":"):
            chain, policy = line[1:].split()
            yield ["--table", table, *_chain_as_it_was(chain, policy, table, before)]


def _chain_as_it_was(chain: str, policy: str, table: str, before: tuple[str, ...]) -> list[str]:
    """A chain of our own making goes; a built-in one gets its former policy (ACCEPT is the kernel's)."""
    if policy == "-":
        return ["--delete-chain", chain]
    policies = dict(line[1:].split() for where, line in _located(before) if where == table and line[0] == ":")
    return ["--policy", chain, policies.get(chain, "ACCEPT")]


def _located(lines: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each line with the table it stands in."""
    table = ""
    for line in lines:
        if line.startswith("*"):
            table = line[1:]
        elif line != "COMMIT":
            yield table, line
