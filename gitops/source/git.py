"""Repositories on this machine, read from their object store; the only module that imports GitPython.

GitPython keeps `git cat-file --batch` running, so a tree or a file costs well under a millisecond. Commits
come from one `git log`. GitPython's transports are not used: they inherit the caller's variables and put
addresses in argument lists (see `gitops.source.mirror`).

Reads of objects have no deadline of their own: the store is on this machine, and no transport works in the
environment they run in, so nothing can be waited for. Everything else has one.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

os.environ.setdefault(
    "GIT_PYTHON_REFRESH", "quiet"
)  # a missing git is our error at first use, not one of import

from git import Git, Repo  # it reads the variable above while it is imported
from git.exc import GitCommandNotFound, InvalidGitRepositoryError, NoSuchPathError

from events.kernel.errors import OutsideError, UserError, error_code
from events.kernel.redact import REDACT, printable
from gitops.source.absent import REPOSITORY_EMPTY, REVISION_MISSING, repository_missing
from gitops.source.gitcommand import READ_SECONDS, git_failed, local_environment
from gitops.source.gittree import ID_DIGITS, MAX_LISTING_BYTES, GitTree
from gitops.source.paths import shown
from gitops.source.reverts import Said
from gitops.source.worktree import WorkTree

OBJECT_FORMAT_UNSUPPORTED = error_code(
    "object-format-unsupported", "The repository names its objects by SHA-256."
)
GIT_NOT_FOUND = error_code("git-not-found", "The program git is not installed.")

_FULL_NAME: Final = re.compile(f"[0-9a-f]{{{ID_DIGITS}}}")
_Answer = tuple[bytes, bytes, int, Git.CatFileContentStream]  # its declaration says text
_CHUNK_BYTES: Final = 64 * 1024
_FORMAT: Final = "%H%x00%T%x00%P%x00%an%x00%ae%x00%ct%x00%s%x00%B"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as Git has it; the author is personal data, which no event holds as it is."""

    revision: str  # 40 hex digits
    tree: str  # object id of the root tree
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    subject: str  # first paragraph of the message on one line
    committed_at: datetime  # aware, UTC
    message: str


