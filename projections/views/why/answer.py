"""An answer to `why`, in the form that is shown and published.

The keys of `as_json` are a contract: keys may be added, none is renamed or taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from events.kernel.clock import format_utc

if TYPE_CHECKING:
    from events.envelope import Actor, StoredEvent

SubjectKind = Literal["service", "container", "release", "revision"]
StepKind = Literal["commit", "look", "manifest", "decision", "hold", "operation", "health"]
Names = Callable[[str], str | None]  # the name behind an actor's id; None: unknown or erased


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is asked about, with the environment it belongs to."""

    kind: SubjectKind
    id: str  # whole: a container's 64 digits, a commit's 40, a Release's id, a service's name
    project: str
    name: str  # of the environment, without the project
    host: str | None = None  # None: several, or none is involved

    @property
    def environment(self) -> str:
        """`<project>/<name>`."""
        return f"{self.project}/{self.name}"

    def as_json(self) -> dict[str, Any]:
        """The object of the key `subject`."""
        return {"kind": self.kind, "id": self.id, "environment": self.environment, "host": self.host}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One link of the chain, and the event that it is read from."""

    kind: StepKind
    text: str
    event: StoredEvent
    rule: str | None = None  # a stable word: by which rule it was decided so; None: nothing was decided

    @property
    def actor(self) -> Actor:
        """Who caused it."""
        return self.event.actor

    def as_json(self, names: Names) -> dict[str, Any]:
        """One object of `steps` and of `because_not`."""
        return {
            "at": format_utc(self.event.time),
            "kind": self.kind,
            "rule": self.rule,
            "text": self.text,
            "actor": {"kind": self.actor.kind, "id": self.actor.id, "name": names(self.actor.id)},
            "event": {"id": str(self.event.id), "sequence": self.event.position, "type": self.event.type},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Why: a sentence, the chain in the order of the log, and what stands against."""

    subject: Subject
    sentence: str
    steps: tuple[Step, ...] = ()
    because_not: tuple[Step, ...] = ()  # why what one might expect did not happen

    def as_json(self, names: Names) -> dict[str, Any]:
        """The object of `why --json`."""
        return {
            "subject": self.subject.as_json(),
            "answer": self.sentence,
            "steps": [step.as_json(names) for step in self.steps],
            "because_not": [step.as_json(names) for step in self.because_not],
        }
