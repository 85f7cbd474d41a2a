"""Where Stagecraft keeps its state: one folder with fixed names inside.

The flag wins, then `STAGECRAFT_HOME`, then `.stagecraft/` beside the nearest `stagecraft.yml` upwards, then
`.stagecraft/` in the current folder. The folder is private (0700) and, inside a work tree, invisible to Git.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.kernel.errors import OutsideError, error_code
from events.kernel.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOME_UNUSABLE = error_code(
    "home-unusable", "The folder that holds Stagecraft's state cannot be made or written."
)
NOTHING_RECORDED = error_code(
    "nothing-recorded", "The home has no log yet, so there is nothing to hand over."
)

PROJECT_FILE = "stagecraft.yml"
_FOLDER = ".stagecraft"


@dataclass(frozen=True, slots=True)
class Home:
    """The paths below one home folder; nothing is made by looking."""

    root: Path

    @property
    def events_db(self) -> Path:
        """The record: the event log."""
        return self.root / "events.db"

    @property
    def actors_db(self) -> Path:
        """Names behind pseudonyms, erasable."""
        return self.root / "actors.db"

    @property
    def views_db(self) -> Path:
        """Folds of the log, disposable."""
        return self.root / "views.db"

    @property
    def observed_db(self) -> Path:
        """What engines last answered, disposable."""
        return self.root / "observed.db"

    @property
    def controller_file(self) -> Path:
        """The operator's settings; need not exist."""
        return self.root / "controller.yml"

    @property
    def kept(self) -> Path:
        """What containers that failed left, for a while; disposable."""
        return self.root / "kept"

    @property
    def blobs(self) -> Path:
        """Manifests and files by digest."""
        return self.root / "blobs"

    @property
    def mirrors(self) -> Path:
        """Bare mirrors of watched repositories."""
        return self.root / "mirrors"

    @property
    def keys(self) -> Path:
        """Keys of this home; private."""
        return self.root / "keys"

    @property
    def run(self) -> Path:
        """Locks and sockets of running processes."""
        return self.root / "run"

    @property
    def reserve(self) -> Path:
        """Room for the day on which the disk is full."""
        return self.root / "reserve"

    @property
    def local(self) -> Path:
        """The root of the host `local`."""
        return self.root / "local"

    def create(self) -> None:
        """Make the folder. Raises OutsideError `home-unusable`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.run.mkdir(exist_ok=True, mode=0o700)
            ignore = self.root / ".gitignore"
            if not ignore.exists():
                write_atomically(ignore, b"*\n")
            if not os.access(self.root, os.W_OK):
                raise PermissionError(errno.EROFS, os.strerror(errno.EROFS), str(self.root))
        except OSError as error:
            raise self._unusable(error) from error

    def check(self) -> None:
        """Raise OutsideError `home-unusable` when its files cannot even be looked for."""
        try:
            self.events_db.is_file()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> OutsideError:
        return OutsideError(
            HOME_UNUSABLE,
            f"cannot use {self.root}",
            why=error.strerror or str(error),
            next="name another with --home DIR",
        )

    @property
    def _binding_key(self) -> Path:
        return self.keys / "binding.key"

    def known_binding_key(self) -> bytes:
        """The same key for who only looks: empty where none was made yet, and none is made."""
        try:
            return self._binding_key.read_bytes()
        except OSError:
            return b""

    def binding_key(self) -> bytes:
        """The key under which this home tells values of hosts apart; made once, whoever comes first.

        Empty where it cannot be made, as on a full disk: only a service that takes such values needs it.
        """
        import secrets  # noqa: PLC0415  # it is made once

        path = self._binding_key
        try:
            if not path.exists():
                aside = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
                write_atomically(aside, secrets.token_bytes(32), mode=0o600, folder_mode=0o700)
                with suppress(FileExistsError):
                    path.hardlink_to(aside)
                aside.unlink()
            return path.read_bytes()
        except OSError:
            return b""


def locate_home(flag: str | None, *, environ: Mapping[str, str], cwd: Path) -> Home:
    """The home that this call works with, an absolute path; it need not exist.

    Raises OutsideError `home-unusable` for a path that no file system takes.
    """
    named = flag or environ.get("STAGECRAFT_HOME")
    if named:
        home = Home((cwd / named).resolve())
        home.check()
        return home
    for folder in (cwd, *cwd.parents):
        if (folder / PROJECT_FILE).is_file():
            return Home((folder / _FOLDER).resolve())
    return Home((cwd / _FOLDER).resolve())
