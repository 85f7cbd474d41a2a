"""What became of the log itself: its seals, the keys that sign them, and a fork."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from events.catalog.base import Event, recorded


class SealedState(BaseModel):
    """A seal as the log keeps it: all that a copy of it outside says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    log_id: str = Field(description="The log that was sealed.")
    lineage: str = Field(description="The first log that it descends from.")
    position: int = Field(description="The last event that the seal covers.")
    hash: str = Field(description="The chain's hash at that event, in hex.")
    at: str = Field(description="When the seal was made.")
    key_id: str = Field(description="The key that signed it.")
    signature: str = Field(description="Ed25519 over all the rest, in hex.")


@recorded("log")
class SealMade(Event):
    """The log was sealed up to a position; the same seal is sent off the machine where a place is named."""

    seal: SealedState = Field(description="The seal.")


@recorded("log")
class SealKeyMade(Event):
    """The first key for seals was made."""

    key_id: str = Field(description="The key's name: the beginning of a digest of its public half.")
    public_key: str = Field(description="The public half, in hex.")


@recorded("log")
class SealKeyRotated(Event):
    """Another key signs seals from now on."""

    key_id: str = Field(description="The key that signs from now on.")
    public_key: str = Field(description="Its public half, in hex.")
    former: str = Field(description="The key that signed until now.")
    signature: str = Field(
        description="The former key's signature over the new one, in hex; empty when the former key was lost."
    )
    reason: str = Field(description="Why, in the words of whoever did it.")


@recorded("log")
class SealDeliveryFailed(Event):
    """Seals do not reach a place outside any more; they are tried again by themselves."""

    place: str = Field(description="Where seals should go.")
    reason: str = Field(description="What went wrong.")


@recorded("log")
class SealDeliveryResumed(Event):
    """Seals reach a place outside again."""

    place: str = Field(description="Where seals go.")
    position: int = Field(description="Up to which event the place has a seal now.")


@recorded("log")
class LogForked(Event):
    """A log that did not verify was set aside, and this one begins with what could be carried over."""

    former_log_id: str = Field(description="The log that was set aside.")
    kept_as: str = Field(description="Its file, beside this log's.")
    good_position: int = Field(description="The last event of it that verified.")
    good_hash: str = Field(description="The chain's hash at that event, in hex.")
    good_seal: SealedState | None = Field(
        default=None, description="The newest seal of it that verified, if it had one."
    )
    problem_position: int = Field(description="The first event of it that did not verify.")
    problem_kind: str = Field(description="What was done to it.")
    problem_detail: str = Field(description="What was found there.")
    carried: int = Field(description="How many events were carried over, in their order.")
    left: tuple[int, ...] = Field(
        default=(), description="Positions, in the former log, of events that cannot be read any more."
    )
    reason: str = Field(description="Why, in the words of whoever did it.")
