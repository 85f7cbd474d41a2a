"""Where seals go: a file, a ref of a repository, a command. Each takes a seal once, however often it is told.

A place may be slow, full or gone. Each delivery has a deadline; a failure is an error in the words of the
place and nothing more: `sealing.py` says it and tries again. A folder that is missing is not made, because it
is most likely a disk that is not mounted, and a seal under the empty mount point would never have left the
machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from events.kernel.errors import OutsideError, error_code
from events.kernel.process import run
from events.seals import Seal
from gitops.config.seals import SealPlaceSection
from gitops.source.address import anchored, parse_address
from gitops.source.seal_ref import SealRef

SEAL_NOT_DELIVERED = error_code(
    "seal-not-delivered", "A seal could not be brought to a place; it is tried again."
)

_GIVEN = ("PATH", "HOME", "LANG", "TMPDIR")  # what a command may see of our variables
_TAIL_BYTES = 64 * 1024  # of a file of seals; a line has some 500


class SealPlace(Protocol):
    """Somewhere off this machine."""

    @property
    def name(self) -> str:
        """The place in a few words, without credentials."""
        ...

    async def deliver(self, seal: Seal) -> None:
        """Bring a seal there, unless it is the newest one there already. Raises StagecraftError."""
        ...


@dataclass(frozen=True, slots=True)
class SealFile:
    """A file that grows by a line for each seal."""

    path: Path
    name: str

    async def deliver(self, seal: Seal) -> None:
        """Append the seal, durably. Raises OutsideError `seal-not-delivered`."""
        try:
            await asyncio.to_thread(self._append, seal.line())
        except OSError as error:
            raise _not_delivered(self.name, str(error), next_step=f"ls -ld {self.path.parent}") from error

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read(_TAIL_BYTES) or b""
            if tail.endswith(line):
                return
            torn = b"\n" if tail and not tail.endswith(b"\n") else b""
            file.write(torn + line)
            os.fsync(descriptor)


@dataclass(frozen=True, slots=True)
class SealCommand:
    """A program that is given the seal's JSON and takes it where it wants."""

    argv: Sequence[str]
    name: str
    seconds: float

    async def deliver(self, seal: Seal) -> None:
        """Run the program. Raises OutsideError `seal-not-delivered`, `process-not-started` or -timed-out."""
        ended = await run(
            self.argv,
            env={name: os.environ[name] for name in _GIVEN if name in os.environ},
            stdin=seal.line(),
            deadline_seconds=self.seconds,
            grace_seconds=1.0,
            kept_bytes=_TAIL_BYTES,
        )
        if ended.code != 0:
            why = f"it ended with {ended.code}: {ended.error_text}"
            raise _not_delivered(self.name, why, next_step=f"run {self.argv[0]} by hand")


@dataclass(frozen=True, slots=True)
class SealBranch:
    """A ref of a repository."""

    ref: SealRef
    name: str

    async def deliver(self, seal: Seal) -> None:
        """Commit and push the seal. Raises OutsideError."""
        await self.ref.add(seal.line(), words=f"Seal the log up to event {seal.position}\n\n{seal.hash}")


def seal_places(
    sections: Sequence[SealPlaceSection], *, folder: Path, scratch: Path, seconds: float
) -> tuple[SealPlace, ...]:
    """The places that the operator named; relative paths start in `folder`, mirrors go below `scratch`.

    Raises UserError `repository-url-refused`.
    """
    return tuple(_place(one, folder=folder, scratch=scratch, seconds=seconds) for one in sections)


def _place(section: SealPlaceSection, *, folder: Path, scratch: Path, seconds: float) -> SealPlace:
    if section.file is not None:
        return SealFile(folder / section.file, name=str(section))
    if section.command is not None:
        return SealCommand(tuple(section.command), name=str(section), seconds=seconds)
    url, ref = section.url or "", section.ref or ""
    address = parse_address(anchored(url, folder))
    key = hashlib.sha256(f"{address.identity} {ref}".encode()).hexdigest()[:16]
    copy = SealRef(address=address, ref=ref, folder=scratch / f"seals-{key}.git")
    return SealBranch(copy, name=str(section))


def _not_delivered(name: str, why: str, *, next_step: str) -> OutsideError:
    return OutsideError(SEAL_NOT_DELIVERED, f"a seal did not reach the {name}", why=why, next=next_step)
