"""One record of an export: a row of the log as a line that can be hashed again exactly.

    jsonl   one JSON object a line, with the attribute names of CloudEvents 1.0, `data` last
    csv     the same attributes as columns

Whatever the chain is over stands in the line in full and once: ids as text, times with microseconds, the
actor as the log has it, and the data as the stored bytes themselves (`data`), or as base64 (`data_base64`)
where those bytes would not be one line of JSON. So a line has one form only: it is read, written again and
compared, and a byte that was changed cannot hide in what a parser passes over. Beside it stand the three
digests that the log keeps of the row, which are taken over and not reckoned anew: an export of a log that
was changed must not mend it.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

from events.log import LogRow
from events.streams import StreamName

if TYPE_CHECKING:
    from collections.abc import Mapping

Form = Literal["jsonl", "csv"]

SOURCE = "urn:stagecraft:log:"
COLUMNS = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "position",
    "version",
    "schema",
    "actor",
    "actorname",
    "correlationid",
    "causationid",
    "datahash",
    "leafhash",
    "hash",
    "datacontenttype",
    "data",
    "data_base64",
)
_NUMBERS = frozenset({"position", "version", "schema"})
_SPEC, _JSON = "1.0", "application/json"
_DATA_KEY = b',"data":'
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class BadRecordError(ValueError):
    """A line is no record; the text says why. `position` is what it says of itself, None: nothing."""

    def __init__(self, why: str, position: int | None = None) -> None:
        super().__init__(why)
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row, and the name behind its actor when names are handed over and this one is known."""

    row: LogRow
    name: str | None = None


def encode(record: Record, *, log_id: str, form: Form) -> bytes:
    """The line of a record, with its end.

    Raises ValueError for a row that cannot be told: one without digests or with a time that no calendar has.
    """
    attributes = _attributes(record, log_id)
    data = record.row.data
    plain = _is_one_line_of_json(data)
    if form == "csv":
        encoded = base64.b64encode(data).decode()
        last = {"data": data.decode(), "data_base64": ""} if plain else {"data": "", "data_base64": encoded}
        return csv_line([str(one) for one in ({**dict.fromkeys(COLUMNS, ""), **attributes} | last).values()])
    head = json.dumps(attributes, ensure_ascii=False, separators=(",", ":")).encode()
    if plain:
        return head[:-1] + _DATA_KEY + data + b"}\n"
    return head[:-1] + b',"data_base64":"' + base64.b64encode(data) + b'"}\n'


def decode(line: bytes, *, log_id: str, form: Form) -> Record:
    """The record of a line, which must be the very line that `encode` makes of it. Raises BadRecordError."""
    try:
        found, data = (_read_csv if form == "csv" else _read_jsonl)(line)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRecordError(f"it is no record of an export: {error}") from error
    position = found.get("position")
    position = position if type(position) is int else None
    try:
        record = _record(found, data)
        again = encode(record, log_id=log_id, form=form)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise BadRecordError(f"it is no whole record: {error!r}", position) from error
    if again != line:
        raise BadRecordError("it is not written as an export writes it", position)
    return record


def csv_line(cells: list[str]) -> bytes:
    """A line of CSV with its end. Raises ValueError for a cell of several lines."""
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerow(cells)
    line = made.getvalue().encode()
    if line.count(b"\n") > 1 or b"\r" in line:
        raise ValueError("a text of several lines has no place in a line")
    return line


def csv_cells(line: bytes) -> list[str]:
    """The cells of one line. Raises ValueError."""
    csv.field_size_limit(
        max(len(line), csv.field_size_limit())
    )  # of the process; the data of an event may be long
    try:
        (cells,) = csv.reader([line.decode().removesuffix("\n")], strict=True)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return cells


def _attributes(record: Record, log_id: str) -> dict[str, Any]:
    """All but the data, in the order of `COLUMNS`; what there is none of is left out."""
    row = record.row
    if row.data_hash is None or row.leaf is None or row.hash is None:
        raise ValueError("the row has no digests")
    told: dict[str, Any] = {
        "specversion": _SPEC,
        "id": str(UUID(bytes=row.event_id)),
        "source": SOURCE + log_id,
        "type": row.type,
        "subject": row.stream,
        "time": _time(row.at_us),
        "position": row.position,
        "version": row.version,
        "schema": row.schema,
        "actor": row.actor,
    }
    if record.name is not None:
        told["actorname"] = record.name
    told["correlationid"] = str(UUID(bytes=row.correlation))
    if row.causation is not None:
        told["causationid"] = str(UUID(bytes=row.causation))
    digests = {"datahash": row.data_hash.hex(), "leafhash": row.leaf.hex(), "hash": row.hash.hex()}
    return told | digests | {"datacontenttype": _JSON}


def _time(at_us: int) -> str:
    try:
        moment = _EPOCH + at_us * _MICROSECOND
    except OverflowError as error:
        raise ValueError(f"no calendar has the time {at_us}") from error
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _at_us(text: str) -> int:
    if not _TIME.fullmatch(text):
        raise ValueError(f"no time: {text[:40]!r}")
    return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND


def _is_one_line_of_json(data: bytes) -> bool:
    if b"\n" in data or b"\r" in data:
        return False
    try:
        json.loads(data.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _read_jsonl(line: bytes) -> tuple[dict[str, Any], bytes]:
    """The attributes and the data of a line of JSON."""
    text = line.removesuffix(b"\n")
    place = text.find(_DATA_KEY)  # no text in JSON holds a quote that is not escaped, so this is the key
    head = text if place < 0 else text[:place] + b"}"
    found: Any = json.loads(head.decode())
    if not isinstance(found, dict):
        raise TypeError("a record is an object")
    attributes = cast("dict[str, Any]", found)
    if place >= 0:
        return attributes, text[place + len(_DATA_KEY) : -1]
    return attributes, base64.b64decode(attributes["data_base64"], validate=True)


def _read_csv(line: bytes) -> tuple[dict[str, Any], bytes]:
    """The attributes and the data of a line of CSV."""
    cells = csv_cells(line)
    told: dict[str, Any] = dict(zip(COLUMNS, cells, strict=True))
    for name in _NUMBERS:
        told[name] = int(told[name])
    data = told["data"].encode() if told["data"] else base64.b64decode(told["data_base64"], validate=True)
    return {name: cell for name, cell in told.items() if cell != ""}, data


def _record(found: Mapping[str, Any], data: bytes) -> Record:
    """The record of attributes; what they say beyond it is found when it is written again."""
    cause = found.get("causationid")
    row = LogRow(
        position=found["position"],
        event_id=UUID(found["id"]).bytes,
        stream=StreamName(found["subject"]),
        version=found["version"],
        type=found["type"],
        schema=found["schema"],
        at_us=_at_us(found["time"]),
        actor=found["actor"],
        correlation=UUID(found["correlationid"]).bytes,
        causation=None if cause is None else UUID(cause).bytes,
        data=data,
        data_hash=bytes.fromhex(found["datahash"]),
        leaf=bytes.fromhex(found["leafhash"]),
        hash=bytes.fromhex(found["hash"]),
    )
    return Record(row=row, name=found.get("actorname"))
