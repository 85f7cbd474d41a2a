"""Probes of one container while a gate watches it.

A question runs beside the loop of the watch, one at a time, so a container that hangs delays nobody's look.
While it starts it is asked after pauses that grow: an app that is up in 50 ms is not kept waiting, one that
takes minutes is not flooded. After it has passed it is asked once a second, and one answer that fails is no
verdict: a moment without an answer is what its health check would forgive, too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from events.kernel.clock import Clock
from events.manifest import Probes
from projections.engine.port import Engine, ProbeAnswer

FAILURES = 3  # in a row, until one that had passed counts as failed
_FIRST_PAUSE_SECONDS = 0.02  # the first look comes before the app listens, the second mostly after
_LONGEST_PAUSE_SECONDS = 1.0
_GROWTH = 1.5


@dataclass(slots=True, kw_only=True)
class Asking:
    """What is known of one container from its answers; close it in the end."""

    engine: Engine
    container: str
    probes: Probes
    clock: Clock
    passed: bool = False  # once: all probes of one round
    failures: int = 0  # rounds in a row that failed since
    said: str = "no probe was answered so far"  # by the last round that failed
    _question: asyncio.Task[ProbeAnswer] | None = None
    _due: float = 0.0  # monotonic seconds
    _pause: float = _FIRST_PAUSE_SECONDS

    @property
    def answers(self) -> bool:
        """Whether the newest round passed."""
        return self.passed and not self.failures

    def look(self) -> None:
        """Take the answer that has come, and ask again when it is time. Raises what `Engine.probe` raises."""
        now = self.clock.monotonic()
        if self._question is not None and self._question.done():
            question, self._question = self._question, None
            self._take(question.result(), now)
        if self._question is None and now >= self._due:
            self._question = asyncio.create_task(self._round())

    async def close(self) -> None:
        """Give up a question that is still under way."""
        question, self._question = self._question, None
        if question is not None:
            question.cancel()
            await asyncio.wait([question])

    async def _round(self) -> ProbeAnswer:
        """The first answer that fails, else the last one."""
        answer = ProbeAnswer(passed=True, said="")
        for probe in self.probes.each:
            answer = await self.engine.probe(
                self.container, probe, deadline_seconds=self.probes.timeout_seconds
            )
            if not answer.passed:
                break
        return answer

    def _take(self, answer: ProbeAnswer, now: float) -> None:
        if answer.passed:
            self.passed, self.failures = True, 0
        else:
            self.failures, self.said = self.failures + 1, answer.said
        self._due = now + (_LONGEST_PAUSE_SECONDS if self.passed else self._pause)
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
