"""The six phases, each failing in turn, and a log that cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from events.catalog import Event
from events.catalog.release import PHASES, Phase, PhaseCompleted, PhaseFailed, PhaseSkipped, PhaseStarted
from events.kernel.errors import InternalError, OutsideError, UserError
from events.log import LOG_UNAVAILABLE
from events.streams import release_stream
from projections.converge.failures import JOB_FAILED
from projections.converge.history import ReleaseHistory, release_history
from projections.converge.phases import Step, run_phases
from projections.converge.waves import WAITS_IN_A_CIRCLE
from projections.engine.errors import ENGINE_UNREACHABLE
from tests.unit.projections.converge.scene import Scene

STREAM = release_stream("rel-1")


def run(scene: Scene, steps: dict[Phase, Step], history: ReleaseHistory | None = None) -> list[Event]:
    asyncio.run(
        run_phases(steps, history=history or ReleaseHistory(), stream=STREAM, recorder=scene.recorder())
    )
    return scene.events(STREAM)


def answers(text: str) -> Callable[[], Awaitable[str]]:
    async def step() -> str:
        return text

    return step


def raises(error: Exception) -> Step:
    async def step() -> str:
        raise error

    return step


def test_every_phase_begins_and_ends_in_order(scene: Scene) -> None:
    events = run(scene, {phase: answers(f"did {phase}") for phase in PHASES})
    expected: list[Event] = []
    for phase in PHASES:
        expected += [PhaseStarted(phase=phase), PhaseCompleted(phase=phase, detail=f"did {phase}")]
    assert events == expected


@pytest.mark.parametrize("phase", PHASES)
def test_a_failing_phase_skips_all_later_ones(scene: Scene, phase: Phase) -> None:
    events = run(scene, {phase: raises(UserError(JOB_FAILED, "it failed"))})
    number = PHASES.index(phase)
    failed = [event for event in events if isinstance(event, PhaseFailed)]
    assert [(event.phase, event.failure.code) for event in failed] == [(phase, JOB_FAILED)]
    skipped = [(event.phase, event.reason) for event in events if isinstance(event, PhaseSkipped)]
    assert skipped == [(later, phase) for later in PHASES[number + 1 :]]
    assert [e.phase for e in events if isinstance(e, PhaseCompleted)] == list(PHASES[:number])


def test_a_bug_is_a_failure_of_the_phase_too(scene: Scene) -> None:
    events = run(scene, {"rollout": raises(InternalError(WAITS_IN_A_CIRCLE, "a bug"))})
    (failed,) = [event for event in events if isinstance(event, PhaseFailed)]
    assert failed.failure.cause == "internal"


@pytest.mark.parametrize("code", [ENGINE_UNREACHABLE, LOG_UNAVAILABLE])
def test_nothing_is_recorded_about_what_gives_no_verdict(scene: Scene, code: str) -> None:
    with pytest.raises(OutsideError, match=code):
        run(scene, {"rollout": raises(OutsideError(code, "gone"))})
    assert scene.events(STREAM)[-1] == PhaseStarted(phase="rollout")


def test_a_log_that_cannot_be_written_ends_it_before_the_next_phase(scene: Scene) -> None:
    done: list[str] = []

    async def last_words() -> str:
        scene.log.close()
        return "closed"

    async def later() -> str:
        done.append("later")
        return ""

    with pytest.raises(OutsideError) as raised:
        run(scene, {"rollout": last_words, "finalize": later})
    assert raised.value.code == LOG_UNAVAILABLE
    assert done == []


def test_what_is_done_is_not_done_again(scene: Scene) -> None:
    history = ReleaseHistory(started=frozenset(PHASES[:4]), completed=frozenset(PHASES[:3]))
    events = run(scene, {"build": raises(AssertionError()), "rollout": answers("went on")}, history)
    assert events[0] == PhaseCompleted(phase="rollout", detail="went on")
    assert [e.phase for e in events if isinstance(e, PhaseStarted)] == list(PHASES[4:])


def test_history_reads_back_what_was_recorded(scene: Scene) -> None:
    run(scene, {"rollout": raises(UserError(JOB_FAILED, "it failed"))})
    history = release_history(scene.stored(STREAM))
    assert history.started == frozenset(PHASES[:4])
    assert history.completed == frozenset(PHASES[:3])
    assert history.failure is not None
    assert history.failure.code == JOB_FAILED
    assert (history.touched("local"), history.touched_everywhere) == (frozenset(), ())
