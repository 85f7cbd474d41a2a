"""A repository in which people sign, and an operator who looks at its tip."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.source import trust as module
from gitops.source.mirror import Mirror
from gitops.source.signers import Signer
from gitops.source.trust import Mode, TipQuestion, Verification, verify
from tests.support.repos import Repository, git
from tests.support.signing import GpgPerson, SshPerson

NOW = datetime.now(UTC)


class Scene:
    """A repository in which people sign, and an operator who looks at its tip."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository = repository
        self.mirror = Mirror(str(repository.origin), folder / "mirror")
        self.made = 0
        repository.commit({"a": "0"}, "first")

    def commit(self, person: SshPerson | GpgPerson | None, message: str = "change") -> str:
        """A commit that somebody signs, or nobody, pushed; no two are the same."""
        work = self.repository.work
        self.made += 1
        message = f"{message}\n\nnumber {self.made}"
        if person is not None:
            person.configure(work)
        sign = "--no-gpg-sign" if person is None else "--gpg-sign"
        git("commit", "--quiet", "--allow-empty", sign, "--message", message, cwd=work)
        self.repository.push()
        return self.repository.head()

    def tag(self, person: SshPerson | GpgPerson | None, name: str = "v1") -> None:
        """An annotated tag at the head, signed or not, pushed."""
        work = self.repository.work
        if person is not None:
            person.configure(work)
        git("tag", "--annotate" if person is None else "--sign", name, "--message", name, cwd=work)
        git("push", "--quiet", "--force", "origin", f"refs/tags/{name}", cwd=work)

    def ask(
        self,
        *,
        mode: Mode = "head",
        signers: Path | None = None,
        keyring: Path | None = None,
        known: str | None = None,
        now: datetime = NOW,
    ) -> Signer | None:
        """Who vouches for the tip of `main`."""
        return asyncio.run(self._ask(Verification(mode=mode, signers=signers, keyring=keyring), known, now))

    async def _ask(self, verification: Verification, known: str | None, now: datetime) -> Signer | None:
        revision = await self.mirror.fetch("main")
        tags = await self.mirror.annotated_tags(revision) if verification.mode == "tag" else ()
        with self.mirror.repository() as repository:
            question = TipQuestion(revision=revision, known=known, tags=tags, now=now)
            return await verify(repository, question, verification)

    def refused(
        self,
        *,
        mode: Mode = "head",
        signers: Path | None = None,
        keyring: Path | None = None,
        known: str | None = None,
        now: datetime = NOW,
    ) -> UserError:
        """The error with which the tip is refused."""
        with pytest.raises(UserError) as caught:
            self.ask(mode=mode, signers=signers, keyring=keyring, known=known, now=now)
        assert caught.value.code in module.RULES
        return caught.value


def rewritten(scene: Scene, old: bytes, new: bytes) -> None:
    """Put another commit object in the place of the head's, and push it."""
    work = scene.repository.work
    content = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=work, check=True, capture_output=True)
    assert old in content.stdout
    command = ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"]
    made = subprocess.run(
        command, cwd=work, check=True, capture_output=True, input=content.stdout.replace(old, new, 1)
    )
    git("reset", "--quiet", "--hard", made.stdout.decode().strip(), cwd=work)
    scene.repository.push("--force")
