"""Whether an export is what it says: its bytes, its chain, its seals. Needs the file, and keys to trust.

Everything is reckoned anew: each record is written once more and compared, its digests are made from what it
says, and the chain is followed from the first record to the last, and on over the bridge to a seal. What is
found first is told with its position and its kind, in the words that a verification of the log itself has;
two more are about the file: `manifest` (its last record) and `seal` (nobody trusted vouches for it).

What a file cannot prove is told as well: an end that no seal covers may have been another one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from itertools import chain as chained_together
from typing import IO, TYPE_CHECKING, Any, Literal

from events.chain import DIGEST_BYTES, chained, link
from events.ed25519 import is_signature, key_id_of
from events.export_manifest import BadManifestError, Manifest, read_manifest
from events.export_record import COLUMNS, SOURCE, BadRecordError, Form, csv_cells, csv_line, decode
from events.seals import Seal, is_handed_over, parse_seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from events.ed25519 import PublicKeys
    from events.export_record import Record
    from events.log import LogRow

Kind = Literal["edit", "actor", "swap", "drop", "tail", "all", "rewrite", "manifest", "seal"]

MAX_LINE_BYTES = 256 * 1024 * 1024  # of the largest event and the longest manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The first thing that is wrong with an export."""

    position: int | None  # of the first bad event, or the first that is missing; None: it is about no event
    kind: Kind
    detail: str

    def as_json(self) -> dict[str, Any]:
        """The object `problem`."""
        return {"position": self.position, "kind": self.kind, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a file vouches for."""

    problem: Problem | None
    manifest: Manifest | None  # None: the file has none that can be read
    first: int | None  # the events that are as they were: from here
    last: int | None  # to here; None: none
    sealed_to: int | None  # the last event that a seal covers; None: no seal was checked, or none covers any
    seal: Seal | None  # the one that reaches furthest
    signed_by: str | None  # the trusted key that vouches for the file as a whole; None: none does

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.problem is None

    def as_json(self) -> dict[str, Any]:
        """The object of `audit verify-export --json`; its keys are a published contract."""
        known = self.manifest
        return {
            "ok": self.ok,
            "from": self.first,
            "to": self.last,
            "sealed_to": self.sealed_to,
            "problem": None if self.problem is None else self.problem.as_json(),
            "log_id": known and known.log_id,
            "lineage": known and known.lineage,
            "count": known and known.count,
            "head": known and known.head,
            "exported_at": known and known.exported_at,
            "names": known is not None and known.names is not None,
            "sealed_at": self.seal and self.seal.at,
            "sealed_by": self.seal and self.seal.key_id,
            "signed_by": self.signed_by,
        }


class _FoundError(Exception):
    """Ends the search: the first thing that is wrong."""

    def __init__(self, kind: Kind, position: int | None, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(position=position, kind=kind, detail=detail)


def check_export(path: Path, *, keys: PublicKeys | None = None, seals: Sequence[Seal] = ()) -> Verdict:
    """Check the file. `keys` are trusted, None: no signature is looked at; `seals` come from elsewhere.

    Raises OSError, and OutsideError `export-too-new`.
    """
    check = _Check(path=path, keys=keys, given=seals)
    problem: Problem | None = None
    try:
        check.run()
    except _FoundError as found:
        problem = found.problem
    good = check.count > 0
    return Verdict(
        problem=problem,
        manifest=check.manifest,
        first=check.first if good else None,
        last=check.first + check.count - 1 if good else None,
        sealed_to=check.sealed_to,
        seal=check.seal,
        signed_by=check.signed_by,
    )


@dataclass(slots=True, kw_only=True)
class _Check:
    """One check of one file."""

    path: Path
    keys: PublicKeys | None
    given: Sequence[Seal]
    manifest: Manifest | None = None
    form: Form = "jsonl"
    first: int = 1
    count: int = 0  # records that are as they were
    sealed_to: int | None = None
    seal: Seal | None = None
    signed_by: str | None = None
    _hashes: bytearray = field(default_factory=bytearray)  # of the records so far, one after the other
    _recorded: list[Seal] = field(default_factory=list[Seal])  # that the events tell of
    _trusted: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def run(self) -> None:
        """Raise `_FoundError` for the first thing that is wrong."""
        last_line, content, fault = self._look()
        self._trusted = dict(self.keys or {})
        self._walk()
        manifest = self.manifest
        if manifest is None:
            cut = not last_line.endswith(b"\n") or _is_record(last_line)
            position = self.first + self.count if self.count else None
            kind: Kind = "tail" if cut else "manifest"
            raise _FoundError(kind, position, f"{fault}; the file was cut off or changed at its end")
        self._compare(manifest, content)
        self._check_signature(manifest)
        self._check_seals(manifest)

    def _look(self) -> tuple[bytes, str, str]:
        """The last line, the digest of all before it, and why the last line is no manifest."""
        content, last = hashlib.sha256(), b""
        with self.path.open("rb") as file:
            for line in _lines(file):
                content.update(last)
                last = line
                if self.form == "jsonl" and not line.startswith(b"{"):
                    self.form = "csv"
        if not last:
            raise _FoundError("all", None, "the file is empty")
        fault = ""
        try:
            self.manifest = read_manifest(last)
        except BadManifestError as error:
            fault = str(error)
        if self.manifest is not None:
            self.form, self.first = self.manifest.form, self.manifest.first
        return last, f"sha256:{content.hexdigest()}", fault

    def _walk(self) -> None:
        """Follow the chain over all records."""
        with self.path.open("rb") as file:
            lines = _with_next(_lines(file))
            if self.form == "csv":
                self._check_head(next(lines, (b"", None))[0])
            log_id, previous = self._begin()
            for line, following in lines:
                if following is None and (self.manifest is not None or not _is_record(line)):
                    return
                log_id = log_id or _log_id_of(line, self.form)
                record = self._decoded(line, log_id)
                previous = self._fitting(record, previous)
                self._note(record.row)

    def _begin(self) -> tuple[str, bytes | None]:
        """The log's id and the hash before the first record; unknown where there is no manifest."""
        if self.manifest is None:
            return "", None
        return self.manifest.log_id, bytes.fromhex(self.manifest.before)

    def _check_head(self, line: bytes) -> None:
        if line != csv_line(list(COLUMNS)):
            raise _FoundError("edit", None, "the line of column names is not that of an export")

    @property
    def _expected(self) -> int:
        return self.first + self.count

    def _decoded(self, line: bytes, log_id: str) -> Record:
        try:
            return decode(line, log_id=log_id, form=self.form)
        except BadRecordError as error:
            position = self._expected if self.count or self.manifest is not None else error.position
            raise _FoundError("edit", position, str(error)) from error

    def _fitting(self, record: Record, previous: bytes | None) -> bytes:
        """The hash of a record that follows `previous`."""
        row = record.row
        if self.count == 0 and self.manifest is None:
            self.first = row.position
        digests = chained(
            previous=previous or b"",
            position=row.position,
            event_id=row.event_id,
            stream=row.stream,
            version=row.version,
            type_name=row.type,
            schema=row.schema,
            at_us=row.at_us,
            actor=row.actor,
            correlation=row.correlation,
            causation=row.causation,
            data=row.data,
        )
        if digests.data_hash != row.data_hash:
            raise _FoundError("edit", self._expected, "the data are not those that were recorded")
        if digests.leaf != row.leaf:
            raise _FoundError("edit", self._expected, "an attribute is not the one that was recorded")
        if row.position != self._expected:
            raise self._misplaced(row.position)
        if previous is not None and digests.hash != row.hash:
            raise _FoundError(
                "actor", row.position, "the actor is not the one that was recorded, or the chain is another"
            )
        self._check_name(record)
        return row.hash or b""

    def _misplaced(self, found: int) -> _FoundError:
        """Why another record stands where one is expected."""
        expected = self._expected
        if found < expected or any(position == expected for position in self._positions()):
            return _FoundError("swap", expected, f"event {found} stands in its place")
        return _FoundError("drop", expected, f"event {found} follows event {expected - 1}")

    def _positions(self) -> Iterator[int]:
        """What all records say of their place, as far as it can be read."""
        with self.path.open("rb") as file:
            for line in _lines(file):
                try:
                    yield decode(line, log_id=_log_id_of(line, self.form), form=self.form).row.position
                except BadRecordError:
                    continue

    def _check_name(self, record: Record) -> None:
        if self.manifest is None:
            return
        names: Mapping[str, str] = self.manifest.names or {}
        if record.name != names.get(record.row.actor.partition(":")[2]):
            raise _FoundError("actor", record.row.position, "the name is not the one in the manifest")

    def _note(self, row: LogRow) -> None:
        """Keep what a good record says for the seals."""
        self.count += 1
        self._hashes += row.hash or b""
        if row.type == "SealMade":
            try:
                self._recorded.append(parse_seal(json.loads(row.data)["seal"]))
            except (ValueError, KeyError, TypeError):
                return  # of a schema that this version does not know: it proves nothing, and harms nothing
        elif row.type == "SealKeyRotated":
            self._follow_key(row.data)

    def _follow_key(self, data: bytes) -> None:
        """Trust a key that a trusted one handed over to."""
        try:
            told: dict[str, Any] = json.loads(data)
            former, key = self._trusted.get(told["former"]), bytes.fromhex(told["public_key"])
            if former is not None and is_handed_over(former, key, told["signature"]):
                self._trusted[key_id_of(key)] = key
        except (ValueError, KeyError, TypeError):
            return  # it hands nothing over

    def _compare(self, manifest: Manifest, content: str) -> None:
        """What is there with what the manifest says is there."""
        if self._expected <= manifest.last:
            kind: Kind = "tail" if self.count else "all"
            raise _FoundError(kind, self._expected, f"the events up to {manifest.last} are missing")
        reached = self._hash_at(manifest.last)
        told = (manifest.last, manifest.count, manifest.after, manifest.content)
        if told != (self._expected - 1, self.count, reached and reached.hex(), content):
            raise _FoundError("manifest", None, "the manifest does not fit the events before it")

    def _hash_at(self, position: int) -> bytes | None:
        """The chain's hash at a position, over the bridge where there is one; None: not to be had here."""
        manifest = self.manifest
        if manifest is not None and position == self.first - 1:
            return bytes.fromhex(manifest.before)
        place = (position - self.first) * DIGEST_BYTES
        if place < 0 or manifest is None:
            return None
        if place < len(self._hashes):
            return bytes(self._hashes[place : place + DIGEST_BYTES])
        steps = position - manifest.last
        if steps > len(manifest.bridge):
            return None
        reached = bytes.fromhex(manifest.after)
        for step in manifest.bridge[:steps]:
            reached = link(reached, bytes.fromhex(step.leaf), step.actor.encode())
        return reached

    def _check_signature(self, manifest: Manifest) -> None:
        signature = manifest.signature
        key = None if signature is None else self._trusted.get(signature.key_id)
        if signature is None or key is None:
            return
        if not is_signature(key, signature.signature, manifest.signed_bytes()):
            raise _FoundError(
                "manifest", None, f"the signature of key {signature.key_id} does not fit the file"
            )
        self.signed_by = signature.key_id

    def _check_seals(self, manifest: Manifest) -> None:
        """The seals that the file has and those from elsewhere, against the chain."""
        own = [] if manifest.seal is None else [Seal(**manifest.seal.model_dump())]
        for seal in chained_together(self._recorded, own):
            if seal.log_id == manifest.log_id and self._is_trusted(seal):
                self._compare_seal(seal, manifest)
        given = [seal for seal in self.given if seal.log_id == manifest.log_id]
        if self.given and not given:
            raise _FoundError("seal", None, f"the seal is of log {self.given[-1].log_id}, not of this one")
        for seal in given:
            if self.keys is not None and not self._is_trusted(seal):
                raise _FoundError(
                    "seal", None, f"the seal of position {seal.position} has no trusted signature"
                )
            if self._compare_seal(seal, manifest) is None and seal.position > manifest.last:
                raise _FoundError(
                    "tail",
                    manifest.last + 1,
                    f"a seal covers the log up to {seal.position}; the file ends at {manifest.last}",
                )
        if self.keys is not None and self.sealed_to is None and self.signed_by is None:
            raise _FoundError(
                "seal", self.first, "neither a seal nor the file is signed by a key that is trusted"
            )

    def _is_trusted(self, seal: Seal) -> bool:
        key = self._trusted.get(seal.key_id)
        return key is not None and seal.is_signed_by(key)

    def _compare_seal(self, seal: Seal, manifest: Manifest) -> bool | None:
        """Whether the chain has the hash that a seal says; None: the file does not reach to its place."""
        reached = self._hash_at(seal.position)
        if reached is None:
            return None
        if reached.hex() != seal.hash:
            position = min(seal.position, manifest.last)
            raise _FoundError(
                "rewrite", position, f"a seal of {seal.at} says another hash for position {seal.position}"
            )
        if self.seal is None or seal.position >= self.seal.position:
            self.seal, self.sealed_to = seal, min(seal.position, manifest.last)
        return True


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends; one beyond the bound in parts, none of which is a record."""
    return iter(lambda: file.readline(MAX_LINE_BYTES), b"")


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
    for form in ("jsonl", "csv"):
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
    except Exception:  # noqa: BLE001  # whatever a line is, it says nothing then
        return ""
    return source.removeprefix(SOURCE)
