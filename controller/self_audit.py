"""The controller looks through its own log: when it starts, and once a day.

What it finds is marked in the log, which is only read from then on, and said; what a later look no longer
finds is taken back (`auditing.py`). The look runs beside everything else: a deploy that begins before it is
over is refused by the mark as soon as there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from controller.auditing import EVERY_SECONDS, look_through, note_problem
from controller.context import Context
from events.broken import LogProblem
from events.kernel.errors import StagecraftError


@dataclass(slots=True, kw_only=True)
class SelfAudit:
    """Looks through one log, again and again."""

    context: Context
    say: Callable[[str], None]

    async def run(self) -> None:
        """Look, and look again a day later, for ever."""
        while True:
            try:
                await self.look()
            except StagecraftError as error:
                self.say(f"the log could not be looked through: {error.message}")
            await self.context.clock.sleep(EVERY_SECONDS)

    async def look(self) -> LogProblem | None:
        """Look once; what is wrong with the log now."""
        log = self.context.log
        before = log.problem()
        verdict = await asyncio.to_thread(look_through, self.context.home)
        await asyncio.to_thread(note_problem, log, verdict)
        problem = log.problem()
        if problem is not None:
            self.say(
                f"the log does not verify: {problem.kind} at event {problem.position}: {problem.detail}; "
                "it is only read now; end the controller, then: stagecraft log fork --reason TEXT"
            )
        elif verdict.problem is not None:  # a blob, or a seal that nobody could check
            self.say(f"beside the log: {verdict.problem.kind}: {verdict.problem.detail}")
        elif before is not None:
            self.say("the log verifies again")
        return problem
