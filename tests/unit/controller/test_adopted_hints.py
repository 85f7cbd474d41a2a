"""A hint about a container without our labels finds the environment that adopted it, and no other."""

from __future__ import annotations

from controller.adopted_hints import adopted_event
from events.catalog.adoption import ServiceAdopted
from events.envelope import CONTROLLER
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.streams import environment_stream
from projections.engine.watch_port import EngineEvent
from tests.support.time import CountingIds, FakeClock

HINT = EngineEvent(environment="", action="die", container="c1")
TITLES = ["shop/prod", "shop/test"]


def log_with(container: str) -> MemoryEventLog:
    log = MemoryEventLog()
    recorder = Recorder(log=log, ids=CountingIds(), clock=FakeClock(), actor=CONTROLLER)
    adopted = ServiceAdopted(
        release="rel-1", host="local", service="web", service_hash="h", containers=(container,)
    )
    recorder.append(environment_stream("shop", "test"), adopted)
    return log


def test_an_adopted_container_is_its_environments() -> None:
    found = adopted_event(log_with("c1"), HINT, TITLES)
    assert found == EngineEvent(environment="shop/test", service="web", action="die")


def test_a_stranger_stays_one() -> None:
    assert adopted_event(log_with("c2"), HINT, TITLES) == HINT
    assert adopted_event(log_with("c1"), HINT, ["shop/prod"]) == HINT
