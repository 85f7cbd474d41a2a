"""The log, or a part of it, as one file that proves itself to somebody who has nothing else.

A part is always a range of positions without a hole: what is left out between two events could not be told
from what was taken out. What is written is what is stored, digests included; nothing is mended on the way.
So the file of a log that was tampered with says of itself where, when `events/export_check.py` looks at it.

The events carry pseudonyms. Names are handed over only when they are asked for, and then stand in the file
for good: who erases a name later does not erase it there.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.chain import link
from events.export_manifest import Manifest, SealInFile, Signature, Step
from events.export_record import COLUMNS, Form, Record, csv_line, encode
from events.kernel.errors import OutsideError, UserError, error_code
from events.rows import fits
from events.seals import parse_seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from events.ed25519 import SigningKey
    from events.log import EventLog, LogRow
    from events.seals import Seal

EXPORT_EMPTY = error_code(
    "export-empty", "No event stands between the places that an export should go from and to."
)
EXPORT_IMPOSSIBLE = error_code("export-impossible", "A row of the log cannot be told in an export.")

_PAGE_EVENTS = 1000
_MAX_BRIDGE = 20_000  # events between the last one and a seal behind it: 2 MB of the file
_PSEUDONYM = re.compile(rb"act-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which events are exported, both ends included."""

    first: int
    last: int


def chosen_range(log: EventLog, *, after: int, upto: int) -> Range:
    """The events behind `after`, up to `upto` or the head. Raises UserError `export-empty`."""
    made = Range(first=after + 1, last=min(upto, log.head()))
    if made.first > made.last:
        raise UserError(
            EXPORT_EMPTY,
            "there is no event in that part of the log",
            why=f"it would begin at position {made.first} and end at {made.last}",
            next="leave out --since and --until for the whole log",
        )
    return made


@dataclass(slots=True, kw_only=True)
class Export:
    """Writes one export; `lines` may be asked for once."""

    log: EventLog
    wanted: Range
    form: Form
    exported_at: str
    name_of: Callable[[str], str | None] | None = None  # None: names are not handed over
    key: SigningKey | None = None  # who signs the file; None: nobody
    manifest: Manifest | None = None  # of what was written; None: not to its end yet
    unfit: int | None = None  # the first event that is not as its digests say; it was written all the same

    def lines(self) -> Iterator[bytes]:
        """The lines of the file in order, the manifest last.

        Raises OutsideError `export-impossible`, and what reading the log raises.
        """
        content, names = hashlib.sha256(), dict[str, str]()
        newest: Seal | None = None
        here = self.log.anchor(self.wanted.first - 1)
        previous = here.hash
        for line in self._header():
            content.update(line)
            yield line
        for row in _rows(self.log, self.wanted):
            line = self._line(row, here.log_id, names)
            if self.unfit is None and not fits(row, previous=previous):
                self.unfit = row.position
            previous = row.hash or b""
            newest = _seal_in(row) or newest
            content.update(line)
            yield line
        self.manifest = self._manifest(f"sha256:{content.hexdigest()}", names, newest)
        yield self.manifest.line()

    def _header(self) -> list[bytes]:
        return [csv_line(list(COLUMNS))] if self.form == "csv" else []

    def _line(self, row: LogRow, log_id: str, names: dict[str, str]) -> bytes:
        name = None
        if self.name_of is not None:
            actor = row.actor.partition(":")[2]
            for pseudonym in {actor, *(one.decode() for one in _PSEUDONYM.findall(row.data))} - names.keys():
                known = self.name_of(pseudonym)
                if known is not None:
                    names[pseudonym] = " ".join(known.split())
            name = names.get(actor)
        try:
            return encode(Record(row=row, name=name), log_id=log_id, form=self.form)
        except ValueError as error:
            raise OutsideError(
                EXPORT_IMPOSSIBLE,
                f"the event at position {row.position} cannot be exported",
                why=str(error),
                next="stagecraft audit verify",
            ) from error

    def _manifest(self, content: str, names: dict[str, str], newest: Seal | None) -> Manifest:
        before, after = (self.log.anchor(one) for one in (self.wanted.first - 1, self.wanted.last))
        seal, bridge = _seal_behind(self.log, self.wanted.last) or (newest, ())
        made = Manifest(
            form=self.form,
            log_id=after.log_id,
            lineage=after.lineage,
            exported_at=self.exported_at,
            first=self.wanted.first,
            last=self.wanted.last,
            head=self.log.head(),
            count=self.wanted.last - self.wanted.first + 1,
            before=before.hash.hex(),
            after=after.hash.hex(),
            content=content,
            names=None if self.name_of is None else dict(sorted(names.items())),
            seal=None if seal is None else SealInFile(**seal.as_json()),
            bridge=bridge,
        )
        return made if self.key is None else signed(made, self.key)


def signed(manifest: Manifest, key: SigningKey) -> Manifest:
    """The manifest with a signature over the rest of it."""
    made = Signature(key_id=key.id, signature=key.sign(manifest.signed_bytes()))
    return manifest.model_copy(update={"signature": made})


def _rows(log: EventLog, wanted: Range) -> Iterator[LogRow]:
    """The rows of the range, a page at a time."""
    after = wanted.first - 1
    while after < wanted.last:
        page = log.rows(after=after, limit=min(_PAGE_EVENTS, wanted.last - after))
        if not page:
            return
        yield from page
        after = page[-1].position


def _seal_in(row: LogRow) -> Seal | None:
    """The seal that an event records."""
    if row.type != "SealMade":
        return None
    try:
        return parse_seal(json.loads(row.data)["seal"])
    except (ValueError, KeyError, TypeError):
        return None


def _seal_behind(log: EventLog, last: int) -> tuple[Seal, tuple[Step, ...]] | None:
    """The first seal that covers position `last`, and the way there; None when there is none to be had."""
    rows: list[LogRow] = []
    for row in _rows(log, Range(first=last + 1, last=min(log.head(), last + _MAX_BRIDGE))):
        seal = _seal_in(row)
        if seal is not None and seal.position >= last:
            between = [one for one in rows if one.position <= seal.position]
            return (seal, tuple(map(_step, between))) if _leads(log, last, between, seal) else None
        rows.append(row)
    return None


def _leads(log: EventLog, last: int, between: list[LogRow], seal: Seal) -> bool:
    """Whether the chain leads from event `last` to the seal; over an event that was changed it does not."""
    reached = log.anchor(last).hash
    for row in between:
        reached = link(reached, row.leaf or b"", row.actor.encode())
    return reached.hex() == seal.hash


def _step(row: LogRow) -> Step:
    return Step(leaf=(row.leaf or b"").hex(), actor=row.actor)
