"""One run of the pinned Compose client on files that it alone can see.

The files stand in a private folder, deep enough that a path of many `..` still ends inside it and is noticed
instead of depending on where temporary folders are. The client has no variables but those it is given, limits
on memory, output and time, a home that is empty, and where the system allows it a wall around it
(`gitops.compose.confine`). Its output goes to a file, because that is where the system limits its size. It
needs no engine and opens no socket.

Files of other repositories stand in folders of their own, each as deep and none inside another: only who
knows the random name could lead from one to the next by `..`.

Behind the wall the client sees other paths than stand on this machine; `root` is as the client sees it. The
folder's own name stands in it either way, so that no text of a repository is ever taken for it.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any

from events.kernel.compose_client import compose_client, compose_environment
from events.kernel.errors import OutsideError, UserError, error_code
from events.kernel.process import Finished, run
from events.kernel.redact import REDACT, printable
from gitops.compose.confine import Wall, place
from gitops.compose.faults import COMPOSE_INVALID, COMPOSE_TOO_LARGE
from gitops.grafts import is_grafted, split_graft
from gitops.source.paths import join

COMPOSE_NOT_CONFINED = error_code(
    "compose-not-confined", "The wall around the Compose client could not be built this time."
)

DEADLINE_SECONDS = 60.0  # a machine that is this slow is at fault, not the project
_CPU_SECONDS = 10  # a large project needs one; whatever needs more is at fault itself
MAX_OUTPUT_BYTES = 8 * 1024 * 1024  # as Python objects about ten times as much
# Of data: address space cannot be limited once the runtime has reserved it. It takes memory in steps of
# 64 MiB, so this lets it have two beside what it starts with: thousands of services.
_MEMORY_BYTES = 192 * 1024 * 1024
_RUNTIME = {"GOMEMLIMIT": "112MiB"}  # collect before the limit is met
_INWARDS = (*(str(level % 10) for level in range(32)), "co")
_LIMITS = {
    resource.RLIMIT_DATA: _MEMORY_BYTES,
    resource.RLIMIT_FSIZE: MAX_OUTPUT_BYTES,
    resource.RLIMIT_CPU: _CPU_SECONDS,
}
_LOG_LINE = re.compile(r'^time="[^"]*" level=(?P<level>\w+) msg="(?P<message>(?:[^"\\]|\\.)*)"')
_EXHAUSTED = ("file too large", "out of memory", "cannot allocate memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a run gave."""

    document: dict[str, Any]
    warnings: tuple[str, ...]  # each once, in order


