"""The Compose files of a folder, and a repository in which each of them is a project.

The folder is copied, so nothing in it is changed, and what it has of Git is left behind. Each app is a commit
of its own beside the others: the copy with a `stagecraft.yml` next to the Compose file, which stands there
under the name that Compose takes first.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from gitops.compose.discover import NAMES

PROJECT = "parity"
ENVIRONMENT = "prod"
COMPOSE_PROJECT = f"{PROJECT}-{ENVIRONMENT}"
_COMPOSE_NAME = NAMES[0]
_HOST_FILE = (
    "variables-of-the-host.env"  # beside a Compose file: the environment takes it for one of its hosts
)
HOST_PATH = "/etc/parity/env"  # where it is said to stand
_IDENTITY = {
    "GIT_AUTHOR_NAME": "parity", "GIT_AUTHOR_EMAIL": "parity@example.org",
    "GIT_COMMITTER_NAME": "parity", "GIT_COMMITTER_EMAIL": "parity@example.org",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.defpath,
}  # fmt: skip
_GIT_SECONDS = 300.0
_MOST_LOOKED_AT_BYTES = 4 * 1024 * 1024  # whoever writes a larger Compose file calls it one


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class App:
    """One Compose file; paths are from the root of the folder."""

    path: str
    with_profiles: tuple[str, ...] = ()  # the services whose profiles are active

    @property
    def folder(self) -> str:
        """Where it stands, `""` for the root."""
        return self.path.rpartition("/")[0]

    def beside(self, name: str) -> str:
        """The path of a file in the same folder."""
        return f"{self.folder}/{name}" if self.folder else name


def find_apps(folder: Path) -> list[App]:
    """All Compose files below `folder`, sorted: those that are called so, and those that have services."""
    return sorted(App(path=path.relative_to(folder).as_posix()) for path in _files(folder) if _is_app(path))


def _files(folder: Path) -> Iterator[Path]:
    """The plain YAML files, without what Git keeps for itself."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(where, name)
            if path.suffix in {".yml", ".yaml"} and stat.S_ISREG(path.lstat().st_mode):
                yield path


def _is_app(path: Path) -> bool:
    if path.name == "stagecraft.yml":
        return False
    if path.name.partition(".")[0] in {"compose", "docker-compose"}:
        return True
    if path.lstat().st_size > _MOST_LOOKED_AT_BYTES:
        return False
    try:
        return _top_keys(path.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):
        return False


def _top_keys(content: bytes) -> bool:
    """Whether `services` or `include` is a key at the top of the first document."""
    depth, keys = 0, True
    for event in yaml.parse(content, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth == 1 and not isinstance(event, yaml.MappingStartEvent):
                return False
            keys = True if depth == 1 else keys
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            keys = True if depth == 1 else keys
        elif depth == 1 and isinstance(event, yaml.ScalarEvent):
            if keys and event.value == "services":
                return True
            keys = not keys
    return False


class Stage:
    """A copy of the folder as a repository, in a folder that the caller removes."""

    def __init__(self, corpus: Path, folder: Path) -> None:
        self.root = folder / "tree"
        self.home = folder / "home"
        self.client_home = folder / "client-home"
        self.client_home.mkdir(parents=True)
        shutil.copytree(corpus, self.root, symlinks=True, ignore=_left_behind)
        self._git("init", "--quiet", "--initial-branch", "main")
        self._git("add", "--all", "--force")
        self._index = self.root / ".git" / "index"
        self._index.touch()

    def overlay(self, app: App) -> dict[str, bytes]:
        """What a commit of `app` has in place of, or beside, the files of the copy."""
        services = "".join(f"  {name}: {{}}\n" for name in app.with_profiles)
        rules = "" if self.host_file(app) is None else f"env_file: {HOST_PATH}"
        project = f"project: {{name: {PROJECT}}}\nenvironments: {{{ENVIRONMENT}: {{{rules}}}}}\n"
        return {
            app.beside("stagecraft.yml"): f"{project}services:\n{services}".encode()
            if services
            else project.encode(),
            app.beside(_COMPOSE_NAME): (self.root / app.path).read_bytes(),
        }

    def host_file(self, app: App) -> Path | None:
        """The file with the variables of the app's hosts, None when it has none."""
        file = self.root / app.beside(_HOST_FILE)
        return file if file.is_file() else None

    def commit(self, app: App) -> str:
        """The name of a commit in which `app` is a project."""
        index = self._index.with_name(f"index-{os.urandom(8).hex()}")
        shutil.copyfile(self._index, index)
        own = {"GIT_INDEX_FILE": str(index)}
        for path, content in self.overlay(app).items():
            blob = self._git("hash-object", "-w", "--stdin", stdin=content)
            self._git("update-index", "--add", "--replace", "--cacheinfo", f"100644,{blob},{path}", env=own)
        tree = self._git("write-tree", env=own)
        index.unlink()
        return self._git("commit-tree", tree, "-m", app.path)

    def _git(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["git", "-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null", *arguments],
            cwd=self.root,
            env={**_IDENTITY, **(env or {})},
            input=stdin,
            capture_output=True,
            check=True,
            timeout=_GIT_SECONDS,
        )
        return done.stdout.decode().strip()


def _left_behind(where: str, names: list[str]) -> set[str]:
    """Git's own files, and what is neither a file, a folder nor a link."""
    kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    modes = {name: Path(where, name).lstat().st_mode for name in names}
    odd = {name for name, mode in modes.items() if not any(kind(mode) for kind in kinds)}
    return odd | {name for name in names if name in {".git", ".gitmodules"}}
