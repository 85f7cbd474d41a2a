"""Whether the log is as it was written: every row, its end, its seals, and the blobs beside it.

The chain is followed from the first row (`events/chain.py`); the first row that does not fit is named with
what was done to it (`events/tampering.py`). Three other counts of the same events must agree with the last
row: the head, the versions of all streams, and what appends were answered; that finds an end that was cut
without a trace in the chain. A seal finds what no look at the file alone can: an end that was cut with all
counts, a log that is gone, a suffix that was written and chained anew.

Seals in the log are checked as well, but whoever cuts the log cuts them too: only a seal that was kept
elsewhere says where the log must at least reach. Without one the verdict is "complete up to an unknown end".
A log is read a page at a time, at the length that it has when the look begins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from events.broken import LogProblem
from events.chain import genesis, walk
from events.ed25519 import key_id_of
from events.kernel.errors import UserError, error_code
from events.seals import Seal, is_handed_over, parse_seal
from events.tampering import name_problem
from events.verdict import Verdict
from events.walk_aside import Aside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from events.chain import Row
    from events.ed25519 import PublicKeys
    from events.raw_log import RawHead, RawLog

SEAL_UNTRUSTED = error_code("seal-untrusted", "A seal is not signed by a key that is known and trusted.")

_SEAL_MADE, _KEY_MADE, _KEY_ROTATED, _FORKED = b"SealMade", b"SealKeyMade", b"SealKeyRotated", b"LogForked"
_READ = frozenset({_SEAL_MADE, _KEY_MADE, _KEY_ROTATED, _FORKED})
_TYPE: Final = 4  # places in a row
_TYPE_OF = itemgetter(_TYPE)
_DATA: Final = 10
_HASH: Final = 13


@dataclass(slots=True, kw_only=True)
class Verifier:
    """One look at one log."""

    raw: RawLog
    outside: Sequence[Seal] = ()  # seals that were kept elsewhere
    keys: PublicKeys = field(default_factory=dict[str, bytes])  # trusted to begin with
    strict: bool = False  # whether no other key is trusted than `keys` and those that they hand over to
    seen: Callable[[int, int], None] | None = None  # told how far it is, and of how many
    _known: PublicKeys = field(default_factory=dict[str, bytes])
    _former: set[str] = field(default_factory=set[str])  # logs that this one was forked from
    _strange_keys: dict[str, int] = field(default_factory=dict[str, int])  # how many seals in the log each
    _ours: list[Seal] = field(default_factory=list[Seal])  # from outside, of this log, by position
    _held: int = 0  # how many of them were held against the rows
    _accuser: Seal | None = None  # the seal from outside by which a problem was found
    _notes: list[str] = field(default_factory=list[str])
    _inside: int = 0
    _lineage: str = ""
    _mistakable: bool = False
    _newest_inside: Seal | None = None
    _good: int = 0
    _hash: bytes = b""

    def verdict(self) -> Verdict:
        """Follow the log to its end.

        Raises UserError `seal-untrusted` for a seal from outside whose signature is false, and what reading
        the file raises.
        """
        self._known = dict(self.keys)
        head = self.raw.head()
        if head is None:
            return self._found(LogProblem(position=0, kind="edit", detail="the head row of the log is gone"))
        self._hash = _first_hash(head)
        of_this = [one for one in self.outside if one.log_id.encode() == head.log_id]
        self._ours = sorted(of_this, key=lambda one: one.position)
        problem = self._emptied(head) or self._walked(head) or self._end(head) or self._seals_beyond(head)
        return self._found(problem)

    def _emptied(self, head: RawHead) -> LogProblem | None:
        if head.last:
            return None
        reached = max(head.position, head.counted, head.appended)
        if not reached and self.outside:
            self._accuser = max(self.outside, key=lambda one: one.position)
            reached = self._accuser.position
        if not reached:
            return None
        return LogProblem(
            position=1, kind="all", detail=f"every event is gone; there were at least {reached}"
        )

    def _walked(self, head: RawHead) -> LogProblem | None:
        """Follow the rows, of a long log the newer ones aside."""
        aside = Aside.begin(self.raw, upto=head.last)
        if aside is None:
            return self._followed(head, after=min(head.first - 1, 0), upto=head.last)
        try:
            problem = self._followed(head, after=min(head.first - 1, 0), upto=aside.after)
            problem = problem or self._joined(aside, head)
            return problem or self._followed(head, after=self._good, upto=head.last)
        finally:
            aside.close()

    def _joined(self, aside: Aside, head: RawHead) -> LogProblem | None:
        """Take on what was followed aside where it goes on from here and fits; else stay where it began."""
        begun = (aside.after, aside.previous)
        if (self._good, self._hash) != begun or (end := aside.hash_of_end()) is None:
            return None
        for row in self.raw.rows_of([name.decode() for name in _READ], after=aside.after, upto=aside.upto):
            self._good, self._hash = row[0], row[_HASH]
            if (problem := self._outside_seals() or self._read(row, head)) is not None:
                return problem
        self._good, self._hash = aside.upto, end
        return self._outside_seals()

    def _followed(self, head: RawHead, *, after: int, upto: int) -> LogProblem | None:
        """Follow rows one by one; seals up to each page's end are held against it."""
        while page := self.raw.page(after=after, upto=upto):
            walked = walk(page, previous=self._hash, position=self._good)
            begin, self._good, self._hash = self._good, walked.position, walked.hash
            fitting = page if walked.bad is None else page[: walked.position - begin]
            sealed = self._inside_seals(fitting, head) or self._outside_seals()
            if sealed is not None:
                return sealed
            if walked.bad is not None:
                return self._named(walked.bad, head)
            after = page[-1][0]
            if self.seen is not None:
                self.seen(self._good, head.last)
        return None

    def _named(self, row: Row, head: RawHead) -> LogProblem:
        if self._good == 0 and (problem := self._other_head(row, head)) is not None:
            return problem
        upto = max(head.last, head.position)
        return name_problem(self.raw, row, previous=self._hash, good=self._good, upto=upto)

    def _other_head(self, row: Row, head: RawHead) -> LogProblem | None:
        """The first row does not follow from this log's id, but from one that a seal names."""
        for one in self.raw.rows(after=0, upto=head.last):
            if one[_TYPE] != _SEAL_MADE or (seal := _seal_of(one)) is None:
                continue
            named = genesis(log_id=seal.log_id, lineage=seal.lineage)
            if walk([row], previous=named, position=0).bad is None:
                self._lineage = seal.lineage
                words = f"the id of the log was changed; it was {seal.log_id}, of lineage {seal.lineage}"
                return LogProblem(position=1, kind="edit", detail=words)
        return None

    def _inside_seals(self, rows: Sequence[Row], head: RawHead) -> LogProblem | None:
        if _READ.isdisjoint(map(_TYPE_OF, rows)):  # of nearly all pages, and far quicker than row by row
            return None
        for row in rows:
            if row[_TYPE] in _READ and (problem := self._read(row, head)) is not None:
                return problem
        return None

    def _read(self, row: Row, head: RawHead) -> LogProblem | None:
        """Take in what an event says of keys, forks and seals."""
        if row[_TYPE] == _SEAL_MADE:
            seal = _seal_of(row)
            return None if seal is None else self._inside_seal(row[0], seal, head)
        try:
            data = json.loads(row[_DATA])
            if row[_TYPE] == _FORKED:
                self._former.add(data["former_log_id"])
                bad = f"{data['problem_kind']} at event {data['problem_position']}"
                from_log = f"event {row[0]}: forked from the log {data['former_log_id']} ({bad})"
                proof = f"what was before is proved by its own file alone, {data['kept_as']}"
                self._notes.append(f"{from_log}; {proof}")
            elif row[_TYPE] == _KEY_MADE:
                public_key = bytes.fromhex(data["public_key"])
                if not self.strict:
                    self._known.setdefault(key_id_of(public_key), public_key)
            else:
                self._rotated(row[0], data)
        except (ValueError, KeyError, TypeError):  # a row that fits and says nothing we know: a newer one
            self._notes.append(f"event {row[0]}: what it says of the log is not understood")
        return None

    def _rotated(self, position: int, data: dict[str, Any]) -> None:
        """A key that a known one hands over to is known; one that none did, only where all are."""
        public_key = bytes.fromhex(data["public_key"])
        key_id, former = key_id_of(public_key), self._known.get(data["former"])
        if former is not None and is_handed_over(former, public_key, data["signature"]):
            self._known[key_id] = public_key
            return
        self._notes.append(f"event {position}: key {key_id} was not signed by the one before it")
        if not self.strict:
            self._known.setdefault(key_id, public_key)

    def _inside_seal(self, position: int, seal: Seal, head: RawHead) -> LogProblem | None:
        if seal.log_id.encode() != head.log_id:
            if seal.log_id in self._former:
                return None
            words = f"the seal at {position} is of the log {seal.log_id}, and no fork from it is recorded"
            return LogProblem(position=position, kind="rewrite", detail=words)
        key = self._known.get(seal.key_id)
        if key is None:
            self._strange_keys[seal.key_id] = self._strange_keys.get(seal.key_id, 0) + 1
            return None
        if not seal.is_signed_by(key):
            return LogProblem(position=position, kind="rewrite", detail="the signature of a seal is false")
        if (problem := self._held_against(seal, f"the seal in event {position}")) is not None:
            return problem
        self._inside += 1
        self._newest_inside = seal
        return None

    def _outside_seals(self) -> LogProblem | None:
        """Hold the seals from outside that speak of the rows followed so far against them."""
        while self._held < len(self._ours) and self._ours[self._held].position <= self._good:
            seal = self._ours[self._held]
            if (problem := self._held_against(seal, "a seal from outside")) is not None:
                self._accuser = seal
                return problem
            self._held += 1
        return None

    def _held_against(self, seal: Seal, what: str) -> LogProblem | None:
        stored = self._hash if seal.position == self._good else self.raw.hash_at(seal.position)
        if stored is not None and stored.hex() == seal.hash:
            return None
        words = (
            f"{what} says another hash for event {seal.position}: the chain fits in itself, "
            "so it was written anew up to there"
        )
        return LogProblem(position=seal.position, kind="rewrite", detail=words)

    def _end(self, head: RawHead) -> LogProblem | None:
        """Whether all counts of the events agree with the last row."""
        reached = max(head.position, head.counted, head.appended)
        if reached > self._good:
            words = f"the log ends at {self._good} and reached {reached}: its end was cut"
            return LogProblem(position=self._good + 1, kind="tail", detail=words)
        if head.position < self._good:
            words = f"rows stand behind the head, which says {head.position}"
            return LogProblem(position=head.position + 1, kind="edit", detail=words)
        if head.hash != self._hash:
            words = "the head has another hash than the last row: that was written anew, or the head was"
            return LogProblem(position=self._good, kind="rewrite", detail=words)
        if head.counted < self._good:
            words = f"the streams count {head.counted} events and the log has {self._good}"
            return LogProblem(position=self._good, kind="edit", detail=words)
        return None

    def _seals_beyond(self, head: RawHead) -> LogProblem | None:
        """Seals from outside that speak of what is not here: a longer log, or another one."""
        if self._held < len(self._ours):
            self._accuser = self._ours[-1]
            words = f"a seal from outside was made at {self._accuser.position}, the log ends at {self._good}"
            return LogProblem(position=self._good + 1, kind="tail", detail=words)
        strangers = [one for one in self.outside if one.log_id.encode() != head.log_id]
        unknown = [one for one in strangers if one.log_id not in self._former]
        if unknown:
            self._accuser, self._mistakable = unknown[-1], True
            words = f"the log that was sealed is {unknown[0].log_id}: this is another one, and no fork of it"
            return LogProblem(position=1, kind="rewrite", detail=words)
        if strangers:
            words = "are of a log that this one was forked from, and say nothing of this one"
            self._notes.append(f"{len(strangers)} seals {words}")
        return None

    def _found(self, problem: LogProblem | None) -> Verdict:
        newest = self._ours[self._held - 1] if self._held and problem is None else None
        self._check_signature(self._accuser or newest, problem)
        seal = newest or self._newest_inside
        strange = [
            f"{count} seals in the log are by the key {key_id}, which is not known"
            for key_id, count in self._strange_keys.items()
        ]
        return Verdict(
            to=self._good,
            hash=self._hash.hex(),
            sealed_to=None if seal is None else seal.position,
            outside=newest is not None,
            problem=problem,
            seal=seal,
            inside_seals=self._inside,
            lineage=self._lineage,
            certain=not self._mistakable,
            notes=(*self._notes, *strange),
        )

    def _check_signature(self, seal: Seal | None, problem: LogProblem | None) -> None:
        """See that a trusted key made the seal from outside that the verdict rests on.

        Where a problem was found the event that names its key may be gone too; then it is told all the same.
        """
        key = None if seal is None else self._known.get(seal.key_id)
        if seal is None or (key is not None and seal.is_signed_by(key)):
            return
        if key is None and (problem is not None or not self.strict):
            words = f"the signature of the seal of {seal.position} was not checked: its key is unknown"
            self._notes.append(words)
            self._mistakable = True
            return
        raise UserError(
            SEAL_UNTRUSTED,
            f"the seal of event {seal.position} is not signed by a trusted key",
            why=f"it names the key {seal.key_id}; known are: {', '.join(sorted(self._known)) or 'none'}",
            next="give the public key that belongs to the seal with --public-key FILE",
        )


def _first_hash(head: RawHead) -> bytes:
    """The hash before the first row; ids that were made no text are held to be other ones."""
    return genesis(log_id=head.log_id.decode(errors="replace"), lineage=head.lineage.decode(errors="replace"))


def _seal_of(row: Row) -> Seal | None:
    """The seal that an event keeps, None when it cannot be read."""
    try:
        return parse_seal(json.loads(row[_DATA])["seal"])
    except (ValueError, KeyError, TypeError):
        return None
