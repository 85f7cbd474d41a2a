"""States are kept between reads, and are what a fold from the beginning answers."""

from __future__ import annotations

from controller.decide.folding import fold
from controller.states import States
from events.catalog import Event
from events.catalog.environment import EnvironmentResumed, EnvironmentSuspended
from events.envelope import CONTROLLER
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.streams import StreamName, environment_stream
from tests.support.logs import ReadLog
from tests.support.time import CountingIds, FakeClock

IDS = CountingIds()
FIRST, SECOND = environment_stream("shop", "prod"), environment_stream("shop", "test")


def say(log: MemoryEventLog, stream: StreamName, *events: Event) -> None:
    recorder = Recorder(log=log, ids=IDS, clock=FakeClock(), actor=CONTROLLER)
    recorder.append(stream, *events, expected=log.stream_version(stream))


def test_only_newer_events_are_read_again() -> None:
    log, states = ReadLog(), States()
    say(log, FIRST, EnvironmentSuspended(reason="calm"))
    assert states.of(log, FIRST).suspended
    assert states.of(log, FIRST).suspended
    say(log, FIRST, EnvironmentResumed())
    assert not states.of(log, FIRST).suspended
    assert log.given == [1, 0, 1]
    assert states.of(log, FIRST) == fold(log.read_stream(FIRST))


def test_what_was_asked_for_longest_ago_is_read_from_its_beginning() -> None:
    log, states = ReadLog(), States(most_events=3)
    for stream in (FIRST, SECOND):
        say(log, stream, EnvironmentSuspended(reason="calm"), EnvironmentResumed())
        states.of(log, stream)
    assert states.of(log, SECOND).version == 2
    assert states.of(log, FIRST).version == 2
    assert log.given == [2, 2, 0, 2]


def test_another_log_shares_nothing() -> None:
    states = States()
    first, second = MemoryEventLog(), MemoryEventLog()
    say(first, FIRST, EnvironmentSuspended(reason="calm"))
    assert states.of(first, FIRST).suspended
    assert states.of(second, FIRST).version == 0
