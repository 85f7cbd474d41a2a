"""The port to programs that a person runs in a container, with streams both ways.

Apart from `Engine`, because no converger runs one: what a person does in a container is a person's business.
The engine offers no way to end such a program; who goes away closes the streams, and most programs end by
that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from projections.engine.port import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSize:
    """Of a terminal, in characters."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Some bytes that a program wrote."""

    content: bytes
    error: bool = False  # on its standard error; at a terminal both streams are one


class RunningProgram(Protocol):
    """A program in a container. Raises OutsideError `engine-unreachable` when the engine is lost."""

    async def read(self) -> Written | None:
        """What it wrote next, None when it writes no more."""
        ...

    async def write(self, content: bytes) -> None:
        """Give it input; nothing happens when it takes none any more."""
        ...

    async def end_input(self) -> None:
        """Let it read the end of its input."""
        ...

    async def resize(self, size: WindowSize) -> None:
        """Tell it of another size of its terminal."""
        ...

    async def exit_code(self) -> int:
        """How it ended, once it writes no more. Raises OutsideError `program-runs-on` when it did not."""
        ...

    def close(self) -> None:
        """Cut the streams; the program may run on."""
        ...


class ProgramSource(Protocol):
    """An engine as far as running a person's programs needs it."""

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """As `Engine.containers`."""
        ...

    async def run_program(
        self, container_id: str, argv: Sequence[str], *, terminal: WindowSize | None = None
    ) -> RunningProgram:
        """Start a program in a running container, with a terminal of that size or none.

        Each argument arrives as it is. Raises OutsideError `engine-unreachable`, and `engine-refused` also
        when the container is gone or does not run.
        """
        ...
