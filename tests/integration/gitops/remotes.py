"""A project and a second repository that its Compose files name, served by a real Git server over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from events.kernel.errors import StagecraftError
from gitops.manifest import Draft, draft
from gitops.remotes import RemoteRef, parse_prefix
from gitops.source.pinned import PinnedRemotes
from tests.integration.gitops.githost import GitHost, serving
from tests.support.repos import Repository
from tests.unit.gitops.trees import SMALLEST, tree_of

Files = Mapping[str, str | bytes]
Changes = Mapping[str, str | bytes | None]


@dataclass(kw_only=True)
class Shelf:
    """Everything that a render with other repositories needs."""

    folder: Path
    host: GitHost
    port: int
    allowed: tuple[str, ...] = ()
    deadline_seconds: float = 60.0
    max_bytes: int = 64 * 1024 * 1024
    _made: dict[str, Repository] = field(default_factory=dict[str, Repository])

    @property
    def url(self) -> str:
        """The library's address."""
        return self.address("lib")

    def address(self, name: str) -> str:
        """The address of a repository of this server."""
        return f"http://127.0.0.1:{self.port}/{name}/origin.git"

    def library(self, files: Changes, name: str = "lib") -> str:
        """Commit `files` to a repository of the server; answers the commit."""
        if name not in self._made:
            self._made[name] = Repository.create(self.host.root / name)
        return self._made[name].commit(files)

    def repository(self, name: str = "lib") -> Repository:
        """One that `library` made."""
        return self._made[name]

    def remotes(self) -> PinnedRemotes:
        """What brings the library's files."""
        prefixes = self.allowed or (f"http://127.0.0.1:{self.port}/",)
        return PinnedRemotes(
            self.folder / "mirrors",
            [parse_prefix(prefix) for prefix in prefixes],
            deadline_seconds=self.deadline_seconds,
            max_bytes=self.max_bytes,
        )

    def remotes_for(self, ref: RemoteRef) -> PinnedRemotes:
        """What brings one commit, wherever it is."""
        return PinnedRemotes(self.folder / "mirrors", [ref.server])

    def drafted(self, files: Files) -> Draft:
        """The Draft of the smallest project with `files` over it."""
        tree = tree_of(self.folder / "project", {**SMALLEST, **files})
        with self.remotes() as remotes:
            return asyncio.run(draft(tree, environment="prod", version="v1", remotes=remotes))

    def refused(self, files: Files) -> StagecraftError:
        """The error that the render ends with."""
        with pytest.raises(StagecraftError) as caught:
            self.drafted(files)
        return caught.value


@contextmanager
def shelf(folder: Path) -> Generator[Shelf]:
    """A server with a shelf of repositories, for the time of the block."""
    root = folder / "served"
    root.mkdir(parents=True)
    host = GitHost(root=root)
    with serving(host) as port:
        yield Shelf(folder=folder, host=host, port=port)
