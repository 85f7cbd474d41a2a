"""The folder of a mirror: a bare repository on this machine, and whether it has all that is read of it.

Of a server that can leave files out only those of a looked-at commit are here. Git calls such packs
promised; it is told so for a check alone, and never fetches by itself, so a file that is not here is missing
and not a surprise for a network. What nobody may need again is still kept: nothing is ever collected.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Final

from events.kernel.process import Finished, run
from gitops.source.gitcommand import READ_SECONDS, git_failed, local_environment
from gitops.source.leftovers import sweep

FSCK_SECONDS: Final = 300.0
LISTING_SECONDS: Final = 120.0
SOURCE: Final = "source"
"""The remote that a fetch is of; its address is never written into the copy."""

PROMISED: Final = {f"remote.{SOURCE}.promisor": "true", f"remote.{SOURCE}.partialclonefilter": "blob:none"}
"""Configuration by which Git takes files that are not here for promised."""

_ALL_FILES = "stagecraft-all-files"  # a file that says: this server does not hand files over singly


class BareCopy:
    """A bare repository in `folder`, which is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def made(self) -> bool:
        """Whether it is there, by one look at the file system."""
        return (self.folder / "HEAD").is_file()

    @property
    def partial(self) -> bool:
        """Whether files of it may be missing that its commits have."""
        return any((self.folder / "objects" / "pack").glob("*.promisor"))

    @property
    def wants_all(self) -> bool:
        """Whether all files are to be fetched."""
        return (self.folder / _ALL_FILES).exists()

    async def create(self, *, wants_all: bool = False) -> None:
        """Make it; nothing changes when it is there. Raises OutsideError `git-failed`."""
        if self.made:
            return
        await asyncio.to_thread(self.folder.parent.mkdir, parents=True, exist_ok=True)
        made = await self._git(
            "init", "--quiet", "--bare", "--template=", "--", str(self.folder), inside=False
        )
        if made.code != 0:
            raise git_failed(f"no mirror can be made in {self.folder}", made.error_text)
        if wants_all:
            await asyncio.to_thread((self.folder / _ALL_FILES).touch)

    async def sweep(self) -> None:
        """Take away what a Git that was killed left here. Raises OutsideError `git-failed`."""
        try:
            await asyncio.to_thread(sweep, self.folder)
        except OSError as error:
            raise git_failed(f"the mirror in {self.folder} cannot be swept", str(error)) from error

    async def drop(self) -> None:
        """Take it away. Raises OutsideError `git-failed`."""
        aside = self.folder.with_name(f".{self.folder.name}.broken")
        try:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
            await asyncio.to_thread(self.folder.rename, aside)
        except OSError as error:
            raise git_failed(f"the mirror in {self.folder} cannot be moved", str(error)) from error
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)

    async def is_whole(self) -> bool:
        """Whether Git finds every commit and folder that the refs here have, and every file that it should.

        Of a partial one those are the files of the commits that the refs point at.
        """
        partial = await asyncio.to_thread(lambda: self.partial)
        checked = await self._git(
            "fsck",
            "--connectivity-only",
            "--no-dangling",
            settings=PROMISED if partial else {},
            deadline_seconds=FSCK_SECONDS,
        )
        if checked.code != 0 or not partial:
            return checked.code == 0
        listed = await self.missing(*await self.refs())
        return listed.code == 0 and not listed.stdout

    async def missing(self, *names: str) -> Finished:
        """The files of commits that are not here: the object ids, a line each, on standard output."""
        if not names:
            return Finished(argv=(), code=0, stdout=b"", stderr=b"")
        flags = ("--objects", "--missing=print", "--no-object-names", "--end-of-options")
        trees = [f"{name}^{{tree}}" for name in names]
        listed = await self._git("rev-list", *flags, *trees, deadline_seconds=LISTING_SECONDS)
        rows = [line[1:] for line in listed.stdout.splitlines() if line.startswith(b"?")]
        found = b"".join(row + b"\n" for row in rows)
        return Finished(argv=listed.argv, code=listed.code, stdout=found, stderr=listed.stderr)

    async def make_room(self, ref: str) -> bool:
        """Take refs away in whose place `ref` has to be: `team`, where the source has `team/web` now.

        Their commits stay. Answers whether there were any.
        """
        known = await self.refs()
        away = [one for one in known if ref.startswith(f"{one}/") or one.startswith(f"{ref}/")]
        for one in away:
            await self._git("update-ref", "-d", one)
        return bool(away)

    async def refs(self) -> list[str]:
        """The full names of its refs."""
        listed = await self._git("for-each-ref", "--format=%(refname)")
        return listed.stdout.decode(errors="replace").splitlines()

    async def _git(
        self,
        *arguments: str,
        inside: bool = True,
        settings: dict[str, str] | None = None,
        deadline_seconds: float = READ_SECONDS,
    ) -> Finished:
        """Run Git, in the repository if it is `inside`; no transport works."""
        place = [f"--git-dir={self.folder}"] if inside else []
        return await run(
            ["git", *place, *arguments],
            env={**local_environment((settings or {}).items()), "PATH": os.environ.get("PATH", os.defpath)},
            deadline_seconds=deadline_seconds,
        )
