"""A ref of a Git repository that seals are kept on: each one a commit on top of the one before.

The commit has one file, `seals.jsonl`, with every seal so far. It is made on a bare repository of ours from
the tip that the server has now and pushed without force, so a ref that somebody moved back, or a seal that
somebody took out, is seen by whoever has an older copy. Nothing of a work tree is touched and no hook of ours
runs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from events.kernel.errors import OutsideError, error_code
from events.kernel.process import Finished, run
from gitops.source.bare import BareCopy
from gitops.source.exchange import Exchange
from gitops.source.gitcommand import READ_SECONDS, git_failed, local_environment

if TYPE_CHECKING:
    from pathlib import Path

    from gitops.source.address import Address

SEAL_REF_NOT_PUSHED = error_code(
    "seal-ref-not-pushed", "A repository did not take a seal; it is tried again."
)

FILE: Final = "seals.jsonl"
_TIP: Final = "refs/stagecraft/tip"
_NOBODY: Final = "stagecraft", "stagecraft@localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealRef:
    """One ref of one repository; whoever calls sees to it that nobody else does meanwhile."""

    address: Address
    ref: str
    folder: Path  # the bare repository of ours, made when it is missing

    async def add(self, line: bytes, *, words: str) -> bool:
        """Put a line at the end of the file and push; False when it is the last line there already.

        Raises OutsideError `git-unreachable`, `git-failed` or `seal-ref-not-pushed`.
        """
        await BareCopy(self.folder).create()
        tip = await self._tip()
        known = b"" if tip is None else await self._read("cat-file", "blob", f"{tip}:{FILE}", may_fail=True)
        if known.endswith(line):
            return False
        blob = (await self._read("hash-object", "-w", "--stdin", stdin=known + line)).decode().strip()
        entry = f"100644 blob {blob}\t{FILE}\n".encode()
        tree = (await self._read("mktree", stdin=entry)).decode().strip()
        parents = [] if tip is None else ["-p", tip]
        commit = (await self._read("commit-tree", tree, *parents, "-m", words)).decode().strip()
        pushed = await self._exchange.fetch(
            [
                *self._here,
                "push",
                "--porcelain",
                "--no-verify",
                "--",
                self.address.url,
                f"{commit}:{self.ref}",
            ]
        )
        if pushed.code != 0:
            raise OutsideError(
                SEAL_REF_NOT_PUSHED,
                f"{self._exchange.shown} did not take {self.ref}",
                why=pushed.error_text or pushed.stdout.decode(errors="replace"),
                next=f"git ls-remote {self._exchange.shown} {self.ref}",
            )
        return True

    async def _tip(self) -> str | None:
        """What the ref is at the server now, brought here; None when it is not there."""
        answer = await self._exchange.ask(["ls-remote", "--refs", "--", self.address.url, self.ref])
        if answer.code != 0:
            raise self._exchange.failed(answer)
        found = answer.stdout.decode(errors="replace").split()
        if not found:
            return None
        brought = await self._exchange.fetch(
            [
                *self._here,
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--",
                self.address.url,
                f"+{self.ref}:{_TIP}",
            ]
        )
        if brought.code != 0:
            raise self._exchange.failed(brought)
        return (await self._read("rev-parse", "--verify", f"{_TIP}^{{commit}}")).decode().strip()

    async def _read(self, *arguments: str, stdin: bytes | None = None, may_fail: bool = False) -> bytes:
        ended: Finished = await run(
            ["git", *self._here, *arguments],
            env={**local_environment(_IDENTITY), "PATH": os.environ.get("PATH", os.defpath)},
            stdin=stdin,
            deadline_seconds=READ_SECONDS,
        )
        if ended.code != 0 and not may_fail:
            raise git_failed(f"no seal can be written in {self.folder}", ended.error_text)
        return ended.stdout if ended.code == 0 else b""

    @property
    def _here(self) -> list[str]:
        return [f"--git-dir={self.folder}"]

    @property
    def _exchange(self) -> Exchange:
        return Exchange(address=self.address)


_IDENTITY = (("user.name", _NOBODY[0]), ("user.email", _NOBODY[1]))
