"""A bare copy of a watched repository, kept up to date one branch at a time.

The source is asked by `ls-remote` first, so an idle look fetches nothing. Refs are fully qualified, so a tag
never stands in for a branch. A rewritten branch is taken as it is: whoever asks compares the revisions
(`Repository.is_ancestor`) and says so in the log; the commits it left behind stay, because nothing is ever
collected here. Processes run through the kernel: with variables of ours alone, a deadline, and an end with
the controller. GitPython's transports give none of the three.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from events.kernel.errors import UserError, error_code
from events.kernel.process import Finished, run
from gitops.source.address import parse_address
from gitops.source.exchange import PATIENCE, Exchange, Patience
from gitops.source.git import REPOSITORY_EMPTY, Repository
from gitops.source.gitcommand import READ_SECONDS, git_failed, local_environment
from gitops.source.leftovers import sweep
from gitops.source.paths import shown
from gitops.source.ssh import AS_THE_USER, SshAccess

BRANCH_MISSING = error_code("branch-missing", "The watched repository has no such branch.")

FSCK_SECONDS = 300.0
_MAX_NAMED = 20
_MAX_BRANCH = 1024  # bytes; a file system takes less, a packed ref could have more
_HEADS = "refs/heads/"
_TAGS = "refs/tags/"
_PEELED = "^{}"  # how a server names what an annotated tag points at
MOST_TAGS = 20  # of one commit


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRef:
    """An annotated tag at the source."""

    name: str  # without `refs/tags/`
    object_id: str  # of the tag itself


class Mirror:
    """The copy of the repository at `url` in `folder`, which is made when it is first needed."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        ssh: SshAccess = AS_THE_USER,
        patience: Patience = PATIENCE,
    ) -> None:
        """Raises UserError `repository-url-refused`."""
        self._url = url  # may hold credentials
        self._exchange = Exchange(address=parse_address(url), ssh=ssh, patience=patience)
        self._folder = folder
        self._lock = asyncio.Lock()

    @property
    def ssh(self) -> SshAccess:
        """How it is reached over SSH."""
        return self._exchange.ssh

    def beside(self, folder: Path) -> Mirror:
        """Another copy of the same repository, reached in the same way."""
        return self._like(folder, self.ssh)

    def reached(self, ssh: SshAccess) -> Mirror:
        """This copy, reached in another way."""
        return self._like(self._folder, ssh)

    def _like(self, folder: Path, ssh: SshAccess) -> Mirror:
        return Mirror(self._url, folder, ssh=ssh, patience=self._exchange.patience)

    async def remote_head(self, branch: str) -> str:
        """The revision that the branch points at now, at the source.

        Raises UserError `repository-missing` for a path without a repository, `repository-empty`,
        `branch-missing` with the branches there are, and OutsideError `git-unreachable`.
        """
        ref = _ref(branch)
        heads = await self._heads(ref)
        if ref in heads:
            return heads[ref]
        known = await self._heads()
        if not known:
            raise UserError(
                REPOSITORY_EMPTY, f"{self._shown} has no branch", next=f"git push origin {branch}"
            )
        raise _branch_missing(self._shown, branch, [name.removeprefix(_HEADS) for name in known])

    async def fetch(self, branch: str) -> str:
        """Bring the branch and its history here and answer the revision it has now.

        Raises as `remote_head`, and OutsideError `git-failed` when the copy itself does not work.
        """
        ref = _ref(branch)
        fetched = await self._fetch(ref)
        if fetched.code != 0:
            await self.remote_head(branch)  # says better what is wrong, when the source is at fault
            if await self.heal():
                fetched = await self._fetch(ref)
        if fetched.code != 0:
            raise self._exchange.failed(fetched)
        with self.repository() as repository:
            return repository.resolve(ref).revision

    async def heal(self) -> bool:
        """Take the copy away if it is damaged, so that the next fetch makes it anew; whether it was.

        Nothing is lost by it: what was deployed is on record in the log and its blobs. A copy that is whole
        stays, for a server that cuts a connection off must not cost a history again. Raises OutsideError
        `git-failed` when the damaged copy cannot be taken away.
        """
        async with self._lock:
            if not self.made or await self._is_whole():
                return False
            aside = self._folder.with_name(f".{self._folder.name}.broken")
            try:
                await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
                await asyncio.to_thread(self._folder.rename, aside)
            except OSError as error:
                raise git_failed(
                    f"the damaged mirror in {self._folder} cannot be moved", str(error)
                ) from error
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
        return True

    async def _is_whole(self) -> bool:
        """Whether Git finds every commit, tree and blob that the branches here have."""
        checked = await run(
            ["git", f"--git-dir={self._folder}", "fsck", "--connectivity-only", "--no-dangling"],
            env=_local(),
            deadline_seconds=FSCK_SECONDS,
        )
        return checked.code == 0

    async def _fetch(self, ref: str) -> Finished:
        async with self._lock:
            await self._create()
            try:
                await asyncio.to_thread(sweep, self._folder)
            except OSError as error:
                raise git_failed(f"the mirror in {self._folder} cannot be swept", str(error)) from error
            return await self._bring(f"+{ref}:{ref}")

    async def _bring(self, *refs: str) -> Finished:
        """Fetch, with the lock held."""
        arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--"]
        return await self._exchange.fetch(
            [f"--git-dir={self._folder}", *arguments, self._exchange.address.url, *refs]
        )

    async def annotated_tags(self, revision: str) -> tuple[TagRef, ...]:
        """The annotated tags that point at a commit now, at the source; by name, at most `MOST_TAGS`.

        Their objects are brought here; no ref is kept, so a tag that is moved later moves nothing here.
        Raises OutsideError `git-unreachable`.
        """
        listed = await self._refs("--tags")
        named = (
            TagRef(name=ref.removeprefix(_TAGS), object_id=listed[ref])
            for ref in sorted(listed)
            if listed.get(f"{ref}{_PEELED}") == revision
        )
        found = [one for one in named if _is_branch_name(one.name)][:MOST_TAGS]
        with self.repository() as repository:
            missing = [one for one in found if not repository.has(one.object_id)]
        if missing:
            async with self._lock:
                fetched = await self._bring(*(f"{_TAGS}{one.name}" for one in missing))
            if fetched.code != 0:
                raise self._exchange.failed(fetched)
        with self.repository() as repository:
            return tuple(one for one in found if repository.has(one.object_id))

    def repository(self) -> Repository:
        """The copy. Raises UserError `repository-missing` before the first fetch."""
        return Repository(self._folder)

    @property
    def made(self) -> bool:
        """Whether the copy is there, by one look at the file system."""
        return (self._folder / "HEAD").is_file()

    def existing(self) -> Repository | None:
        """The copy, None before the first fetch."""
        return self.repository() if self.made else None

    @property
    def _shown(self) -> str:
        return self._exchange.shown

    async def _heads(self, ref: str | None = None) -> dict[str, str]:
        """`{ref: revision}` of all branches, or of those whose name ends in `ref`."""
        return await self._refs("--heads", *([] if ref is None else [ref]))

    async def _refs(self, kind: str, *patterns: str) -> dict[str, str]:
        url = self._exchange.address.url
        answer = await self._exchange.ask(["ls-remote", "--quiet", kind, "--", url, *patterns])
        if answer.code != 0:
            raise self._exchange.failed(answer)
        rows = (line.split("\t", 1) for line in answer.stdout.decode(errors="replace").splitlines())
        return {name: revision for revision, name in rows}

    async def _create(self) -> None:
        """Make the empty copy; nothing changes when it is there."""
        if self.made:
            return
        await asyncio.to_thread(self._folder.parent.mkdir, parents=True, exist_ok=True)
        made = await run(
            ["git", "init", "--quiet", "--bare", "--template=", "--", str(self._folder)],
            env=_local(),
            deadline_seconds=READ_SECONDS,
        )
        if made.code != 0:
            raise git_failed(f"no mirror can be made in {self._folder}", made.error_text)


