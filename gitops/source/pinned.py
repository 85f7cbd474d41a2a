"""Commits of other repositories that a commit names, kept on this machine.

One folder holds one commit and nothing that leads to it. It is fetched aside, checked, and then given its
name, so whatever has the name is whole, is never written again and needs no network. A mirror of branches was
tried in its place: a shallow fetch changes what the mirror of a watched repository says of its history, and a
fetch that was killed leaves locks behind.

The server is known to the operator and may still be hostile. A fetch speaks one scheme to one host, follows
no redirect, and has bounds on time, processor, memory and the bytes it may write. No credential goes with it
but those that whoever asks gives for that server: over HTTP Git gets an empty home, so that no file with
passwords is found, and no helper of others; over SSH it has the keys of whoever runs this, without the agent
being passed on.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from events.kernel.errors import InternalError, OutsideError, UserError, error_code
from events.kernel.process import PROCESS_TIMED_OUT, Finished, run
from gitops.remotes import RemoteRef, Server
from gitops.source.absent import REVISION_MISSING
from gitops.source.address import slug
from gitops.source.exchange import GIT_UNREACHABLE
from gitops.source.gitcommand import READ_SECONDS, git_failed, network_environment
from gitops.source.gittree import GitTree

if TYPE_CHECKING:
    from gitops.source.git import Repository

REMOTE_TOO_LARGE = error_code(
    "remote-too-large", "A commit of another repository, named by a Compose file, is too large to be fetched."
)

REMOTE_NOT_ALLOWED = error_code(
    "remote-not-allowed",
    "A repository was to be fetched that no policy allows, although that is looked at first.",
)

FETCH_SECONDS: Final = 120.0
MAX_BYTES: Final = 256 * 1024 * 1024  # of one commit's files, compressed; as much as a build may be sent
_MEMORY_BYTES: Final = 1024 * 1024 * 1024
_CPU_SECONDS: Final = 120
_FOLDER = "pinned"
_ASIDE = ".fetching-"
_STALE_SECONDS: Final = 24 * 60 * 60  # older than any fetch that is under way
_REF = "refs/pinned/commit"
_SETTINGS = {
    "http.followRedirects": "false",
    "fetch.unpackLimit": "1",  # always one pack: what bounds a file bounds the whole
    "core.bigFileThreshold": "4m",  # larger files are written as they come, not held in memory
    "pack.threads": "1",
}
_UNKNOWN = ("not our ref", "unadvertised object", "no such remote ref", "couldn't find remote ref")
_EXHAUSTED = ("File too large", "Out of memory", "out of memory")
_MAX_WORDS: Final = 16 * 1024  # bytes of what Git says, which a server may write too
_MAX_SHOWN: Final = 4000
_NO_HOME = "/nonexistent"
_SSH_OPTIONS = " -o ForwardAgent=no -o ForwardX11=no -o PermitLocalCommand=no"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedCommit:
    """A commit of another repository, and how it is reached."""

    url: str  # as Git takes it, without a password
    commit: str  # 40 hex digits
    scheme: str  # ssh, https, http or file: the only one that is spoken
    settings: Mapping[str, str] = field(default_factory=dict[str, str])  # of Git, to use credentials
    variables: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # credentials

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{slug(self.url)}@{self.commit}"


class PinnedCommits:
    """Pinned commits in a folder; a context manager, or close it. Whoever asks may have them."""

    def __init__(
        self,
        folder: Path,
        *,
        ready: Callable[[], None] = lambda: None,
        deadline_seconds: float = FETCH_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`ready` is called before anything is written."""
        self._folder = folder
        self._ready = ready
        self._deadline_seconds = deadline_seconds
        self._max_bytes = max_bytes
        self._open: dict[Path, Repository] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that read the commits."""
        while self._open:
            self._open.popitem()[1].close()

    async def tree(self, ref: PinnedCommit) -> GitTree:
        """The files of the commit, fetched unless they are here.

        Raises UserError `revision-missing` or `remote-too-large`, OutsideError `git-unreachable` or
        `git-failed`.
        """
        path = self._folder / f"{ref.name}.git"
        if not await asyncio.to_thread(path.is_dir):
            await self._fetch(ref, path)
        if path not in self._open:
            self._open[path] = await asyncio.to_thread(_opened, path)
        return await asyncio.to_thread(self._open[path].tree, ref.commit)

    async def _fetch(self, ref: PinnedCommit, path: Path) -> None:
        try:
            aside = Path(await asyncio.to_thread(self._room))
        except OSError as error:
            raise git_failed(f"no repository can be made in {self._folder}", str(error)) from error
        try:
            environment = _environment(ref)
            made = await self._git(
                ref, ["init", "--quiet", "--bare", "--template=", "--", str(aside)], environment, READ_SECONDS
            )
            if made.code != 0:
                raise git_failed(f"no repository can be made in {aside}", made.error_text)
            arguments = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--"]
            fetched = await self._git(
                ref,
                [f"--git-dir={aside}", *arguments, ref.url, f"+{ref.commit}:{_REF}"],
                environment,
                self._deadline_seconds,
            )
            if fetched.code != 0:
                full = await asyncio.to_thread(_holds_file_of, aside, self._max_bytes)
                raise self._failure(ref, fetched, full=full)
            await asyncio.to_thread(_keep, aside, path, ref)
        finally:
            await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)

    def _room(self) -> str:
        """A folder of this fetch's own; what fetches left that were killed long ago is taken away."""
        self._ready()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        mine = tempfile.mkdtemp(prefix=_ASIDE, dir=self._folder)
        now = Path(mine).stat().st_mtime
        for other in self._folder.glob(f"{_ASIDE}*"):
            try:
                stale = now - other.stat().st_mtime > _STALE_SECONDS
            except FileNotFoundError:
                continue
            if stale:
                shutil.rmtree(other, ignore_errors=True)
        return mine

    async def _git(
        self, ref: PinnedCommit, arguments: list[str], environment: dict[str, str], deadline_seconds: float
    ) -> Finished:
        try:
            return await run(
                ["git", *arguments],
                env=environment,
                deadline_seconds=deadline_seconds,
                kept_bytes=_MAX_WORDS,
                limits={
                    resource.RLIMIT_FSIZE: self._max_bytes,
                    resource.RLIMIT_DATA: _MEMORY_BYTES,
                    resource.RLIMIT_CPU: _CPU_SECONDS,
                },
            )
        except OutsideError as error:
            if error.code != PROCESS_TIMED_OUT:
                raise
            raise OutsideError(
                GIT_UNREACHABLE,
                f"{ref.url} did not give {ref.commit[:12]} in {deadline_seconds:g} s",
                next=_try(ref),
            ) from error

    def _failure(self, ref: PinnedCommit, answer: Finished, *, full: bool) -> UserError | OutsideError:
        """What a fetch that failed means; it was `full` when it wrote as much as it may."""
        words = answer.error_text[:_MAX_SHOWN]
        if any(sign in words for sign in _UNKNOWN):
            return _missing(ref, words)
        if full or any(sign in words for sign in _EXHAUSTED):
            return UserError(
                REMOTE_TOO_LARGE,
                f"{ref.url} has more than {self._max_bytes} bytes at {ref.commit[:12]}, or needs too much to "
                "be read",
                next="name a smaller repository",
            )
        return OutsideError(GIT_UNREACHABLE, f"{ref.url} cannot be read", why=words, next=_try(ref))


