"""The records of an export from the first to the last: each is as it was written and follows the one before.

The first thing that is wrong ends the walk, with its position and its kind. Two passes are made over the
file, one for its last line and the digest of the rest, one along the chain, so that neither its length nor
that of a log is held in memory; of each event its hash is kept, 32 bytes, for the seals.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Literal

from events.chain import DIGEST_BYTES, link
from events.export_manifest import BadManifestError, read_manifest
from events.export_record import COLUMNS, SOURCE, BadRecordError, csv_cells, csv_line, decode
from events.rows import digests_of
from events.seals import parse_seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from events.export_manifest import Manifest
    from events.export_record import Form, Record
    from events.log import LogRow
    from events.seals import Seal

Kind = Literal["edit", "actor", "swap", "drop", "tail", "all", "rewrite", "manifest", "seal"]
"""As of a log (`events/broken.py`), and two of the file: `manifest`, its last record is missing or not as it
was written; `seal`, nobody who is trusted vouches for it."""

_MAX_LINE_BYTES = 256 * 1024 * 1024  # of the largest event and the longest manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The first thing that is wrong with an export."""

    position: int | None  # of the first bad event, or the first that is missing; None: it is about no event
    kind: Kind
    detail: str

    def as_json(self) -> dict[str, Any]:
        """The object `problem`."""
        return {"position": self.position, "kind": self.kind, "detail": self.detail}


