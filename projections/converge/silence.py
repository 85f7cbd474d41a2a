"""The log of one container, which has to be silent of some texts from now on.

The engine is asked for what was written since the last reading, a little more of it than that, because its
times and ours are read at different moments: a line that is seen twice does no harm. What a container writes
beyond the bound between two readings is not seen, and neither is a text that the redactor masks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from events.kernel.clock import Clock
from projections.engine.port import Engine

_PAUSE_SECONDS = 1.0
_OVERLAP_SECONDS = 1.0
_LINES = 2000  # of one reading


@dataclass(slots=True, kw_only=True)
class Silence:
    """Made when the silence begins."""

    engine: Engine
    container: str
    texts: Collection[str]
    clock: Clock
    _begin: float = field(init=False)  # seconds of the epoch
    _read_at: float = field(init=False)  # likewise

    def __post_init__(self) -> None:
        self._begin = self._read_at = self.clock.now().timestamp()

    async def broken(self, *, at_once: bool) -> str:
        """The first line with one of the texts; empty when there is none, or when it is not time to look.

        Raises what `Engine.logs` raises.
        """
        now = self.clock.now().timestamp()
        if not self.texts or not (at_once or now - self._read_at >= _PAUSE_SECONDS):
            return ""
        since = max(self._begin, self._read_at - _OVERLAP_SECONDS)
        self._read_at = now
        lines = await self.engine.logs(self.container, tail=_LINES, since=since)
        return next((line for line in lines if any(text in line for text in self.texts)), "")
