"""Looking through the log of a home, and what follows: a log that does not verify is only read.

A problem is marked in the head of the log itself, where every process meets it before it appends. The mark
goes again when a look finds the log whole, but what only a seal from outside can show is not taken back by a
look without one. A seal that may be another log's, or whose signature nobody could check, is told and marks
nothing, for a mistaken file must not stop a team. Nor does a damaged blob: the log beside it is whole, what
needs the blob is refused where it is read, and all else must go on.

The controller looks at the whole when it starts and once a day; a command that changes something looks at the
newest events first (`recent.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from events.blobs import BLOBS_UNAVAILABLE
from events.broken import LogProblem
from events.kernel.errors import OutsideError
from events.raw_log import RawLog, raw_log
from events.verdict import Verdict
from events.verify import Verifier

if TYPE_CHECKING:
    from pathlib import Path

    from controller.home import Home
    from events.ed25519 import PublicKeys
    from events.log import EventLog
    from events.seals import Seal

EVERY_SECONDS = 24 * 60 * 60.0
_CHUNK_BYTES = 1024 * 1024
_ONLY_BY_A_SEAL = frozenset({"tail", "all", "rewrite"})
_HEX = frozenset("0123456789abcdef")
_SHA256_DIGITS = 64

Seen = Callable[[int, int], None]


def look_through(
    home: Home,
    *,
    outside: Sequence[Seal] = (),
    keys: PublicKeys | None = None,
    seen: Seen | None = None,
) -> Verdict:
    """Verify the log of a home and the blobs beside it.

    `keys` None: those that the log itself names are believed. A home without a log is an empty one. Raises
    OutsideError `log-unavailable`, UserError `seal-untrusted`.
    """
    if not home.events_db.is_file():
        return _without_log(outside)
    with raw_log(home.events_db) as raw:
        verifier = Verifier(
            raw=raw, outside=outside, keys=dict(keys or {}), strict=keys is not None, seen=seen
        )
        verdict = verifier.verdict()
        if verdict.problem is None:
            verdict = replace(verdict, problem=_blob_problem(raw, home.blobs))
    return verdict


def note_problem(log: EventLog, verdict: Verdict) -> None:
    """Mark the log by a verdict, or take a mark away that the verdict answers.

    Raises OutsideError `log-unavailable`.
    """
    known = log.problem()
    if verdict.problem is not None and verdict.problem.kind != "blob":
        if verdict.certain and known != verdict.problem:
            log.mark_broken(verdict.problem)
    elif known is not None and (verdict.outside or known.kind not in _ONLY_BY_A_SEAL):
        log.clear_broken()


def _without_log(outside: Sequence[Seal]) -> Verdict:
    """The verdict on a home in which there is no log."""
    problem = None
    if outside:
        words = f"there is no log; it had at least {max(one.position for one in outside)} events"
        problem = LogProblem(position=1, kind="all", detail=words)
    return Verdict(to=0, hash="", sealed_to=None, outside=False, problem=problem, seal=None, inside_seals=0)


def _blob_problem(raw: RawLog, folder: Path) -> LogProblem | None:
    """The first file beside the log that is not what its name says; one that is gone is no problem."""
    for name, path in _blobs(folder):
        with suppress(FileNotFoundError):  # it went while we looked
            if _digest(path) != name:
                position = raw.first_naming(f"sha256:{name}".encode())
                where = "no event names it" if position is None else f"event {position} names it"
                words = f"the file {path} is not what its name says; {where}"
                return LogProblem(position=position or 0, kind="blob", detail=words)
    return None


def _blobs(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of the store with the digests they are named by, in order."""
    if not folder.is_dir():
        return
    for part in sorted(folder.iterdir()):
        for path in sorted(part.iterdir()) if part.is_dir() else ():
            name = part.name + path.name
            if len(name) == _SHA256_DIGITS and _HEX.issuperset(name):
                yield name, path


def _digest(path: Path) -> str:
    """The digest of a file. Raises FileNotFoundError, and OutsideError for one that cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OutsideError(
            BLOBS_UNAVAILABLE, f"{path} cannot be read", why=str(error), next=f"ls -l {path}"
        ) from error
    return digest.hexdigest()