class FoundError(Exception):
    """Ends the search: the first thing that is wrong."""

    def __init__(self, kind: Kind, position: int | None, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(position=position, kind=kind, detail=detail)


@dataclass(slots=True, kw_only=True)
class Walk:
    """One walk over one file, and what it found on the way."""

    path: Path
    manifest: Manifest | None = None  # None: there is none that can be read
    first: int = 1
    count: int = 0  # records that are as they were
    content: str = ""  # digest of all bytes before the last line
    seals: list[Seal] = field(default_factory=list["Seal"])  # that the events tell of
    rotations: list[bytes] = field(default_factory=list[bytes])  # data of events that hand a key over
    _form: Form = "jsonl"
    _hashes: bytearray = field(default_factory=bytearray)  # of the records, one after the other

    def go(self) -> None:
        """Walk to the end. Raises FoundError, and OutsideError `export-too-new`."""
        last_line, fault = self._look()
        self._follow()
        if self.manifest is not None:
            self._compare(self.manifest)
            return
        cut = not last_line.endswith(b"\n") or _is_record(last_line)
        kind: Kind = "tail" if cut else "manifest"
        detail = f"{fault}; the file was cut off or changed at its end"
        raise FoundError(kind, self._expected if self.count else None, detail)

    def hash_at(self, position: int) -> bytes | None:
        """The chain's hash at a position, over the bridge where there is one; None: not to be had here."""
        manifest = self.manifest
        if manifest is None or position < self.first - 1:
            return None
        if position == self.first - 1:
            return bytes.fromhex(manifest.before)
        place = (position - self.first) * DIGEST_BYTES
        if place < len(self._hashes):
            return bytes(self._hashes[place : place + DIGEST_BYTES])
        steps = position - manifest.last
        if steps > len(manifest.bridge):
            return None
        reached = bytes.fromhex(manifest.after)
        for step in manifest.bridge[:steps]:
            reached = link(reached, bytes.fromhex(step.leaf), step.actor.encode())
        return reached

    def _look(self) -> tuple[bytes, str]:
        """The last line, and why it is no manifest."""
        content, last = hashlib.sha256(), b""
        with self.path.open("rb") as file:
            for line in _lines(file):
                content.update(last)
                last = line
                if not line.startswith(b"{"):
                    self._form = "csv"
        if not last:
            raise FoundError("all", None, "the file is empty")
        self.content = f"sha256:{content.hexdigest()}"
        try:
            self.manifest = read_manifest(last)
        except BadManifestError as error:
            return last, str(error)
        self._form, self.first = self.manifest.form, self.manifest.first
        return last, ""

    def _follow(self) -> None:
        """Follow the chain over all records."""
        manifest = self.manifest
        log_id = "" if manifest is None else manifest.log_id
        previous = None if manifest is None else bytes.fromhex(manifest.before)
        with self.path.open("rb") as file:
            lines = _with_next(_lines(file))
            if self._form == "csv" and next(lines, (b"", None))[0] != csv_line(list(COLUMNS)):
                raise FoundError("edit", None, "the line of column names is not that of an export")
            for line, following in lines:
                if following is None and (manifest is not None or not _is_record(line)):
                    return
                log_id = log_id or _log_id_of(line, self._form)
                record = self._decoded(line, log_id)
                previous = self._fitting(record, previous)
                self._note(record.row)

    @property
    def _expected(self) -> int:
        return self.first + self.count

    def _decoded(self, line: bytes, log_id: str) -> Record:
        try:
            return decode(line, log_id=log_id, form=self._form)
        except BadRecordError as error:
            position = self._expected if self.count or self.manifest is not None else error.position
            raise FoundError("edit", position, str(error)) from error

    def _fitting(self, record: Record, previous: bytes | None) -> bytes:
        """The hash of a record that follows `previous`, None: of the first one where that is not known."""
        row = record.row
        if self.count == 0 and self.manifest is None:
            self.first = row.position
        digests = digests_of(row, previous or b"")
        if digests.data_hash != row.data_hash:
            raise FoundError("edit", self._expected, "the data are not those that were recorded")
        if digests.leaf != row.leaf:
            raise FoundError("edit", self._expected, "an attribute is not the one that was recorded")
        if row.position != self._expected:
            raise self._misplaced(row.position)
        if previous is not None and digests.hash != row.hash:
            detail = "the actor is not the one that was recorded, or the chain is another"
            raise FoundError("actor", row.position, detail)
        self._check_name(record)
        return row.hash or b""

    def _misplaced(self, found: int) -> FoundError:
        """Why another record stands where one is expected."""
        expected = self._expected
        if found < expected or any(position == expected for position in self._positions()):
            return FoundError("swap", expected, f"event {found} stands in its place")
        return FoundError("drop", expected, f"event {found} follows event {expected - 1}")

    def _positions(self) -> Iterator[int]:
        """What all records say of their place, as far as it can be read."""
        with self.path.open("rb") as file:
            for line in _lines(file):
                try:
                    yield decode(line, log_id=_log_id_of(line, self._form), form=self._form).row.position
                except BadRecordError:
                    continue

    def _check_name(self, record: Record) -> None:
        if self.manifest is None:
            return
        names: Mapping[str, str] = self.manifest.names or {}
        if record.name != names.get(record.row.actor.partition(":")[2]):
            raise FoundError("actor", record.row.position, "the name is not the one in the manifest")

    def _note(self, row: LogRow) -> None:
        """Keep what a good record says for the seals."""
        self.count += 1
        self._hashes += row.hash or b""
        if row.type == "SealKeyRotated":
            self.rotations.append(row.data)
        elif row.type == "SealMade":
            try:
                self.seals.append(parse_seal(json.loads(row.data)["seal"]))
            except (ValueError, KeyError, TypeError):
                return  # of a schema that this version does not know: it proves nothing, and harms nothing

    def _compare(self, manifest: Manifest) -> None:
        """What is there with what the manifest says is there."""
        if self.count == 0:
            raise FoundError("all", manifest.first, "there is no event in the file")
        if self._expected <= manifest.last:
            raise FoundError("tail", self._expected, f"the events up to {manifest.last} are missing")
        reached = self.hash_at(manifest.last)
        told = (manifest.last, manifest.count, manifest.after, manifest.content)
        if told != (self._expected - 1, self.count, reached and reached.hex(), self.content):
            raise FoundError("manifest", None, "the manifest does not fit the events before it")


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends; one beyond the bound in parts, none of which is a record."""
    return iter(lambda: file.readline(_MAX_LINE_BYTES), b"")


def _with_next(lines: Iterator[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Each line with the one after it, None for the last."""
    former = next(lines, None)
    for line in lines:
        if former is not None:
            yield former, line
        former = line
    if former is not None:
        yield former, None


def _is_record(line: bytes) -> bool:
    """Whether a last line is a whole record, so that the manifest is what is missing."""
    forms: tuple[Form, ...] = ("jsonl", "csv")
    for form in forms:
        try:
            decode(line, log_id=_log_id_of(line, form), form=form)
        except BadRecordError:
            continue
        return True
    return False


def _log_id_of(line: bytes, form: Form) -> str:
    """The log that a line says it is of; empty when it says none."""
    try:
        if form == "csv":
            source = dict(zip(COLUMNS, csv_cells(line), strict=True))["source"]
        else:
            source = str(json.loads(line)["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return source.removeprefix(SOURCE)
