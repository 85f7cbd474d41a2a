"""What a look at the log found, and how far it can vouch for what it looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from events.broken import LogProblem
    from events.seals import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a look at the log found."""

    to: int  # the last event that is as it was written
    hash: str  # the chain's hash there, hex
    sealed_to: int | None  # the last event that a seal covers; None: no seal agrees
    outside: bool  # whether that seal was kept outside the log
    problem: LogProblem | None
    seal: Seal | None  # the newest one that agrees
    inside_seals: int  # seals in the log that agree
    lineage: str = ""  # that the events were written under, where the head says another one
    certain: bool = True  # whether the problem rests on nothing that somebody may have mistaken
    notes: tuple[str, ...] = ()  # what a reader should know beside it

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.problem is None

    @property
    def vouches(self) -> str:
        """What the verdict says of the log's end, for people."""
        if self.outside and self.sealed_to is not None:
            first = self.sealed_to + 1
            rest = f"event {first}" if first == self.to else f"events {first} to {self.to}"
            after = f"; for {rest} the chain alone speaks, up to an unknown end" if first <= self.to else ""
            return f"complete up to event {self.sealed_to}, by a seal that was kept outside{after}"
        return "complete up to an unknown end: no seal from outside was given, so a cut end would not show"

    def as_json(self) -> dict[str, Any]:
        """The object that `audit verify --json` prints."""
        return {
            "ok": self.ok,
            "from": 1 if self.to else 0,
            "to": self.to,
            "sealed_to": self.sealed_to,
            "problem": None if self.problem is None else asdict(self.problem),
            "vouches": self.vouches if self.ok else None,
            "seals_in_log": self.inside_seals,
            "notes": list(self.notes),
        }
