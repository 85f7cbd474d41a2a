"""The newer part of a long log, followed by a second process while the older part is followed here.

A chain is followed from the hash before it, and every row keeps the hash that the next one needs. So a part
can be followed before what is in front of it: if that comes to the very hash that the part began with, both
together are one chain. Whoever asks checks that, and follows the rows itself where anything does not fit:
the second process names no problem and can hide none, it only saves time.

    python -P -m events.walk_aside FILE AFTER UPTO HASH      one line: the last position that fits, its hash
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from events.chain import walk
from events.raw_log import RawLog, raw_log

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_ROWS = 20_000  # of fewer the start of a process costs more than it saves
_SHARE = 0.4  # of the rows: it begins later
_GRACE_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Aside:
    """A part that is being followed."""

    after: int  # the position in front of it
    previous: bytes  # the hash there, as it is stored
    upto: int
    _process: subprocess.Popen[str]

    @classmethod
    def begin(cls, raw: RawLog, *, upto: int) -> Aside | None:
        """Begin with the newer rows up to a position; None where that is not worth it, or cannot be done."""
        after = int(upto * (1 - _SHARE))
        if upto < LEAST_ROWS or (os.cpu_count() or 1) < 2:  # noqa: PLR2004  # one is at work here
            return None
        previous = raw.hash_at(after)
        if previous is None:
            return None
        argv = [sys.executable, "-P", "-m", __name__, str(raw.path), str(after), str(upto), previous.hex()]
        try:
            process = subprocess.Popen(  # this very program, with numbers and the log's own path
                argv,
                env={"PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # a Ctrl-C at the terminal is told to it by us
            )
        except OSError:
            return None
        return cls(after=after, previous=previous, upto=upto, _process=process)

    def hash_of_end(self) -> bytes | None:
        """Wait for it: the hash of the last row when all of the part fits, else None."""
        said, _ = self._process.communicate()
        with suppress(ValueError):
            position, hash_ = said.split()
            if int(position) == self.upto:
                return bytes.fromhex(hash_)
        return None

    def close(self) -> None:
        """End it, if it has not ended."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def follow(raw: RawLog, *, after: int, upto: int, previous: bytes) -> tuple[int, bytes]:
    """The last position of a part that fits, and its hash."""
    position, hash_, seen = after, previous, after
    while page := raw.page(after=seen, upto=upto):
        walked = walk(page, previous=hash_, position=position)
        position, hash_, seen = walked.position, walked.hash, page[-1][0]
        if walked.bad is not None:
            break
    return position, hash_


def main(argv: Sequence[str]) -> None:
    """Follow a part and say how far it fits. Raises as `raw_log` does."""
    path, after, upto, previous = argv
    with raw_log(Path(path)) as raw:
        position, hash_ = follow(raw, after=int(after), upto=int(upto), previous=bytes.fromhex(previous))
    sys.stdout.write(f"{position} {hash_.hex()}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
