"""What all event classes share, and the table that finds a class by its stored name.

A class name in the past tense is the event's type and never changes. Readers take an event of a newer
schema as far as they know its fields; writers write exactly the fields of the class.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from events.envelope import ProposedEvent
from events.kernel.canonical import canonical_json
from events.kernel.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from events.envelope import Actor, StoredEvent
    from events.kernel.clock import Clock
    from events.kernel.errors import StagecraftError
    from events.kernel.ids import Ids

FailureCause = Literal["repository", "outside", "internal"]
StreamKind = Literal["environment", "release", "repository", "host", "tenant", "log"]


class Event(BaseModel):
    """Base of all event classes: frozen, and tolerant of keys that a newer version added."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    STREAM: ClassVar[StreamKind]
    SCHEMA: ClassVar[int] = 1


class Unrecognised(Event):
    """Stands for an event whose type this version does not know; folds pass over it."""


class Failure(BaseModel):
    """Why something failed, complete enough to read without any other source."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str = Field(description="Stable kebab-case error code.")
    message: str = Field(description="What happened, in one sentence.")
    cause: FailureCause = Field(
        description="Who can mend it: a new commit, something outside, or a fix of Stagecraft."
    )
    host: str | None = Field(default=None, description="The host it happened on.")
    service: str | None = Field(default=None, description="The service it happened to.")
    where: str = Field(default="", description="File, line and dotted key, when the input is at fault.")
    why: str = Field(
        default="",
        description="The words of the engine, Compose, Git or the registry; of a probe, its last answer.",
    )
    next: str = Field(default="", description="A command or an action that helps.")
    container: str | None = Field(default=None, description="Id of the container that failed.")
    exit_code: int | None = Field(default=None, description="Exit code of the container, when it ended.")
    health_output: str = Field(default="", description="Output of the last health check.")
    log_tail: tuple[str, ...] = Field(default=(), description="Last lines of the container's log.")
    kept: str = Field(
        default="",
        description="File below the home with what is kept of the container for a while; empty: nothing is.",
    )

    @classmethod
    def from_error(cls, error: StagecraftError) -> Failure:
        """What an error says, in the form the log keeps; the cause follows from its place in the tree."""
        causes: dict[ExitCode, FailureCause] = {ExitCode.USER: "repository", ExitCode.OUTSIDE: "outside"}
        return cls(
            code=error.code,
            message=error.message,
            cause=causes.get(error.exit_code, "internal"),
            host=error.where.host,
            service=error.where.service,
            where=str(replace(error.where, host=None, service=None)),
            why=error.why,
            next=error.next,
        )


_CLASSES: dict[str, type[Event]] = {}
EventT = TypeVar("EventT", bound=Event)


def recorded(stream: StreamKind) -> Callable[[type[EventT]], type[EventT]]:
    """Enter an event class into the catalogue as an event of streams of one kind."""

    def enter(cls: type[EventT]) -> type[EventT]:
        if cls.__name__ in _CLASSES:
            raise ValueError(f"event type declared twice: {cls.__name__}")
        cls.STREAM = stream
        _CLASSES[cls.__name__] = cls
        return cls

    return enter


def event_classes() -> dict[str, type[Event]]:
    """All event classes by type name, sorted."""
    return dict(sorted(_CLASSES.items()))


def decode(stored: StoredEvent) -> Event:
    """The stored event as an object of its class, `Unrecognised` when the type is unknown here.

    Raises pydantic.ValidationError when the data do not fit the class: the log is damaged or a schema
    changed without a step.
    """
    cls = _CLASSES.get(stored.type)
    return Unrecognised() if cls is None else cls.model_validate_json(stored.data)


def propose(
    event: Event,
    *,
    ids: Ids,
    clock: Clock,
    actor: Actor,
    correlation: UUID | None = None,
    causation: UUID | None = None,
) -> ProposedEvent:
    """Dress an event for the log. Without a correlation it begins an undertaking of its own."""
    if type(event).__name__ not in _CLASSES:
        raise ValueError(f"not in the catalogue: {type(event).__name__}")
    event_id = ids.event_id()
    data: dict[str, Any] = event.model_dump(mode="json")
    return ProposedEvent(
        id=event_id,
        type=type(event).__name__,
        schema=event.SCHEMA,
        time=clock.now(),
        actor=actor,
        correlation=correlation or event_id,
        causation=causation,
        data=canonical_json(data),
    )
