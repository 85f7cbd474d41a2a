"""Identifiers: UUIDv7 for events, time-stamped names for releases.

A UUIDv7 (RFC 9562) starts with the time, so an index of them grows at its end. Release ids sort as text
in the order of time; two releases in the same millisecond get different ids because each process hands
out strictly increasing milliseconds and the log refuses a second start of the same release stream.
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from events.kernel.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0x2 << 62


class Ids(Protocol):
    """Where new identifiers come from."""

    def event_id(self) -> UUID:
        """A new UUIDv7."""
        ...

    def release_id(self) -> str:
        """A new `rel-YYYYMMDD-HHMMSSmmm`, in UTC."""
        ...


def uuid7(milliseconds: int, randomness: int) -> UUID:
    """Put a Unix time in milliseconds (48 bits) and 74 random bits together as RFC 9562 says."""
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    return UUID(
        int=high | _VERSION_7 | ((randomness >> 62) & 0xFFF) << 64 | _VARIANT_RFC | randomness & (2**62 - 1)
    )


def format_release_id(moment: datetime) -> str:
    """`rel-20261121-030454123` for 03:04:54.123 UTC on 2026-11-21. Raises ValueError when naive."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on a time line")
    utc = moment.astimezone(UTC)
    return f"rel-{utc:%Y%m%d-%H%M%S}{utc.microsecond // 1000:03d}"


class SystemIds:
    """Ids from a clock and the system's randomness; safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_release = _EPOCH
        self._lock = threading.Lock()

    def event_id(self) -> UUID:
        """A new UUIDv7."""
        milliseconds = (self._clock.now() - _EPOCH) // timedelta(milliseconds=1)
        return uuid7(milliseconds, secrets.randbits(74))

    def release_id(self) -> str:
        """A new release id, later than each one this object gave before."""
        with self._lock:
            now = self._clock.now()
            moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
            self._last_release = max(moment, self._last_release + timedelta(milliseconds=1))
            return format_release_id(self._last_release)
