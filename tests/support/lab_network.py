"""The wires of a lab: one bridge with a port for each host and one for whoever started the lab.

The bridge is in a network namespace of its own: where it was in the machine's, the rules of the machine's
engine cut host from host. No namespace has a name and nothing is written to /run/netns: each lives as long as
its first process, and the wires go with their ends, so that nothing is left whatever ends the lab. The first
process of the bridge ends when its standard input does, so also when whoever started it is killed.

A slow wire is one that a program relays frame by frame (tests/support/lab_relay.py). The kernel's own delay
(netem) was dropped, because it is not built into every kernel.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import select
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from uuid import uuid4

from tests.support.lab_machine import PATH, CommandFailedError, run

_PROJECT = Path(__file__).parents[2]
_RUN = Path("/run")
_RANGE = IPv4Network("10.93.0.0/16")
_FIRST_HOST = 10  # the last number of the first host's address, after the network's own and ours
_READY_SECONDS = 30.0
_END_SECONDS = 30.0
_SWITCH = """
set -e
ip link set lo up
ip link add hub type bridge
ip link set hub up
echo ready
while read -r _; do :; done
"""


def _no_relays() -> dict[str, subprocess.Popen[bytes] | None]:
    """None stands for a relay that could not be started."""
    return {}


@dataclass(slots=True, kw_only=True)
class LabNetwork:
    """A bridge and its wires."""

    subnet: IPv4Network
    switch: subprocess.Popen[bytes]  # whose network namespace has the bridge
    relays: dict[str, subprocess.Popen[bytes] | None] = field(default_factory=_no_relays)

    @property
    def gateway(self) -> IPv4Address:
        """Our own address in it."""
        return self.subnet[1]

    def address(self, number: int) -> IPv4Address:
        """The address of a host, counted from 0."""
        return self.subnet[_FIRST_HOST + number]

    def plug(self, name: str, address: IPv4Address, *, pid: int) -> None:
        """Give the network namespace of a process a wire and an address."""
        run(
            *("ip", "link", "add", "eth0", "netns", str(pid), "type", "veth"),
            *("peer", "name", name, "netns", str(self.switch.pid)),
        )
        self._on_switch("ip", "link", "set", name, "master", "hub", "up")
        inside = ("nsenter", f"--net=/proc/{pid}/ns/net", "--")
        run(*inside, "ip", "address", "add", f"{address}/{self.subnet.prefixlen}", "dev", "eth0")
        run(*inside, "ip", "link", "set", "eth0", "up")

    def cut(self, name: str) -> None:
        """Pull the wire: what is sent gets lost, and nobody is told."""
        self._on_switch("ip", "link", "set", name, "down")

    def heal(self, name: str) -> None:
        """Plug it in again, as fast as it was made."""
        self.hasten(name)
        self._on_switch("ip", "link", "set", name, "up")

    def slow(self, name: str, *, milliseconds: float) -> None:
        """Let each frame be so long under way, in each direction."""
        self.hasten(name)
        late, port = f"{name}-late", f"{name}-port"
        self._on_switch("ip", "link", "set", name, "nomaster")
        self._on_switch("ip", "link", "add", late, "type", "veth", "peer", "name", port)
        self._on_switch("ip", "link", "set", late, "up")
        self._on_switch("ip", "link", "set", port, "master", "hub", "up")
        self.relays[name] = None
        relay = [sys.executable, "-m", "tests.support.lab_relay", name, late, str(milliseconds)]
        self.relays[name] = first_process([*self._inside(), *relay])

    def hasten(self, name: str) -> None:
        """Take the delay away again, if there is one."""
        if name not in self.relays:
            return
        relay = self.relays.pop(name)
        if relay is not None:
            end(relay)
        self._on_switch("ip", "link", "delete", f"{name}-late")
        self._on_switch("ip", "link", "set", name, "master", "hub")

    def end_relays(self) -> None:
        """Stop all programs that carry frames."""
        for relay in self.relays.values():
            if relay is not None:
                end(relay)

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self.switch.pid}/ns/net", "--")

    def _on_switch(self, *command: str) -> None:
        run(*self._inside(), *command)


@contextmanager
def lab_network() -> Generator[LabNetwork]:
    """A network that nobody else on this machine has, with one wire to the caller's namespace."""
    name = f"lab-{uuid4().hex[:8]}"
    switch = first_process(["unshare", "--net", "--", "bash", "-c", _SWITCH])
    network: LabNetwork | None = None
    try:
        with _choice():
            network = LabNetwork(subnet=_free_subnet(), switch=switch)
            run("ip", "link", "add", name, "type", "veth", "peer", "name", "ours", "netns", str(switch.pid))
            run("ip", "address", "add", f"{network.gateway}/{network.subnet.prefixlen}", "dev", name)
        inside = ("nsenter", f"--net=/proc/{switch.pid}/ns/net", "--")
        run(*inside, "ip", "link", "set", "ours", "master", "hub", "up")
        run("ip", "link", "set", name, "up")
        yield network
    finally:
        if network is not None:
            network.end_relays()
        with contextlib.suppress(
            CommandFailedError
        ):  # the kernel takes its time over what `end` leaves to it
            run("ip", "link", "delete", name)
        end(switch)


def first_process(command: list[str]) -> subprocess.Popen[bytes]:
    """A process that lives until its standard input ends, or we do, and has said that it is ready.

    Raises CommandFailedError with its last words.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=_PROJECT,
        env={"PATH": PATH},
        start_new_session=True,  # Ctrl-C ends the tests first, and they end this
    )
    try:
        _wait_until_ready(process)
    except BaseException:
        end(process)
        raise
    return process


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    said = b""
    while b"ready\n" not in said:
        heard = select.select([process.stdout], [], [], _READY_SECONDS)[0]
        part = os.read(process.stdout.fileno(), 4096) if heard else b""
        if not part:
            why = "it ended" if heard else f"not ready in {_READY_SECONDS:g} s"
            raise CommandFailedError(f"{process.args!r}: {why}: {said.decode(errors='replace')}")
        said += part


def end(process: subprocess.Popen[bytes]) -> None:
    """End a first process, and with it all that is in its namespaces; a second call does nothing."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def _choice() -> Generator[None]:
    """Held while a subnet is chosen, so that two labs do not choose the same; the lock leaves no file."""
    folder = os.open(_RUN, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _free_subnet() -> IPv4Network:
    """A small network that no route and no address of this namespace touches."""
    words = ("ip", "-4", "-json", "route", "show", "table", "all")
    taken = {route["dst"] for route in json.loads(run(*words) or "[]")}
    known = [IPv4Network(one) for one in taken - {"default"}]
    candidates = list(_RANGE.subnets(new_prefix=24))
    random.shuffle(candidates)
    for candidate in candidates:
        if not any(candidate.overlaps(one) for one in known):
            return candidate
    raise CommandFailedError(f"no free network is left in {_RANGE}")
