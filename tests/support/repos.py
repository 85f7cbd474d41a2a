"""Real Git repositories: a bare `origin` and a working clone, driven by the git program as a developer would.

The product reads with GitPython; the tests write with git itself, so that a wrong idea of Git on one side
does not hide behind the same wrong idea on the other.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GIT_SECONDS = 30


def git(*arguments: str, cwd: Path) -> str:
    """Run git and return what it printed, stripped. Raises AssertionError with its words when it fails."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        timeout=GIT_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Repository:
    """A working clone of a bare origin, on branch `main`."""

    origin: Path  # bare; what a controller watches
    work: Path

    @classmethod
    def create(cls, folder: Path) -> Repository:
        """A new, empty pair under `folder`."""
        origin, work = folder / "origin.git", folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        git("init", "--quiet", "--bare", "--initial-branch=main", str(origin), cwd=folder)
        git("clone", "--quiet", str(origin), str(work), cwd=folder)
        return cls(origin=origin, work=work)

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Write files of the work tree; `None` removes one. Nothing is committed."""
        for path, content in files.items():
            target = self.work / path
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(
        self, files: Mapping[str, str | bytes | None], message: str = "change", *, push: bool = True
    ) -> str:
        """Write `files` as `write` does, commit them (an empty change too), push, and return the sha."""
        self.write(files)
        git("add", "--all", cwd=self.work)
        git("commit", "--quiet", "--allow-empty", "--message", message, cwd=self.work)
        return self._made(push=push)

    def revert(self, ref: str = "HEAD", *, push: bool = True) -> str:
        """Revert a commit (a merge towards its first parent), push, and return the new sha."""
        parents = git("rev-list", "--parents", "--max-count=1", ref, cwd=self.work).split()[1:]
        mainline = ["--mainline", "1"] if len(parents) > 1 else []
        git("revert", "--no-edit", *mainline, ref, cwd=self.work)
        return self._made(push=push)

    def merge(self, branch: str, *, push: bool = True) -> str:
        """Merge a branch with a merge commit, push, and return its sha."""
        git("merge", "--quiet", "--no-ff", "--no-edit", branch, cwd=self.work)
        return self._made(push=push)

    def branch(self, name: str) -> None:
        """Make a branch here and go to it."""
        git("switch", "--quiet", "--create", name, cwd=self.work)

    def switch(self, name: str) -> None:
        """Go to a branch that exists."""
        git("switch", "--quiet", name, cwd=self.work)

    def push(self, *options: str) -> None:
        """Push the current branch, as in `push("--force")`."""
        git("push", "--quiet", *options, "--set-upstream", "origin", "HEAD", cwd=self.work)

    def head(self, ref: str = "HEAD") -> str:
        """The full sha of a reference."""
        return git("rev-parse", ref, cwd=self.work)

    def _made(self, *, push: bool) -> str:
        if push:
            self.push()
        return self.head()
