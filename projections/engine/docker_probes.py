"""Probes of the containers of one Docker engine: over its network, or as a program in the container.

A container is asked at its own address, on whichever of its networks answers; one in the host's network at
127.0.0.1; one in the network of another at the other's. Such addresses lead somewhere only on the engine's
own machine: behind a door the connection begins there, and at an address over TCP there is no way.

The engine offers no way to end a program that it was asked to run in a container. So one that hangs is ended
from here, or through the door, with its children, where that is allowed and the kernel says that it belongs
to that container; where not, it is not started again as long as it runs: there is never more than one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from events.kernel.errors import OutsideError
from events.manifest import CommandProbe, Probe
from projections.engine.api import Answer, DockerApi, ExecStream
from projections.engine.calls import at_most
from projections.engine.docker_connection import DockerConnection
from projections.engine.errors import ENGINE_REFUSED
from projections.engine.listening import Listening
from projections.engine.port import ProbeAnswer
from projections.engine.probe_words import KEPT_BYTES, ended, hindered, probe_impossible, too_late
from projections.transport.local_dial import from_here

_GONE = "the container is gone"
_JOINED = "container:"
_MOST_JOINED = 3  # containers in one another's networks; an engine allows one
_FRAME_HEAD_BYTES = 8
_STDERR = 2  # the first byte of a frame's head
_END_SECONDS = 1.0  # between the last word of a program and the engine's knowing of its end
_LOOK_SECONDS = 0.02
_MOST_CHILDREN = 100


class DockerProbes:
    """Asks containers of one engine."""

    def __init__(self, connection: DockerConnection) -> None:
        """The connection is somebody else's to close."""
        self._connection = connection
        self._hanging: dict[str, str] = {}  # id of a program that did not end in time, by container

    async def probe(self, container_id: str, probe: Probe, *, deadline_seconds: float) -> ProbeAnswer:
        """See `Engine.probe`."""
        if isinstance(probe, CommandProbe):
            return await self._command(container_id, probe, deadline_seconds)
        address, door = self._connection.address, self._connection.door
        if not address.local and door is None:
            raise probe_impossible(probe, address.url)
        what = f"show container {container_id}"
        found = await self._connection.find(what, lambda api: _addresses(api, container_id))
        if found is None:
            return hindered(probe, _GONE)
        from projections.engine.dialling import dial  # HTTP comes with it

        connect = from_here if door is None else door.dial
        return await dial(probe, found, deadline_seconds=deadline_seconds, connect=connect)

    async def _command(self, container_id: str, probe: CommandProbe, seconds: float) -> ProbeAnswer:
        if await self._still_hangs(container_id):
            return hindered(probe, "its last run has not ended yet")
        listening, door = Listening(), self._connection.door
        left: list[int] = []  # a program that hangs on another machine

        def run(api: DockerApi) -> ProbeAnswer:
            over_at = time.monotonic() + seconds

            def over() -> bool:
                return listening.cut_off or time.monotonic() > over_at

            made = str(api.exec_create(container_id, list(probe.command))["Id"])
            with listening:  # which closes the connection, too
                output = _output(api, made, over=over, seconds=seconds)
            state = _state_at_the_end(api, made, over=over)
            if state.get("Running"):
                self._hanging[container_id] = made
                pid = int(state.get("Pid") or 0)
                if door is None:
                    _end_family(pid, container_id)
                else:
                    left.append(pid)
                return too_late(probe, seconds)
            return ended(probe, int(state.get("ExitCode") or 0), output)

        try:
            answer = await self._connection.find(f"run a probe in {container_id}", run)
        except OutsideError as error:
            if error.code != ENGINE_REFUSED:
                raise
            return hindered(probe, error.why)
        finally:
            listening.cut()  # a caller who gave up leaves nobody waiting
        if door is not None and left and left[0] > 0:
            await door.end(left[0], container_id)
        return hindered(probe, _GONE) if answer is None else answer

    async def _still_hangs(self, container_id: str) -> bool:
        """Whether the program that did not end in time runs on; the engine forgets it with its container."""
        hanging = self._hanging.get(container_id)
        if hanging is None:
            return False
        state = await self._connection.find("show a probe", lambda api: api.exec_inspect(hanging))
        if state is not None and state.get("Running"):
            return True
        self._hanging.pop(container_id, None)
        return False