class PinnedRemotes:
    """The pinned commits that Compose files of one project may name; a context manager, or close it."""

    def __init__(
        self,
        folder: Path,
        allowed: Iterable[Server],
        *,
        ready: Callable[[], None] = lambda: None,
        deadline_seconds: float = FETCH_SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """They are kept below `folder`; the rest as for `PinnedCommits`."""
        self.allowed = tuple(allowed)
        self._commits = PinnedCommits(
            folder / _FOLDER, ready=ready, deadline_seconds=deadline_seconds, max_bytes=max_bytes
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that read the commits."""
        self._commits.close()

    async def tree(self, ref: RemoteRef) -> GitTree:
        """The files of a commit; raises as `PinnedCommits.tree`.

        And InternalError `remote-not-allowed` for one that should never have been asked for.
        """
        if not any(prefix.begins(ref.server) for prefix in self.allowed):
            raise InternalError(REMOTE_NOT_ALLOWED, f"{ref.url} was asked for and is not allowed")
        scheme = "ssh" if ref.server.scheme == "scp" else ref.server.scheme
        return await self._commits.tree(PinnedCommit(url=ref.url, commit=ref.commit, scheme=scheme))


def _holds_file_of(folder: Path, size_bytes: int) -> bool:
    """Whether some file there is as large; Git does not say so itself when its helper is stopped for it."""
    return any(path.is_file() and path.stat().st_size >= size_bytes for path in folder.rglob("*"))


def _opened(path: Path) -> Repository:
    """The repository at a path. Raises UserError `repository-missing`."""
    from gitops.source.git import Repository  # noqa: PLC0415  # GitPython comes with it

    return Repository(path)


def _keep(aside: Path, path: Path, ref: PinnedCommit) -> None:
    """Give what was fetched its name; somebody else may have done it first. Raises UserError."""
    with _opened(aside) as repository:
        if repository.resolve(_REF).revision != ref.commit:
            raise _missing(ref, "the id is one of a tag; name the commit that it points at")
    try:
        aside.rename(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise git_failed(f"{path} cannot be made", str(error)) from error


def _environment(ref: PinnedCommit) -> dict[str, str]:
    """Variables for Git that let it reach one host by one scheme."""
    environment = {**network_environment((*_SETTINGS.items(), *ref.settings.items())), **ref.variables}
    environment["GIT_ALLOW_PROTOCOL"] = ref.scheme
    if ref.scheme == "ssh":
        environment["GIT_SSH_COMMAND"] += _SSH_OPTIONS
    else:
        environment["HOME"] = _NO_HOME
        environment.pop("SSH_AUTH_SOCK", None)
    return environment


def _missing(ref: PinnedCommit, why: str) -> UserError:
    return UserError(
        REVISION_MISSING,
        f"{ref.url} does not give a commit {ref.commit}",
        why=why,
        next=f"push that commit to {ref.url}, or name another one",
    )


def _try(ref: PinnedCommit) -> str:
    return f"git ls-remote {ref.url}"
