"""The manifest of an export: the last record of the file, which says what the file must be.

It stands in the file that it speaks of, because a pair of files is parted sooner or later; and at the end of
it, so that a file that was cut off has none. It has a digest of itself and of every byte before it. That
finds accidents; against whoever could reckon the digests anew there is the signature, made with the key that
seals the log, over the whole manifest, names included.

A seal further on in the log than the last event of the file proves that event as well, when the chain can be
followed up to the seal. What that takes of the events in between is their digest and their actor, no more:
`bridge`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from events.export_record import COLUMNS, SOURCE, Form, csv_cells, csv_line
from events.kernel.canonical import canonical_json, digest_of
from events.kernel.errors import OutsideError, error_code

EXPORT_TOO_NEW = error_code("export-too-new", "An export was written by a newer Stagecraft.")

VERSION = 1
TYPE = "stagecraft.export.manifest"
_WORDS = b"stagecraft export 1\n"

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BadManifestError(ValueError):
    """The last record is no manifest, or not as it was written; the text says why."""


class Step(BaseModel):
    """What the chain takes of an event that is not in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    leaf: Hex
    actor: str


class SealInFile(BaseModel):
    """A seal, with the keys of `events.seals.Seal`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_id: str
    lineage: str
    position: int
    hash: str
    at: str
    key_id: str
    signature: str


class Signature(BaseModel):
    """Who vouches for the file as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_id: str
    signature: str  # hex, Ed25519


class Manifest(BaseModel):
    """What an export is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["stagecraft-export"] = "stagecraft-export"
    version: int = VERSION
    form: Form
    log_id: str
    lineage: str
    exported_at: str
    first: int  # positions
    last: int
    head: int  # of the log, when it was exported
    count: int
    before: Hex  # the chain's hash before the first event
    after: Hex  # and after the last
    content: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]  # over all bytes before this record
    names: dict[str, str] | None  # by pseudonym, as far as they were known; None: not handed over
    seal: SealInFile | None  # the oldest one at or after the last event, or else the newest before it
    bridge: tuple[Step, ...]  # from the last event to the seal, when that is behind it
    signature: Signature | None = None

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return _WORDS + canonical_json(self.model_dump(exclude={"signature"}))

    def line(self) -> bytes:
        """The record."""
        told = self.model_dump()
        data = canonical_json(told | {"digest": digest_of(told)}).decode()
        if self.form == "csv":
            cells = dict.fromkeys(COLUMNS, "") | {"type": TYPE, "source": SOURCE + self.log_id, "data": data}
            return csv_line(list(cells.values()))
        head = {
            "specversion": "1.0",
            "id": digest_of(told),
            "source": SOURCE + self.log_id,
            "type": TYPE,
            "datacontenttype": "application/json",
        }
        return json.dumps(head, separators=(",", ":")).encode()[:-1] + f',"data":{data}}}\n'.encode()


def read_manifest(line: bytes) -> Manifest:
    """The manifest of a record, which must be the very line that it would be written as.

    Raises BadManifestError, and OutsideError `export-too-new`.
    """
    try:
        data = _data(line)
        digest = data.pop("digest")
        if digest != digest_of(data):
            raise BadManifestError("the manifest was changed")
        if type(data.get("version")) is int and data["version"] > VERSION:
            raise OutsideError(
                EXPORT_TOO_NEW,
                f"the export has version {data['version']}, this Stagecraft knows {VERSION}",
                next="verify it with the Stagecraft that wrote it, or a newer one",
            )
        manifest = Manifest.model_validate(data, strict=False)
        again = manifest.line()
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BadManifestError):
            raise
        raise BadManifestError("the last line is no manifest") from error
    if again != line:
        raise BadManifestError("the manifest is not written as an export writes it")
    return manifest


def _data(line: bytes) -> dict[str, Any]:
    """The data of a record of either form. Raises ValueError, KeyError or TypeError."""
    text = line.decode()
    found: dict[str, Any]
    if text.startswith("{"):
        found = json.loads(text)
        return dict(found["data"])
    cells = dict(zip(COLUMNS, csv_cells(line), strict=True))
    if cells["type"] != TYPE:
        raise ValueError("no manifest")
    found = json.loads(cells["data"])
    return found
