"""A bare copy of a watched repository, kept up to date one branch or tag at a time.

The source is asked by `ls-remote` first, so an idle look fetches nothing. Refs are fully qualified, so a tag
never stands in for a branch. Of tags the one is fetched that is the newest version. A rewritten branch is
taken as it is: whoever asks compares the revisions (`Repository.is_ancestor`) and says so in the log; the
commits it left behind stay, because nothing is ever collected here. Processes run through the kernel: with
variables of ours alone, a deadline, and an end with the controller. GitPython's transports give none of the
three.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from events.kernel.errors import OutsideError, UserError, error_code
from events.kernel.process import PROCESS_TIMED_OUT, Finished, run
from events.refs import HEADS, TAGS
from gitops.source.address import parse_address
from gitops.source.branchname import branch_missing, full_name, is_branch_name
from gitops.source.git import REPOSITORY_EMPTY, Repository, repository_missing
from gitops.source.gitcommand import READ_SECONDS, git_failed, local_environment, network_environment
from gitops.source.paths import shown
from gitops.source.tags import PEELED, newest_version

if TYPE_CHECKING:
    from gitops.source.tags import VersionTag
    from gitops.source.versions import VersionRange

GIT_UNREACHABLE = error_code("git-unreachable", "A repository did not answer or refused.")
TOO_MANY_TAGS = error_code("too-many-tags", "A repository has more tags than are looked through.")

LOOK_SECONDS = 45.0
FETCH_SECONDS = 600.0
FSCK_SECONDS = 300.0
_NO_REPOSITORY = (  # how Git says that a path of this machine leads to no repository
    "does not appear to be a git repository",
    "invalid gitfile format",
    "File name too long",
)
MOST_TAGS = 20  # of one commit
MOST_REFS = 100_000  # lines of an answer; an annotated tag takes two
_MOST_BYTES = 32 * 1024 * 1024  # of an answer
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRef:
    """An annotated tag at the source."""

    name: str  # without `refs/tags/`
    object_id: str  # of the tag itself


class Mirror:
    """The copy of the repository at `url` in `folder`, which is made when it is first needed."""

    def __init__(self, url: str, folder: Path) -> None:
        """Raises UserError `repository-url-refused`."""
        self._address = parse_address(url)
        self._folder = folder
        self._lock = asyncio.Lock()

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
            raise self._unreachable(fetched)
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
            raise OutsideError(
                GIT_UNREACHABLE, f"tag {tag.name} of {self._shown} moves while it is read", next=self._try
            )
        raise self._unreachable(fetched)

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
            env={**local_environment(), "PATH": os.environ.get("PATH", os.defpath)},
            deadline_seconds=FSCK_SECONDS,
        )
        return checked.code == 0

    async def _fetch(self, ref: str) -> Finished:
        async with self._lock:
            await self._create()
            arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--"]
            command = [f"--git-dir={self._folder}", *arguments, self._address.url, f"+{ref}:{ref}"]
            fetched = await self._git(command, deadline_seconds=FETCH_SECONDS)
            if fetched.code != 0 and await self._make_room(ref):
                fetched = await self._git(command, deadline_seconds=FETCH_SECONDS)
            return fetched

    async def _make_room(self, ref: str) -> bool:
        """Take refs away in whose place `ref` has to be: `team`, where the source has `team/web` now.

        Their commits stay. Answers whether there were any.
        """
        listed = await self._git(
            [f"--git-dir={self._folder}", "for-each-ref", "--format=%(refname)"],
            deadline_seconds=READ_SECONDS,
        )
        known = listed.stdout.decode(errors="replace").splitlines()
        away = [one for one in known if ref.startswith(f"{one}/") or one.startswith(f"{ref}/")]
        for one in away:
            await self._git(
                [f"--git-dir={self._folder}", "update-ref", "-d", one], deadline_seconds=READ_SECONDS
            )
        return bool(away)

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
            arguments = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--"]
            refs = [f"{TAGS}{one.name}" for one in missing]
            async with self._lock:
                fetched = await self._git(
                    [f"--git-dir={self._folder}", *arguments, self._address.url, *refs],
                    deadline_seconds=FETCH_SECONDS,
                )
            if fetched.code != 0:
                raise self._unreachable(fetched)
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
        return shown(self._address.url)

    async def _heads(self, ref: str | None = None) -> dict[str, str]:
        """`{ref: revision}` of all branches, or of those whose name ends in `ref`."""
        return await self._refs("--heads", *([] if ref is None else [ref]))

    async def _refs(self, kind: str, *patterns: str) -> dict[str, str]:
        """Object ids by full names. Raises UserError `too-many-tags` besides."""
        answer = await self._git(
            ["ls-remote", "--quiet", kind, "--", self._address.url, *patterns],
            deadline_seconds=LOOK_SECONDS,
            kept_bytes=_MOST_BYTES,
        )
        if answer.code != 0:
            raise self._unreachable(answer)
        lines = answer.stdout.decode(errors="replace").splitlines()
        if kind == "--tags" and (len(lines) > MOST_REFS or len(answer.stdout) >= _MOST_BYTES):
            raise UserError(
                TOO_MANY_TAGS,
                f"{self._shown} has too many tags: they are {len(lines)} lines, and {MOST_REFS} are read",
                next="take old tags away at the Git host, or watch a branch",
            )
        rows = (line.split("\t", 1) for line in lines if "\t" in line)
        return {name: revision for revision, name in rows}

    async def _create(self) -> None:
        """Make the empty copy; nothing changes when it is there."""
        if self.made:
            return
        await asyncio.to_thread(self._folder.parent.mkdir, parents=True, exist_ok=True)
        made = await self._git(
            ["init", "--quiet", "--bare", "--template=", "--", str(self._folder)],
            deadline_seconds=READ_SECONDS,
        )
        if made.code != 0:
            raise git_failed(f"no mirror can be made in {self._folder}", made.error_text)

    async def _git(
        self, arguments: list[str], *, deadline_seconds: float, kept_bytes: int | None = None
    ) -> Finished:
        environment = {**network_environment(self._address.settings()), **self._address.variables()}
        try:
            return await run(
                ["git", *arguments],
                env=environment,
                deadline_seconds=deadline_seconds,
                kept_bytes=kept_bytes,
            )
        except OutsideError as error:
            if error.code != PROCESS_TIMED_OUT:
                raise
            raise OutsideError(
                GIT_UNREACHABLE, f"{self._shown} did not answer in {deadline_seconds:g} s", next=self._try
            ) from error

    def _unreachable(self, answer: Finished) -> UserError | OutsideError:
        """What a failed exchange means: a path where nothing is, or a source that does not answer."""
        if self._address.local and any(words in answer.error_text for words in _NO_REPOSITORY):
            return repository_missing(self._address.url)
        return OutsideError(
            GIT_UNREACHABLE, f"{self._shown} cannot be read", why=answer.error_text, next=self._try
        )

    @property
    def _try(self) -> str:
        return f"git ls-remote {self._shown}"