class Repository:
    """A repository at a path, bare or with a work tree; close it, or use it as a context manager."""

    def __init__(self, path: Path, *, search: bool = False) -> None:
        """Open the repository at `path`, or with `search` the one that `path` is in.

        Raises UserError `repository-missing`.
        """
        try:
            self._repo = Repo(path, search_parent_directories=search, expand_vars=False)
        except (InvalidGitRepositoryError, NoSuchPathError) as error:
            raise repository_missing(str(path)) from error
        self._lock = threading.Lock()
        self._repo.git.update_environment(GIT_DIR=str(self._repo.git_dir), **local_environment())

    @classmethod
    def enclosing(cls, path: Path) -> Repository | None:
        """The repository that `path` is in, None when there is none."""
        try:
            return cls(path, search=True)
        except UserError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that read objects; a later read starts them again."""
        with self._lock:
            self._repo.close()

    @property
    def root(self) -> Path | None:
        """The top folder of the work tree, None for a bare repository."""
        folder = self._repo.working_tree_dir
        return None if folder is None else Path(folder)

    def resolve(self, rev: str) -> Commit:
        """The commit that `rev` names. Raises UserError `repository-empty` or `revision-missing`."""
        if not rev or rev.startswith("-") or "\0" in rev:
            raise _revision_missing(rev, "")
        status, output, words = self._run(
            [
                "log",
                "-1",
                "--no-mailmap",
                f"--format={_FORMAT}",
                "--end-of-options",
                f"{rev}^{{commit}}",
                "--",
            ]
        )
        if status == 0:
            return _supported(_parse_commit(output))
        if not self._has_commits():
            raise UserError(REPOSITORY_EMPTY, "the repository has no commit yet", next="git commit")
        raise _revision_missing(rev, words)

    def tree(self, revision: str) -> GitTree:
        """The files of a commit. Raises as `resolve`."""
        if _FULL_NAME.fullmatch(revision):  # nothing is to be resolved, and no process to be started for it
            with contextlib.suppress(OutsideError):
                name = f"{revision}^{{tree}}"
                return GitTree(self, self.listing_of(name, max_bytes=MAX_LISTING_BYTES)[0])
        return GitTree(self, self.resolve(revision).tree)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` descends from `older` or is it; False when either is unknown here."""
        if not (self.has(older) and self.has(newer)):
            return False
        return self._run(["merge-base", "--is-ancestor", older, newer])[0] == 0

    def commits_since(self, revision: str, known: str | None, *, most: int) -> list[str]:
        """Up to `most` of the commits that `revision` has and `known` has not, the newest first.

        All that `revision` has when `known` is None or not here. Raises OutsideError `git-failed`.
        """
        without = [] if known is None or not self.has(known) else [f"^{known}"]
        listed = self._checked(
            ["rev-list", f"--max-count={most}", "--end-of-options", revision, *without, "--"]
        )
        return listed.decode().split()

    def is_head(self, revision: str) -> bool:
        """Whether the commit is the one that is checked out; False for a branch without commits."""
        status, output, _words = self._run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
        return status == 0 and output.decode().strip() == revision

    def dirty(self) -> bool:
        """Whether the work tree differs from HEAD, files that Git does not know included; False when bare."""
        if self.root is None:
            return False
        return bool(self._checked(["status", "--porcelain", "--ignore-submodules=none", "-z"]))

    def worktree(self) -> WorkTree:
        """The files that a commit of all would hold. Raises UserError `repository-missing` when bare."""
        if self.root is None:
            raise repository_missing(str(self._repo.git_dir), "it is bare, so it has no work tree")
        listed = self._checked(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        return WorkTree(self.root, known=frozenset(os.fsdecode(name) for name in listed.split(b"\0") if name))

    def messages(self, revision: str, *, without: str, most: int) -> list[Said]:
        """Up to `most` commits that `revision` has and `without` has not, the newest first.

        Raises OutsideError `git-failed`.
        """
        listed = self._checked(
            ["log", "-z", f"--max-count={most}", "--format=%H%x00%B", revision, f"^{without}", "--"]
        )
        fields = listed.decode(errors="replace").split("\0")
        pairs = zip(fields[::2], fields[1::2], strict=False)
        return [Said(revision=one, message=message) for one, message in pairs]

    def size_of(self, object_id: str) -> int:
        """Bytes of an object, without reading it. Raises OutsideError `git-failed`."""
        with self._lock, _object_errors(object_id):
            return self._repo.git.get_object_header(object_id)[2]

    def content_of(self, object_id: str) -> bytes:
        """An object's bytes. Raises OutsideError `git-failed`."""
        with self._lock, _object_errors(object_id):
            return self._repo.git.get_object_data(object_id)[3]

    def listing_of(self, name: str, *, max_bytes: int) -> tuple[str, bytes | None]:
        """Id and bytes of a folder; see `Objects.listing_of`. Raises OutsideError `git-failed`."""
        with self._lock, _object_errors(name):
            object_id, kind, size, stream = cast("_Answer", self._repo.git.stream_object_data(name))
            if kind == b"tree" and size <= max_bytes:
                return object_id.decode(), stream.read(size)
            while stream.read(_CHUNK_BYTES):  # what is left of an answer stands before the next
                pass
        if kind != b"tree":
            raise git_failed(f"object {shown(name)} cannot be read", "it is not a folder")
        return object_id.decode(), None

    def has(self, object_id: str) -> bool:
        """Whether an object is here."""
        with self._lock, _object_errors(object_id):
            try:
                self._repo.git.get_object_header(object_id)
            except ValueError:
                return False
        return True

    def _has_commits(self) -> bool:
        return bool(self._checked(["rev-list", "--all", "--max-count=1"]))

    def _checked(self, arguments: list[str]) -> bytes:
        """Standard output of a command that must work. Raises OutsideError `git-failed`."""
        status, output, words = self._run(arguments)
        if status != 0:
            raise git_failed(f"git {arguments[0]} failed in {self._repo.git_dir}", words)
        return output

    def _run(self, arguments: list[str]) -> tuple[int, bytes, str]:
        """Exit status, standard output, standard error as safe text."""
        try:
            status, output, words = self._repo.git.execute(
                ["git", *arguments],
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=READ_SECONDS,
            )
        except GitCommandNotFound as error:
            raise _git_not_found() from error
        return status, output, REDACT(printable(str(words))).strip()


@contextlib.contextmanager
def _object_errors(object_id: str) -> Generator[None]:
    """Translate what GitPython raises for an object that it cannot read."""
    try:
        yield
    except GitCommandNotFound as error:
        raise _git_not_found() from error
    except (ValueError, OSError) as error:
        raise git_failed(
            f"object {shown(object_id)} cannot be read", REDACT(printable(str(error)))
        ) from error


def _git_not_found() -> OutsideError:
    return OutsideError(GIT_NOT_FOUND, "git is not installed or not on PATH", next="install git")


def _revision_missing(rev: str, words: str) -> UserError:
    return UserError(
        REVISION_MISSING,
        f"the repository has no commit {shown(rev)!r}",
        why=shown(words),
        next="git log --oneline --all",
    )


def _parse_commit(output: bytes) -> Commit:
    fields = output.decode(errors="replace").split("\0", 7)
    revision, tree, parents, name, email, seconds, subject, message = fields
    return Commit(
        revision=revision,
        tree=tree,
        parents=tuple(parents.split()),
        author_name=name,
        author_email=email,
        subject=subject,
        committed_at=datetime.fromtimestamp(int(seconds), tz=UTC),
        message=message.rstrip("\n"),
    )


def _supported(commit: Commit) -> Commit:
    """`commit`, unless its objects cannot be read: GitPython takes ids of SHA-1 only."""
    if len(commit.revision) != ID_DIGITS:
        raise UserError(
            OBJECT_FORMAT_UNSUPPORTED,
            "the repository names its objects by SHA-256, which is not supported",
            next="git init --object-format=sha1",
        )
    return commit