def _local() -> dict[str, str]:
    """Variables for Git on this machine."""
    return {**local_environment(), "PATH": os.environ.get("PATH", os.defpath)}


def _ref(branch: str) -> str:
    """The branch's full name. Raises UserError `branch-missing` for what cannot be one."""
    name = branch.removeprefix(_HEADS)
    if not _is_branch_name(name):
        raise UserError(
            BRANCH_MISSING, f"{shown(branch)!r} cannot be the name of a branch", next="git branch --all"
        )
    return f"{_HEADS}{name}"


def _is_branch_name(name: str) -> bool:
    """Whether Git takes it as the name of a branch, by the rules of `git check-ref-format --branch`."""
    parts = name.split("/")
    return (
        len(name.encode()) <= _MAX_BRANCH
        and not name.startswith("-")
        and all(mark.isprintable() and mark not in " ~^:?*[\\" for mark in name)
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
        and not any(forbidden in name for forbidden in ("..", "@{"))
        and not name.endswith(".")
        and name != "@"
    )


def _branch_missing(repository: str, branch: str, known: list[str]) -> UserError:
    named = ", ".join(shown(name) for name in sorted(known)[:_MAX_NAMED])
    more = f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else ""
    return UserError(
        BRANCH_MISSING,
        f"{repository} has no branch {shown(branch)!r}; it has {named}{more}",
        next=f"git push origin {shown(branch)}",
    )