def _addresses(api: DockerApi, container_id: str) -> list[str]:
    """Where a container can be reached on the engine's machine; nothing when it is on no network."""
    joined = container_id
    for _ in range(_MOST_JOINED):
        answer = api.inspect_container(joined)
        mode = str(_part(answer, "HostConfig").get("NetworkMode") or "")
        if mode == "host":
            return ["127.0.0.1"]
        if not mode.startswith(_JOINED):
            networks = _part(_part(answer, "NetworkSettings"), "Networks")
            ends = [_part(networks, name) for name in sorted(networks)]
            keys = ("IPAddress", "GlobalIPv6Address")
            return [str(end[key]) for key in keys for end in ends if end.get(key)]
        joined = mode.removeprefix(_JOINED)
    return []


def _part(answer: Answer, key: str) -> Answer:
    value = answer.get(key)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _output(api: DockerApi, program: str, *, over: Callable[[], bool], seconds: float) -> bytes:
    """The beginning of what a program writes, read until it says no more, or nothing for `seconds`.

    What it writes as errors comes first: in which order it wrote, the engine does not tell.
    """
    import requests

    errors, rest = bytearray(), bytearray()
    try:
        with at_most(seconds):  # for each read from the connection too
            stream = _from_the_first_byte(api.exec_start(program, socket=True))
        for is_error, chunk in _written(stream):
            kept = errors if is_error else rest
            kept += chunk[: KEPT_BYTES - len(kept)]
            if over():
                break
    except (TimeoutError, requests.exceptions.Timeout):
        pass
    return bytes((errors + rest)[:KEPT_BYTES])


def _from_the_first_byte(stream: ExecStream) -> ExecStream:
    """The SDK hands out the socket; its client may have read what came with the answer's head already."""
    response: Any = getattr(stream, "_response")  # noqa: B009  # the SDK keeps it there
    return cast("ExecStream", response.raw._fp.fp)  # noqa: SLF001  # likewise


def _written(stream: ExecStream) -> Iterator[tuple[bool, bytes]]:
    """What stands in the frames of a stream, and whether it was written as an error."""
    while head := _exactly(stream, _FRAME_HEAD_BYTES):
        left = int.from_bytes(head[4:], "big")
        while left and (chunk := stream.read(min(left, KEPT_BYTES))):
            left -= len(chunk)
            yield head[0] == _STDERR, chunk


def _exactly(stream: ExecStream, count: int) -> bytes:
    """So many bytes, or nothing when the stream ends before."""
    found = b""
    while len(found) < count:
        chunk = stream.read(count - len(found))
        if not chunk:
            return b""
        found += chunk
    return found


def _state_at_the_end(api: DockerApi, program: str, *, over: Callable[[], bool]) -> Answer:
    """What the engine says of a program that has ended, or that runs on when its time is over."""
    patient_until = time.monotonic() + _END_SECONDS
    while True:
        state = api.exec_inspect(program)
        if not state.get("Running") or (over() and time.monotonic() >= patient_until):
            return state
        time.sleep(_LOOK_SECONDS)


def _end_family(pid: int, container_id: str) -> None:
    """Kill a process of a container and those that it started, as far as that is allowed."""
    for one in _family(pid, _MOST_CHILDREN) if pid > 0 else ():
        with contextlib.suppress(OSError):  # it has ended, or we may not: then it is not started again
            _end(one, container_id)


def _end(pid: int, container_id: str) -> None:
    handle = os.pidfd_open(pid)  # from here on the number cannot come to mean another process
    try:
        if container_id in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace"):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)


def _family(pid: int, most: int) -> list[int]:
    """A process and its children, to any depth."""
    found = [pid]
    for one in found:
        if len(found) < most:
            found.extend(_children(one))
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text(encoding="ascii").split())
