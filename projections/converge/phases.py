"""The six phases of a Release: begun, done, recorded, in one order for every kind of Release.

The record is the progress: a phase is begun in the log before its work and ended there after it, so that a
crash is seen as a phase without an end. When the work fails the phase is recorded as failed and all later
ones as skipped, in one append. When the log itself cannot be written, or the host is unknown, nothing more
is recorded and the error goes on: there is no verdict to give.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from events.catalog import Failure
from events.catalog.release import PHASES, Phase, PhaseCompleted, PhaseFailed, PhaseSkipped, PhaseStarted
from events.kernel.errors import StagecraftError
from events.recorder import Recorder
from events.streams import StreamName
from projections.converge.failures import FATAL, failure_of
from projections.converge.history import ReleaseHistory

NO_OP = "no-op"

Step = Callable[[], Awaitable[str | Failure]]
"""Does a phase's work and answers what was done, or why it failed where that is no error of one host."""


async def run_phases(
    steps: Mapping[Phase, Step], *, history: ReleaseHistory, stream: StreamName, recorder: Recorder
) -> Failure | None:
    """Run the phases that `history` does not show as completed; a phase without a step is a no-op.

    Answers the failure of the phase that failed, None when all completed. Raises what is in
    `failures.FATAL` with nothing recorded about it.
    """
    for phase in PHASES:
        if phase in history.completed:
            continue
        begun = () if phase in history.started else (PhaseStarted(phase=phase),)
        step = steps.get(phase)
        if step is None:
            recorder.append(stream, *begun, PhaseCompleted(phase=phase, detail=NO_OP))
            continue
        if begun:
            recorder.append(stream, *begun)
        try:
            detail = await step()
        except StagecraftError as error:
            if error.code in FATAL:
                raise
            detail = failure_of(error)
        if isinstance(detail, Failure):
            recorder.append(stream, PhaseFailed(phase=phase, failure=detail), *_skipped_after(phase))
            return detail
        recorder.append(stream, PhaseCompleted(phase=phase, detail=detail))
    return None


def _skipped_after(phase: Phase) -> tuple[PhaseSkipped, ...]:
    later = PHASES[PHASES.index(phase) + 1 :]
    return tuple(PhaseSkipped(phase=one, reason=phase) for one in later)
