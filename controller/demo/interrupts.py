"""Ctrl-C, SIGTERM and a closed terminal while the demo runs: heard at once, later, or not at all.

At once: the call under way ends with an exception, and the demo takes everything away on the way out. Later:
around a step whose half would leave something that nobody finds again. Not at all: while everything is taken
away, which has deadlines of its own. A shell that starts a job in the background has it ignore SIGINT; the
demo hears it all the same, because whoever sends it wants it to end.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHELLS_BASE = 128  # how shells report a process that a signal ended


@dataclass(slots=True)
class Interrupts:
    """What to do about signals now."""

    _later: bool = field(default=False, init=False)
    _never: bool = field(default=False, init=False)
    _pending: int | None = field(default=None, init=False)

    @contextmanager
    def heard(self) -> Generator[None]:
        """Signals are ours within the block. Raises KeyboardInterrupt or SystemExit where they come in."""
        before = {number: signal.signal(number, self._hear) for number in _HEARD}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def later(self) -> Generator[None]:
        """A signal within the block is heard at its end; a second one at once."""
        self._later = True
        try:
            yield
        finally:
            self._later = False
        pending, self._pending = self._pending, None
        if pending is not None:
            _raise(pending)

    def never(self) -> None:
        """From now on signals are ignored."""
        self._never = True

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self._never:
            return
        if self._later and self._pending is None:
            self._pending = number
            return
        _raise(number)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(_SHELLS_BASE + number)
