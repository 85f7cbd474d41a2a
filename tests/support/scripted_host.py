"""A host whose programs are real: scripts and system programs on a PATH of the test's own, run here.

Not reached over SSH, and its files are this machine's: for what asks and changes hosts by programs alone. A
program that a test does not put on the PATH is not there, as on a bare machine.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from events.kernel.errors import OutsideError, Where
from events.kernel.process import run
from projections.transport.port import HOST_UNREACHABLE, Ran
from tests.support.unconnected import UnconnectedTransport

BASE = [
    "basename",
    "cat",
    "chmod",
    "chown",
    "cut",
    "date",
    "df",
    "dirname",
    "getent",
    "grep",
    "head",
    "id",
    "install",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "printf",
    "rm",
    "sed",
    "sh",
    "sleep",
    "stat",
    "tail",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "uname",
    "wc",
]


@dataclass(slots=True)
class Programs:
    """The folder that is the host's PATH."""

    folder: Path
    calls: Path = field(init=False)  # what the scripts of the test were called with, a line each

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.calls = self.folder.parent / f"{self.folder.name}.calls"
        self.calls.touch()
        for name in BASE:
            found = shutil.which(name)
            if found is not None:
                (self.folder / name).symlink_to(found)

    def put(self, name: str, script: str) -> None:
        """A program of the test, which writes down that it was called."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>{self.calls}\n{script}\n')
        path.chmod(0o755)

    def hide(self, name: str) -> None:
        """Take a program away."""
        (self.folder / name).unlink(missing_ok=True)

    @property
    def called(self) -> list[str]:
        """All calls of the test's programs, in order."""
        return self.calls.read_text().splitlines()


class ScriptedHost(UnconnectedTransport):
    """`Transport` whose programs run here, on a PATH of their own; it has no files and no connections."""

    def __init__(self, host: str, programs: Programs, *, silent: bool = False) -> None:
        super().__init__(host)
        self.programs = programs
        self.silent = silent  # it does not answer
        self.runs = 0
        self._machine = f"machine-of-{host}"

    async def open(self) -> None:
        """It answers, or does not."""
        if self.silent:
            raise self._gone()

    async def machine(self) -> str:
        """A name of its own."""
        await self.open()
        return self._machine

    async def run(
        self, argv: Sequence[str], *, seconds: float, stdin: bytes = b"", most: int = 1 << 20
    ) -> Ran:
        """Run a program to its end."""
        await self.open()
        self.runs += 1
        program = shutil.which(argv[0], path=str(self.programs.folder))
        if program is None:
            return Ran(code=127, stdout=b"", stderr=f"{argv[0]}: not found".encode())
        env = {"PATH": str(self.programs.folder), "HOME": os.environ.get("HOME", "/")}
        told = await run([program, *argv[1:]], stdin=stdin, env=env, deadline_seconds=seconds)
        await asyncio.sleep(0)
        return Ran(code=told.code, stdout=told.stdout[:most], stderr=told.stderr[:most])

    def _gone(self) -> OutsideError:
        return OutsideError(
            HOST_UNREACHABLE, f"{self.host} does not answer", where=Where(host=self.host), why="no route"
        )
