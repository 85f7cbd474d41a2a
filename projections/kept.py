"""What containers that failed a Release left behind, kept for a look: one JSON file for each, below the home.

Neither a fold of the log nor needed by any decision: the log's `Failure` names the file and has the last
lines; here is the rest, for as long as `count` and `age` allow. A file is whole or absent and private (0600).
Its texts have passed the redactor, and of the environment's variables it has the names alone.

The container itself does not stay. Its labels cannot be changed, and with them Compose takes it for a replica
of the service: a later `up` would start it beside its successor. An image of it (`docker commit`) was dropped
as well: it has the secrets of its environment, the same labels, and the size of whatever the container wrote.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from glob import escape
from pathlib import Path
from typing import Any

from events.kernel.clock import format_utc, parse_utc
from events.kernel.files import write_atomically

COUNT = 3  # of one environment
AGE = timedelta(days=7)

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_SHOWN_ID = 12  # of a container's id, as Docker shows it


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptContainer:
    """What there was to see of one container when it had failed; masked and bounded by whoever looked."""

    project: str
    environment: str
    release: str
    host: str
    service: str
    container: str  # its id
    at: datetime
    code: str  # of the failure
    message: str
    exit_code: int | None
    health_output: str
    made_with: dict[str, Any]  # field by field, by Compose's names; of variables the names
    changes: tuple[str, ...]  # in its file system: `A /path`, `C /path`, `D /path`
    log: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As its file has it."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "at": format_utc(self.at), "changes": list(self.changes), "log": list(self.log)}


@dataclass(frozen=True, slots=True)
class KeptContainers:
    """The files of one home; processes may share it."""

    root: Path
    count: int = COUNT  # the newest of each environment; 0: nothing is kept
    age: timedelta = AGE

    def keep(self, one: KeptContainer) -> str:
        """Write it, take away what is too many then, and answer its place below the home. Raises OSError."""
        folder = self.root / one.project / one.environment
        name = f"{one.release}.{one.host}.{one.service}.{one.container[:_SHOWN_ID]}.json"
        content = json.dumps(one.as_json(), indent=2, ensure_ascii=False, default=list)
        write_atomically(folder / name, f"{content}\n".encode(), mode=_FILE_MODE, folder_mode=_FOLDER_MODE)
        os.utime(folder / name, times=(one.at.timestamp(), one.at.timestamp()))
        newest_first = sorted(folder.glob("*.json"), key=_written, reverse=True)
        for file in newest_first[self.count :]:
            file.unlink(missing_ok=True)
        return f"{self.root.name}/{one.project}/{one.environment}/{name}"

    def sweep(self, now: datetime) -> None:
        """Take away what is older than the age allows, of any environment; half-written files too.

        Raises OSError.
        """
        for file in self.root.glob("*/*/*"):
            if _written(file) < (now - self.age).timestamp():
                file.unlink(missing_ok=True)

    def of_release(self, release: str) -> Iterator[KeptContainer]:
        """What is there of a Release, oldest first; one that is not whole is left out."""
        for file in sorted(self.root.glob(f"*/*/{escape(release)}.*.json"), key=_written):
            with suppress(OSError, ValueError, TypeError, KeyError):
                read: dict[str, Any] = json.loads(file.read_bytes())
                tuples = {name: tuple(read[name]) for name in ("changes", "log")}
                fields: dict[str, Any] = {**read, **tuples, "at": parse_utc(read["at"])}
                yield KeptContainer(**fields)


def _written(file: Path) -> float:
    """Seconds of the epoch; 0 for one that went meanwhile."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0
