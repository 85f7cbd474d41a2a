"""One program after the other on this machine, each of a host, its lines behind the host's name."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING

from cli.shown_lines import ShownLines
from controller.ssh_program import PROGRAM
from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_NOT_STARTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.console import Console

BY_SIGNAL = 128  # as shells report a process that ended by a signal
_CHUNK_BYTES = 32 * 1024


async def run_in_turn(console: Console, calls: Mapping[str, Sequence[str]]) -> int:
    """Run the call of each host, without input; answers the first exit code that is not 0.

    Raises OutsideError `process-not-started`.
    """
    width, first = max(map(len, calls)), 0
    for host, argv in calls.items():
        code = await _prefixed(console, f"{host.ljust(width)} | ", argv)
        if code:
            console.warning(f"{host}: exit code {code}")
        first = first or code
    return first


async def _prefixed(console: Console, prefix: str, argv: Sequence[str]) -> int:
    lines = ShownLines(console, prefix)
    try:
        child = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise not_started(argv[0], error) from error

    async def show(stream: asyncio.StreamReader | None, *, error: bool) -> None:
        while stream is not None and (content := await stream.read(_CHUNK_BYTES)):
            lines.take(content, error=error)

    try:
        await asyncio.gather(show(child.stdout, error=False), show(child.stderr, error=True))
        code = await child.wait()
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()
    lines.end()
    return code if code >= 0 else BY_SIGNAL - code


def not_started(program: str, error: OSError) -> OutsideError:
    """The error for a program that this machine cannot start."""
    missing = program == PROGRAM
    return OutsideError(
        PROCESS_NOT_STARTED,
        f"{program} cannot be started on this machine",
        why=error.strerror or str(error),
        next="install it (Debian: openssh-client)" if missing else "",
    )
