"""A log in memory that shows what readers do to it."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from events.envelope import StoredEvent
from events.memory import MemoryEventLog
from events.streams import StreamName


class ReadLog(MemoryEventLog):
    """Notes how many events each read gave, and lets something happen during the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []
        self.during_read: list[Callable[[], object]] = []

    @override
    def read(
        self,
        *,
        after: int = 0,
        limit: int | None = None,
        stream: StreamName | None = None,
        type_name: str | None = None,
    ) -> list[StoredEvent]:
        return self._noted(super().read(after=after, limit=limit, stream=stream, type_name=type_name))

    @override
    def read_stream(self, stream: StreamName, *, after_version: int = 0) -> list[StoredEvent]:
        return self._noted(super().read_stream(stream, after_version=after_version))

    def _noted(self, found: list[StoredEvent]) -> list[StoredEvent]:
        self.given.append(len(found))
        while self.during_read:
            self.during_read.pop()()
        return found
