"""Whether the watched repository answers: said when that changes, shown by status, told when it is stale.

A repository that does not answer is asked more and more slowly, and at the longest interval at once when its
server says that it is asked too often; what is deployed is kept meanwhile. When it
began stands in `observed.db`, so a daemon that is started anew goes on counting from there: it tells again
what is still stale, and tells the end of what the run before it told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from controller.backoff import Backoff
from controller.notify import Notice
from gitops.source.exchange import GIT_ASKED_TOO_OFTEN

if TYPE_CHECKING:
    from controller.context import Context
    from controller.source import Source
    from events.kernel.errors import StagecraftError
    from gitops.config.controller import PollSection


@dataclass(slots=True, kw_only=True)
class Freshness:
    """How the source of one daemon is doing."""

    context: Context
    source: Source
    settings: PollSection
    slow_down: Callable[[float], None]  # ask next after so many seconds
    as_usual: Callable[[], None]  # ask at the usual interval again
    say: Callable[[str], None]
    tell: Callable[[Notice], None]
    _backoff: Backoff = field(init=False)
    _failing_since: float | None = None  # monotonic; None: it answers
    _told_stale: bool = False
    _was_stale: bool = False  # when the run before this one ended
    _said: str = ""

    def __post_init__(self) -> None:
        poll = self.settings
        self._backoff = Backoff(first_seconds=poll.interval, limit_seconds=max(poll.interval, poll.longest))

    def remember(self) -> None:
        """Before the first look: go on from the failure that the run before this one saw."""
        store, clock = self.context.observed, self.context.clock
        failures = [found for title in self.source.titles() if (found := store.source_failure(title))]
        if failures:
            age = (clock.now() - min(failure.since for failure in failures)).total_seconds()
            self._failing_since = clock.monotonic() - max(0.0, age)
            self._was_stale = age >= self.settings.stale_after

    def answered(self, error: StagecraftError | None) -> None:
        """It answered a look; `error` says why its commit cannot be used, if so."""
        if self._backoff.failures:
            self._backoff.succeeded()
            self.as_usual()
            self.say("the repository answers again")
        self._failing_since = None
        if self._told_stale or self._was_stale:
            self._told_stale = self._was_stale = False
            self._tell("recovered", "the repository answers again")
        self._say("" if error is None else str(error))

    def not_answered(self, error: StagecraftError | None) -> None:
        """It did not: keep that for status, and ask again later and later."""
        clock, words = self.context.clock, str(error)
        if self._failing_since is None:
            self._failing_since = clock.monotonic()
        for title in self.source.titles():
            self.context.observed.note_source_failure(title, words, clock.now())
        rest = self._backoff.failed()
        if error is not None and error.code == GIT_ASKED_TOO_OFTEN:
            rest = self._backoff.limit_seconds
        self.slow_down(rest)
        self._say(words)
        self.check()

    def check(self) -> None:
        """Tell once that it is stale, when it is; not before a look of our own has failed."""
        since, now = self._failing_since, self.context.clock.monotonic()
        if since is None or self._told_stale or not self._said:
            return
        if now - since >= self.settings.stale_after:
            self._told_stale = True
            self._tell("stale", self._said)

    def _say(self, words: str) -> None:
        if words and words != self._said:
            self.say(words)
        self._said = words

    def _tell(self, event: Literal["stale", "recovered"], message: str) -> None:
        for title in self.source.titles():
            self.tell(
                Notice(
                    event=event,
                    environment=title,
                    release=None,
                    status="stale" if event == "stale" else "fresh",
                    message=message,
                    time=self.context.clock.now(),
                )
            )
