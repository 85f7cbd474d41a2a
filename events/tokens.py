"""Who may change an environment: one more number each time somebody takes it over.

A lock says who works now, a token says who took over last. A process that was stopped while it held the
lock, or whose lock file was removed, still believes that it holds it; the token proves that it does not.
The log refuses its appends in the same transaction that would have written them, and the host's `fence`
refuses its operations (`projections/converge/fence.py`).

One counter per environment: a counter per log would be as safe, and every deploy of one environment would
make the numbers of all others jump, which nobody could read. Counters stand beside the events and not among
them: a takeover changes nothing for anybody, and a look that finds nothing must not leave a trace. For the
same reason a token is not drawn when the lock is taken but before the first thing that is written: what is
kept from the beginning is the counter as it was. If it has moved until then, somebody else came between.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from events.kernel.errors import OutsideError, Where, error_code

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK_LOST = error_code(
    "lock-lost",
    "Another process took the environment over while this one was stopped or cut off; this one did no more.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The right to change `name` until somebody draws a higher number."""

    name: str  # of the lock, `<project>/<environment>`
    number: int  # from 1


class LockLostError(OutsideError):
    """A higher token was drawn; nothing was written."""

    def __init__(self, name: str, *, mine: int, newest: int) -> None:
        super().__init__(
            LOCK_LOST,
            f"another process has taken {name} over, so this one ends here",
            where=Where(environment=name),
            why=f"its token is {newest}, the one of this process is {mine}",
            next=f"stagecraft lock show --env {name}",
        )


class Tokens(Protocol):
    """The counters of one log; its adapters are those of the log, because an append is refused by a token."""

    def newest_token(self, name: str) -> int:
        """The number of the newest token, 0 when none was ever drawn."""
        ...

    def draw_token(self, name: str, *, after: int, vital: bool = False) -> Token:
        """The token that follows number `after`, durable when the call returns.

        A `vital` one may take the room that is kept for a full disk (`events/reserve.py`).
        Raises LockLostError when that is not the newest any more, OutsideError `log-unavailable`.
        """
        ...


def refuse_stale(token: Token, newest: int) -> None:
    """Raise LockLostError unless `token` is the newest."""
    if token.number != newest:
        raise LockLostError(token.name, mine=token.number, newest=newest)


def _tell_nobody(_token: Token) -> None:
    """Nobody asked to be told of a token."""


@dataclass(slots=True, kw_only=True)
class Tenure:
    """The time in which one process holds the lock of `name`; threads may share it."""

    tokens: Tokens
    name: str
    since: int  # the newest number when the lock was taken
    drawn: Callable[[Token], None] = _tell_nobody  # told once
    _token: Token | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def begin(cls, tokens: Tokens, name: str, *, drawn: Callable[[Token], None] = _tell_nobody) -> Tenure:
        """The tenure of whoever has just got the lock; writes nothing."""
        return cls(tokens=tokens, name=name, since=tokens.newest_token(name), drawn=drawn)

    def token(self, *, vital: bool = False) -> Token:
        """The token of this tenure, drawn at the first call, for something `vital` or not.

        Raises LockLostError.
        """
        with self._lock:
            if self._token is None:
                self._token = self.tokens.draw_token(self.name, after=self.since, vital=vital)
                self.drawn(self._token)
            return self._token

    def check(self) -> Token:
        """The token. Raises LockLostError when it is not the newest any more."""
        token = self.token()
        refuse_stale(token, self.tokens.newest_token(self.name))
        return token