class Workshop:
    """The private folder with the materialised files; use it as a context manager's target."""

    def __init__(self, folder: Path, wall: Wall | None = None) -> None:
        self._outer, self._wall = folder, wall
        self._here = folder / folder.name
        self._folder = self._here if wall is None else Path("/", folder.name)  # as the client sees it
        self.home = self._folder / "home"
        self._client = ""
        self.root = self._folder.joinpath(*_INWARDS)
        self._grafts: dict[str, str] = {}  # the name of the folder, beside the first, for each graft

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write the files, which are named from the root of the tree, and make the client ready."""
        self._client = str(compose_client())
        if self._wall is not None:
            self._client = place(compose_client(), self._outer)
        (self._here / "home").mkdir(parents=True)
        self._here.joinpath(*_INWARDS).mkdir(parents=True)
        self.add(files)

    def add(self, files: Mapping[str, bytes]) -> None:
        """Write more files, named in the same way."""
        for path, content in files.items():
            graft, inner = split_graft(path)
            target = self._beside(self._here, graft).joinpath(*_INWARDS, inner)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def place(self, path: str) -> str:
        """Where the client sees a path of the tree."""
        graft, inner = split_graft(path)
        return str(self._beside(self._folder, graft).joinpath(*_INWARDS, inner))

    def _beside(self, folder: Path, graft: str) -> Path:
        """The folder that holds a graft's files, or for "" `folder`, which holds the repository's own."""
        if not graft:
            return folder
        name = self._grafts.setdefault(graft, f"{folder.name}-r{len(self._grafts)}")
        return folder.with_name(name)

    def place_aside(self, name: str, content: bytes) -> str:
        """Write a file that is not of the tree and answer its path as the client sees it."""
        (self._here / name).write_bytes(content)
        return str(self._folder / name)

    def inner(self, path: str) -> str | None:
        """An absolute path of a document as one from the root of the tree; None when it is not below it.

        `..` is worked out first: the client leaves a path that begins with `${PWD}` as it is written.
        """
        path = normpath(path)
        for graft in ("", *self._grafts):
            root = _written(Path(self.place(graft)))
            if path == root or path.startswith(f"{root}/"):
                inner = path.removeprefix(root).removeprefix("/")
                if not graft:
                    return None if is_grafted(inner) else inner  # nobody's own file has that name
                return join(graft, inner) if inner else graft
        return None

    def private(self, text: str) -> bool:
        """Whether `text` gives this folder away, so that it would differ from one render to the next."""
        return _written(self._folder) in text

    def escaping(self, text: str) -> bool:
        """Whether `text` is a path of this folder but not of the tree in it: one that had `..` in it."""
        return text.startswith(_written(self._folder)) and self.inner(text) is None

    def at_home(self, text: str) -> bool:
        """Whether `text` holds the client's home."""
        return _written(self.home) in text

    async def config(
        self,
        *,
        project: str,
        variables: Mapping[str, str],
        options: Sequence[str],
        folder: str,
        stdin: bytes | None = None,
    ) -> Output:
        """Run `config`; `options` name files and profiles, `folder` is where they are named from.

        Raises UserError `compose-invalid` with the client's own words or `compose-too-large`, and
        OutsideError `process-timed-out` or `compose-not-confined`.
        """
        out = self._here / "out.json"
        here = self.root / folder
        given = ["--ansi", "never", "--project-name", project, "--project-directory", str(here)]
        argv = [self._client, *given, *options, "--output", str(self._folder / "out.json")]
        finished = await run(
            argv if self._wall is None else self._wall.around(self._outer, argv, folder=str(here)),
            env={**compose_environment(self.home), **_RUNTIME, "COMPOSE_PROFILES": "", **variables},
            cwd=self._here.joinpath(*_INWARDS, folder),  # what Compose takes for ${PWD}
            stdin=stdin,
            deadline_seconds=DEADLINE_SECONDS,
            dies_with_parent=False,  # it changes nothing and ends by its deadline
            limits=_LIMITS,
        )
        warnings, words = self._told(finished)
        if finished.code != 0:
            raise _not_confined(words) if words.startswith("unshare: ") else _refusal(finished, words)
        if out.stat().st_size > MAX_OUTPUT_BYTES:
            raise _too_large()
        return Output(document=await asyncio.to_thread(_parsed, out), warnings=warnings)

    def _told(self, finished: Finished) -> tuple[tuple[str, ...], str]:
        """The client's warnings, and everything else it said, both without this folder's name."""
        warnings: dict[str, None] = {}
        words: list[str] = []
        for line in self._cleaned(finished.stderr.decode(errors="replace")).splitlines():
            log = _LOG_LINE.match(line)
            if log is None:
                words.append(line)
            elif log["level"] == "warning":
                warnings[log["message"].replace('\\"', '"')] = None
        return tuple(warnings), "\n".join(words).strip()

    def _cleaned(self, text: str) -> str:
        for graft in self._grafts:
            text = text.replace(self.place(graft), graft)
        for prefix, stand_in in ((f"{self.root}/", ""), (str(self.root), "."), (str(self._folder), "")):
            text = text.replace(prefix, stand_in)
        return REDACT(printable(text))


def _written(path: Path) -> str:
    """A path as the client writes it into a document, where a dollar sign is doubled."""
    return str(path).replace("$", "$$")


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A private folder, readable by this user only, that goes with its context."""
    return tempfile.TemporaryDirectory(prefix="stagecraft-render-")


def _parsed(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))


def _not_confined(words: str) -> OutsideError:
    return OutsideError(
        COMPOSE_NOT_CONFINED,
        "the Compose client could not be confined",
        why=words[:4000],
        next="stagecraft doctor",
    )


def _refusal(finished: Finished, words: str) -> UserError:
    """Why the client ended with an error."""
    if finished.code < 0 or any(sign in words for sign in _EXHAUSTED):
        return _too_large()
    return UserError(
        COMPOSE_INVALID,
        "Compose does not take the project's files",
        why=words[:4000],
        next="docker compose config",
    )


def _too_large() -> UserError:
    return UserError(
        COMPOSE_TOO_LARGE,
        f"the Compose files render to more than {MAX_OUTPUT_BYTES} bytes, or need too much memory or time",
        next="split the project",
    )
