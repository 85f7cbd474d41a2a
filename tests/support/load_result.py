"""What a load found: how much was asked, what was lost and when, and the longest time without an answer."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MOST_TOLD = 500  # failures that are told one by one; all are counted


class Lost(BaseModel):
    """One request or stream that did not end well. It was not asked again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: float  # when it was begun, in seconds after the load's first request
    kind: str  # `refused`, `timeout`, `cut`, `status 502`, `garbled`; of a stream `<stream> <kind>`
    what: str  # `GET new`, `POST kept`, `slow`, `events`, `ws`
    why: str


class Stream(BaseModel):
    """Streams of one kind, of which one was always open."""

    model_config = ConfigDict(extra="forbid")

    well: int = 0  # ended as they were to
    cut: int = 0  # ended before


class Seen(BaseModel):
    """Answers of one version, with the first and the last moment by `time.monotonic`."""

    model_config = ConfigDict(extra="forbid")

    count: int = 0
    first: float
    last: float


class LoadResult(BaseModel):
    """One load from its beginning to its end."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = 0.0
    requests: int = 0  # with those that were lost and with streams that were opened
    failed: int = 0  # of these
    left_out: int = 0  # not even begun, because too many were under way
    by_kind: dict[str, int] = {}
    lost: list[Lost] = []  # the first of them, oldest first
    longest_gap_ms: float = 0.0  # between two good answers to short requests, or from the last one to the end
    streams: dict[str, Stream] = {}
    kept_closed: int = 0  # kept connections that were closed while nothing was asked on them: no loss
    versions: dict[str, Seen] = {}  # by what the answers said
    late_ms: float = 0.0  # how late the generator itself was at worst: beyond some 100 it proves little

    @property
    def cut(self) -> int:
        """Streams that were cut."""
        return sum(one.cut for one in self.streams.values())

    def told(self) -> str:
        """In one line."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.by_kind.items())) or "none"
        streams = ", ".join(f"{one.well} {name} well" for name, one in sorted(self.streams.items()))
        return (
            f"{self.failed} of {self.requests} lost ({kinds}), {self.left_out} left out; "
            f"{self.cut} streams cut ({streams or 'none'}); longest gap {self.longest_gap_ms:.0f} ms; "
            f"generator late by {self.late_ms:.0f} ms at most"
        )
