"""Seals by time and count, beside the work, and places that fail."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from controller.context import Context
from controller.home import Home
from controller.sealing import Sealing, sealer_of
from events.broken import LogBrokenError
from events.catalog.host import HostUnreachable
from events.envelope import CONTROLLER, Actor
from events.kernel.errors import OutsideError, error_code
from events.log import LogRow
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.seals import Seal
from events.streams import host_stream
from gitops.config.seals import SealsSection
from tests.support.time import CountingIds, FakeClock

PLACE_GONE = error_code("seal-not-delivered", "A seal could not be brought to a place; it is tried again.")


@dataclass
class Place:
    """Takes seals, or refuses them for a while."""

    refuse: int = 0
    name: str = "file x"
    seals: list[Seal] = field(default_factory=list[Seal])

    async def deliver(self, seal: Seal) -> None:
        if self.refuse:
            self.refuse -= 1
            raise OutsideError(PLACE_GONE, "the disk is gone")
        self.seals.append(seal)


@dataclass
class Stage:
    """A log in memory and the daemon's tasks for it."""

    home: Home
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: CountingIds = field(default_factory=CountingIds)
    said: list[str] = field(default_factory=list[str])

    @property
    def context(self) -> Context:
        parts = SimpleNamespace(home=self.home, log=self.log, clock=self.clock, recorder=self.recorder)
        return cast("Context", parts)

    def recorder(self, actor: Actor = CONTROLLER) -> Recorder:
        return Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=actor)

    def record(self, count: int = 1) -> None:
        for number in range(count):
            event = HostUnreachable(host="a", reason=f"{number}")
            self.recorder().append(host_stream("a"), event)

    def types(self) -> list[str]:
        return [one.type for one in self.log.read()]

    def run(self, *places: Place, until: Callable[[], bool], **settings: object) -> None:
        """Let the tasks run until something holds; the clock moves with their sleeps."""
        sealing = Sealing(
            context=self.context,
            settings=SealsSection.model_validate(settings),
            places=places,
            say=self.said.append,
        )

        async def story() -> None:
            task = asyncio.create_task(sealing.run())
            async with asyncio.timeout(60):
                while not until():
                    assert not task.done()
                    await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(story())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(Home(tmp_path / "home"))


def test_what_was_recorded_is_sealed_when_the_time_is_over_and_then_nothing_more(stage: Stage) -> None:
    stage.record(3)
    started = stage.clock.monotonic()
    stage.run(until=lambda: "SealMade" in stage.types(), every_seconds=60)
    assert 60 <= stage.clock.monotonic() - started < 200
    end = stage.clock.monotonic() + 100_000
    stage.run(until=lambda: stage.clock.monotonic() > end)
    assert stage.types()[3:] == ["SealKeyMade", "SealMade"]
    assert any("no seal leaves this machine" in one for one in stage.said)


def test_many_events_are_sealed_before_the_time_is_over(stage: Stage) -> None:
    stage.record(20)
    stage.run(until=lambda: "SealMade" in stage.types(), every_seconds=1_000_000, every_events=20)
    assert stage.clock.monotonic() < 1_000_000


def test_a_seal_says_where_the_log_stood_and_verifies(stage: Stage) -> None:
    stage.record(3)
    sealer = sealer_of(stage.context, say=stage.said.append)
    seal = sealer.make()
    anchor = stage.log.anchor(4)  # the key's own event came before it
    assert (seal.position, seal.hash, seal.lineage) == (4, anchor.hash.hex(), anchor.lineage)
    (public,) = sealer.keys.named().values()
    assert seal.is_signed_by(public)
    assert not dataclasses.replace(seal, position=3).is_signed_by(public)
    assert sealer.waiting() == 0
    assert sealer.newest_or_made() == seal
    stage.record()
    assert sealer.newest_or_made().position == 6


def test_nobody_signs_what_does_not_fit_the_chain(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.record(3)
    sealer = sealer_of(stage.context, say=stage.said.append)
    first, second, *_ = stage.log.rows()

    def changed(*, after: int, limit: int) -> list[LogRow]:
        del after, limit
        return [first, second._replace(data=b"{}")]

    monkeypatch.setattr(stage.log, "rows", changed)
    with pytest.raises(LogBrokenError):
        sealer.make()
    assert "SealMade" not in stage.types()


def test_each_place_gets_the_newest_seal_also_after_a_restart(stage: Stage) -> None:
    stage.record()
    first, second = Place(), Place()
    stage.run(first, second, until=lambda: bool(first.seals and second.seals))
    assert first.seals == second.seals
    late = Place()
    stage.run(late, until=lambda: bool(late.seals))
    assert late.seals == first.seals[-1:]


def test_a_place_that_fails_is_tried_again_said_once_and_recorded_when_it_changes(stage: Stage) -> None:
    stage.record()
    place = Place(refuse=5)
    stage.run(place, until=lambda: bool(place.seals) and "SealDeliveryResumed" in stage.types())
    assert sum("seals do not reach the file x: the disk is gone" in one for one in stage.said) == 1
    assert sum("seals reach the file x again" in one for one in stage.said) == 1
    changes = [one for one in stage.types() if one.startswith("SealDelivery")]
    assert changes == ["SealDeliveryFailed", "SealDeliveryResumed"]
    assert stage.types().count("SealMade") == 1  # what speaks of seals is no reason for one


def test_a_failure_that_a_former_process_recorded_is_not_recorded_again(stage: Stage) -> None:
    stage.record()
    gone = Place(refuse=1_000_000)
    stage.run(gone, until=lambda: "SealDeliveryFailed" in stage.types())
    gone = Place(refuse=1)
    stage.run(gone, until=lambda: "SealDeliveryResumed" in stage.types())
    assert stage.types().count("SealDeliveryFailed") == 1


def test_a_key_that_cannot_be_used_is_said_once_and_ends_nothing(stage: Stage) -> None:
    stage.record()
    sealer_of(stage.context, say=stage.said.append).make()
    stage.record()
    for path in (stage.home.keys).glob("*.pem"):
        path.chmod(0o644)
    end = stage.clock.monotonic() + 10_000
    stage.run(until=lambda: stage.clock.monotonic() > end)
    assert sum("no seal could be made: others may read the key" in one for one in stage.said) == 1
