"""The way to an engine on another machine, as far as whoever speaks with it needs one.

An engine there is spoken with at a socket here, and what that socket cannot tell is asked of the door:
whether the machine answers at all, which machine it is, and connections that begin there, because addresses
of its containers lead somewhere only from there. The room declares what it needs; `projections.transport` has
it.
"""

from __future__ import annotations

from typing import Protocol

from events.kernel.errors import OutsideError
from projections.transport.port import HostConnection


class EngineDoor(Protocol):
    """One way to one engine; it may be opened again after it was closed by somebody else."""

    @property
    def url(self) -> str:
        """Where Docker's tools find the engine, always the same: `unix://…`."""
        ...

    @property
    def trouble(self) -> str:
        """Why the last connection to the engine was not made although its machine answers; else empty."""
        ...

    async def open(self) -> int:
        """Make sure that the machine answers; cheap when it is open.

        Answers a number that grows when connections to the machine were lost: as long as it stays, a
        connection to the engine that was closed was closed by the engine. Raises OutsideError with a code in
        `projections.transport.port.HOST_SILENT`.
        """
        ...

    def broken(self) -> OutsideError:
        """The error for a call during which a connection to the machine was lost."""
        ...

    async def machine(self) -> str:
        """The id of the machine; empty when it has none. Raises OutsideError as `open`, and OSError."""
        ...

    async def end(self, pid: int, container_id: str) -> None:
        """Kill a process of that container and those that it started, as far as that is allowed there.

        `pid` is the machine's own number for it. Raises OutsideError as `open`.
        """
        ...

    async def dial(self, address: str, port: int, *, seconds: float) -> HostConnection:
        """A TCP connection that begins there. Raises OSError, TimeoutError, and OutsideError as `open`."""
        ...
