"""What containers do by themselves: told once a minute for each service, and counted."""

from __future__ import annotations

from controller.state_changes import StateChanges
from events.catalog.running import ContainerStateChanged
from tests.support.time import START, FakeClock

WEB = ("shop/prod", "local", "web")


def test_the_first_is_told_at_once_and_the_next_after_a_minute_with_their_number() -> None:
    changes, clock = StateChanges(), FakeClock()
    told: list[ContainerStateChanged] = []
    for _ in range(121):
        changes.note(WEB, "die", at=clock.now())
        told += changes.due("shop/prod", now=clock.monotonic())
        clock.advance(1)
    assert [one.count for one in told] == [1, 60, 60]
    assert told[0] == ContainerStateChanged(host="local", service="web", state="die", count=1, since=START)
    assert (told[1].since - START).total_seconds() == 1


def test_an_hour_of_it_is_sixty_events_and_none_is_lost() -> None:
    changes, clock = StateChanges(), FakeClock()
    told: list[ContainerStateChanged] = []
    for _ in range(3600):
        changes.note(WEB, "die", at=clock.now())
        told += changes.due("shop/prod", now=clock.monotonic())
        clock.advance(1)
    clock.advance(60)
    told += changes.due("shop/prod", now=clock.monotonic())
    assert len(told) <= 61
    assert sum(one.count for one in told) == 3600


def test_services_hosts_and_environments_are_counted_apart() -> None:
    changes, clock = StateChanges(), FakeClock()
    for place in (
        WEB,
        ("shop/prod", "local", "db"),
        ("shop/prod", "n2", "web"),
        ("shop/beta", "local", "web"),
    ):
        changes.note(place, "die", at=clock.now())
    found = changes.due("shop/prod", now=clock.monotonic())
    assert {(one.host, one.service) for one in found} == {("local", "web"), ("local", "db"), ("n2", "web")}
    assert changes.due("shop/prod", now=clock.monotonic()) == ()


def test_what_is_quiet_again_is_forgotten_and_what_is_counted_is_bounded() -> None:
    changes, clock = StateChanges(), FakeClock()
    changes.note(WEB, "die", at=clock.now())
    changes.due("shop/prod", now=clock.monotonic())
    clock.advance(61)
    assert changes.due("shop/prod", now=clock.monotonic()) == ()
    for number in range(5000):
        changes.note(("shop/prod", "local", f"s{number}"), "die", at=clock.now())
    assert len(changes.due("shop/prod", now=clock.monotonic())) == 1000
