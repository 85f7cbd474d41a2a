"""The trail that a recorder leaves."""

from __future__ import annotations

from uuid import uuid4

import pytest

from events.catalog.environment import EnvironmentResumed, EnvironmentSuspended
from events.catalog.release import PhaseStarted
from events.envelope import CONTROLLER, Actor
from events.log import EventLog, Expect, VersionConflictError
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.streams import StreamName, environment_stream, release_stream
from tests.support.time import CountingIds, FakeClock

PROD = environment_stream("shop", "prod")


@pytest.fixture
def log() -> EventLog:
    return MemoryEventLog()


@pytest.fixture
def recorder(log: EventLog, clock: FakeClock, ids: CountingIds) -> Recorder:
    return Recorder(log=log, ids=ids, clock=clock, actor=CONTROLLER)


def test_each_event_is_caused_by_the_one_before_and_all_belong_together(
    recorder: Recorder, log: EventLog, clock: FakeClock
) -> None:
    recorder.append(PROD, EnvironmentSuspended(reason="1"), EnvironmentResumed(reason="2"))
    clock.advance(5)
    recorder.append(release_stream("rel-1"), PhaseStarted(phase="build"))
    events = log.read()
    assert [event.causation for event in events] == [None, events[0].id, events[1].id]
    assert {event.correlation for event in events} == {events[0].id}
    assert {event.actor for event in events} == {CONTROLLER}
    assert [(event.time - events[0].time).total_seconds() for event in events] == [0, 0, 5]


def test_an_undertaking_may_go_on_from_an_earlier_event(log: EventLog) -> None:
    correlation, causation = uuid4(), uuid4()
    actor = Actor(kind="cli", id="act-1")
    recorder = Recorder(
        log=log,
        ids=CountingIds(),
        clock=FakeClock(),
        actor=actor,
        correlation=correlation,
        causation=causation,
    )
    (stored,) = recorder.append(PROD, EnvironmentSuspended(reason="1"))
    assert (stored.correlation, stored.causation, stored.actor) == (correlation, causation, actor)
    assert recorder.causation == stored.id


def test_a_refused_append_is_no_cause_of_anything(recorder: Recorder, log: EventLog) -> None:
    (first,) = recorder.append(PROD, EnvironmentSuspended(reason="1"), expected=Expect.NO_STREAM)
    with pytest.raises(VersionConflictError):
        recorder.append(PROD, EnvironmentResumed(), expected=0)
    (second,) = recorder.append(PROD, EnvironmentResumed(), expected=1)
    assert (second.causation, second.correlation) == (first.id, first.id)
    assert log.head() == 2


def test_an_event_belongs_to_streams_of_its_kind(recorder: Recorder, log: EventLog) -> None:
    with pytest.raises(
        ValueError, match="PhaseStarted belongs to release streams, not to environment/shop/prod"
    ):
        recorder.append(PROD, EnvironmentSuspended(reason="1"), PhaseStarted(phase="build"))
    with pytest.raises(ValueError, match="belongs to"):
        recorder.append(StreamName("environments/x"), EnvironmentSuspended(reason="1"))
    assert (log.head(), recorder.correlation) == (0, None)
