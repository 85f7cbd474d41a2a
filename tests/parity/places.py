"""Where the files of an app stand on a host, worked out from the copied folder and not from our document."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from events.kernel.canonical import digest_of, sha256_digest
from events.manifest import FileEntry, FileTree
from tests.parity.apps import ENVIRONMENT, PROJECT, App, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Of one app."""

    root: Path  # of the copy
    host: Path  # the app's folder on the host
    folder: str  # of the project, from the root
    overlay: Mapping[str, bytes]  # what the commit has in place of files of the copy
    host_variables: Mapping[str, str]  # what a file of the host says

    @classmethod
    def of(cls, stage: Stage, app: App) -> Places:
        """Those of `app` in the copy."""
        host = stage.home / "local" / "apps" / PROJECT / ENVIRONMENT
        variables = stage.host_file(app)
        return cls(
            root=stage.root,
            host=host,
            folder=app.folder,
            overlay=stage.overlay(app),
            host_variables={} if variables is None else _variables(variables),
        )

    def in_tree(self, source: str) -> str | None:
        """A source in Compose's document as a path from the root; None for one of the host."""
        text, root = source.replace("$$", "$"), str(self.root)
        if text == root:
            return ""
        return text.removeprefix(f"{root}/") if text.startswith(f"{root}/") else None

    def committed(self, path: str) -> str | None:
        """The source for a path of the tree, by its content; None when the commit does not have it."""
        if path in self.overlay or (self.root / path).is_file():
            name = path.rpartition("/")[2]
            return self._named([self._entry(path, name)], name)
        start = f"{path}/" if path else ""
        found = {*self._below(path), *(one for one in self.overlay if one.startswith(start))}
        listed = [self._entry(one, one.removeprefix(start)) for one in found]
        return self._named(sorted(listed, key=lambda entry: entry.path), "") if listed else None

    def content(self, name: str, content: bytes) -> str:
        """The source for a file with this content, which stands nowhere."""
        return self._named([FileEntry(path=name, executable=False, blob=sha256_digest(content))], name)

    def state(self, path: str) -> str:
        """The source for a path that stays on the host."""
        start = f"{self.folder}/" if self.folder else ""
        inside = f"{path}/".startswith(start)
        within = path.removeprefix(start.rstrip("/")).lstrip("/") if inside else f".repository/{path}"
        return _doubled(str(self.host / "state" / within))

    def told(self, service: str, target: str, source: str, *, number: int) -> str | None:
        """The source in place of one by content, for the `number`th mount at `target`; None for another."""
        start = f"{_doubled(str(self.host / 'files'))}/"
        if not source.startswith(start):
            return None
        _digest, slash, file = source.removeprefix(start).partition("/")
        slot = digest_of([target, file or None, number]).removeprefix("sha256:")[:16]
        return f"{_doubled(str(self.host / 'reload'))}/{service}/{slot}{slash}{file}"

    def _below(self, path: str) -> Iterator[str]:
        for where, folders, names in os.walk(self.root / path):
            folders[:] = [name for name in folders if name != ".git"]
            for name in names:
                yield Path(where, name).relative_to(self.root).as_posix()

    def _entry(self, path: str, name: str) -> FileEntry:
        file = self.root / path
        if path in self.overlay:
            return FileEntry(path=name, executable=False, blob=sha256_digest(self.overlay[path]))
        executable = bool(file.stat().st_mode & 0o100)
        return FileEntry(path=name, executable=executable, blob=sha256_digest(file.read_bytes()))

    def _named(self, listed: list[FileEntry], name: str) -> str:
        digest = FileTree(entries=tuple(listed)).digest.removeprefix("sha256:")
        return _doubled(str(self.host / "files" / digest / name))


def _variables(file: Path) -> dict[str, str]:
    """Of a file that has a plain `NAME=value` in each line."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def _doubled(text: str) -> str:
    """A path as Compose reads it."""
    return text.replace("$", "$$")
