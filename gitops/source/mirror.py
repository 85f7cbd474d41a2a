"""A bare copy of a watched repository, kept up to date one branch or tag at a time.

The source is asked by `ls-remote` first, so an idle look fetches nothing. Refs are fully qualified, so a tag
never stands in for a branch. Of tags the one is fetched that is the newest version. A rewritten branch is
taken as it is: whoever asks compares the revisions (`Repository.is_ancestor`) and says so in the log; the
commits it left behind stay, because nothing is ever collected here.

Processes run through the kernel: with
variables of ours alone, a deadline, and an end with the controller. GitPython's transports give none of the
three.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from events.kernel.errors import UserError, error_code
from events.refs import HEADS, TAGS
from gitops.source.absent import REPOSITORY_EMPTY
from gitops.source.address import parse_address
from gitops.source.bare import BareCopy
from gitops.source.branchname import branch_missing, full_name, is_branch_name
from gitops.source.exchange import PATIENCE, Exchange, Patience
from gitops.source.fetcher import Fetcher
from gitops.source.ssh import AS_THE_USER, SshAccess
from gitops.source.tags import PEELED, newest_version

if TYPE_CHECKING:
    from events.kernel.process import Finished
    from gitops.source.git import Repository
    from gitops.source.tags import VersionTag
    from gitops.source.versions import VersionRange

TOO_MANY_TAGS = error_code("too-many-tags", "A repository has more tags than are looked through.")

MOST_TAGS = 20  # of one commit
MOST_REFS = 100_000  # lines of an answer; an annotated tag takes two
_TRIES = 3
_MOST_REMEMBERED = 1000  # commits


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
        self._copy = BareCopy(folder)
        self._fetcher = Fetcher(copy=self._copy, exchange=self._exchange)
        self._complete: set[str] = set()  # commits all of whose files are here
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
        return self._like(self._copy.folder, ssh)

    def _like(self, folder: Path, ssh: SshAccess) -> Mirror:
        return Mirror(self._url, folder, ssh=ssh, patience=self._exchange.patience)

    async def remote_head(self, branch: str) -> str:
        """The revision that the branch points at now, at the source.

        Raises UserError `repository-missing` for a path without a repository, `repository-empty`,
        `branch-missing` with the branches there are, and OutsideError `git-unreachable`.
        """
        ref = full_name(branch)
        heads = await self._heads(ref)
        if ref in heads:
            return heads[ref]
        known = await self._heads()
        if not known:
            raise UserError(
                REPOSITORY_EMPTY, f"{self._shown} has no branch", next=f"git push origin {branch}"
            )
        raise branch_missing(self._shown, branch, [name.removeprefix(HEADS) for name in known])

    async def fetch(self, branch: str) -> str:
        """Bring the branch and its history here and answer the revision it has now.

        Raises as `remote_head`, and OutsideError `git-failed` when the copy itself does not work.
        """
        ref = full_name(branch)
        fetched = await self._fetch(ref)
        if fetched.code != 0:
            await self.remote_head(branch)  # says better what is wrong, when the source is at fault
            if await self.heal():
                fetched = await self._fetch(ref)
        if fetched.code != 0:
            raise self._exchange.failed(fetched)
        with self.repository() as repository:
            return repository.resolve(ref).revision

    async def newest_tag(self, wanted: VersionRange) -> VersionTag:
        """The tag with the highest version in the range now, at the source, by one question.

        Raises UserError `version-missing`, `version-ambiguous`, `too-many-tags` and `repository-missing`,
        and OutsideError `git-unreachable`.
        """
        return newest_version(self._shown, await self._refs("--tags"), wanted)

    async def fetch_tag(self, wanted: VersionRange, tag: VersionTag) -> VersionTag:
        """Bring `tag`, which `newest_tag` answered, and its history here, or the newest one there is by now.

        Raises as `newest_tag`, and OutsideError `git-failed` when the copy itself does not work.
        """
        for _ in range(_TRIES):
            fetched = await self._fetch(f"{TAGS}{tag.name}")
            if fetched.code == 0 and await asyncio.to_thread(self._has, tag.object_id, tag.revision):
                return tag
            now = await self.newest_tag(wanted)  # says better what is wrong, when the source is at fault
            if now == tag and fetched.code != 0 and not await self.heal():
                break
            tag = now
        else:
            raise self._exchange.unanswered(f"tag {tag.name} of {self._shown} moves while it is read")
        raise self._exchange.failed(fetched)

    def _has(self, *object_ids: str) -> bool:
        with self.repository() as repository:
            return all(repository.has(one) for one in object_ids)

    async def heal(self) -> bool:
        """Take the copy away if it is damaged, so that the next fetch makes it anew; whether it was.

        Nothing is lost by it: what was deployed is on record in the log and its blobs. A copy that is whole
        stays, for a server that cuts a connection off must not cost a history again. Raises OutsideError
        `git-failed` when the damaged copy cannot be taken away.
        """
        async with self._lock:
            self._complete.clear()
            if not self.made or await self._copy.is_whole():
                return False
            await self._copy.drop()
        return True

    async def has_files(self, revision: str) -> bool:
        """Whether all files of a commit are here, which is; they may be missing after a crash in a fetch.

        Or when it came as a part of another branch's history.
        """
        if revision in self._complete or not await asyncio.to_thread(lambda: self._copy.partial):
            return True
        listed = await self._copy.missing(revision)
        if listed.code != 0 or listed.stdout:
            return False
        if len(self._complete) >= _MOST_REMEMBERED:
            self._complete.clear()
        self._complete.add(revision)
        return True

    async def _fetch(self, ref: str) -> Finished:
        """Bring `ref` with its history and the files that it has now."""
        async with self._lock:
            return await self._fetcher.bring(ref)

    async def annotated_tags(self, revision: str) -> tuple[TagRef, ...]:
        """The annotated tags that point at a commit now, at the source; by name, at most `MOST_TAGS`.

        Their objects are brought here; no ref is kept, so a tag that is moved later moves nothing here.
        Raises OutsideError `git-unreachable`.
        """
        listed = await self._refs("--tags")
        named = (
            TagRef(name=ref.removeprefix(TAGS), object_id=listed[ref])
            for ref in sorted(listed)
            if listed.get(f"{ref}{PEELED}") == revision
        )
        found = [one for one in named if is_branch_name(one.name)][:MOST_TAGS]
        with self.repository() as repository:
            missing = [one for one in found if not repository.has(one.object_id)]
        if missing:
            async with self._lock:
                fetched = await self._fetcher.fetch(*(f"{TAGS}{one.name}" for one in missing))
            if fetched.code != 0:
                raise self._exchange.failed(fetched)
        with self.repository() as repository:
            return tuple(one for one in found if repository.has(one.object_id))

    def repository(self) -> Repository:
        """The copy. Raises UserError `repository-missing` before the first fetch."""
        from gitops.source.git import Repository  # noqa: PLC0415  # GitPython comes with it

        return Repository(self._copy.folder)

    @property
    def made(self) -> bool:
        """Whether the copy is there, by one look at the file system."""
        return self._copy.made

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
        """Object ids by full names. Raises UserError `too-many-tags` besides."""
        url = self._exchange.address.url
        answer = await self._exchange.ask(["ls-remote", "--quiet", kind, "--", url, *patterns])
        if answer.code != 0:
            raise self._exchange.failed(answer)
        lines = answer.stdout.decode(errors="replace").splitlines()
        if kind == "--tags" and len(lines) > MOST_REFS:
            raise UserError(
                TOO_MANY_TAGS,
                f"{self._shown} has too many tags: they are {len(lines)} lines, and {MOST_REFS} are read",
                next="take old tags away at the Git host, or watch a branch",
            )
        rows = (line.split("\t", 1) for line in lines if "\t" in line)
        return {name: revision for revision, name in rows}
