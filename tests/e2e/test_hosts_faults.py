"""Three real hosts, one of which fails in a way and at a moment that are drawn anew each time.

Whatever it is, the command ends within its deadline and says what is so on every host, nothing on a host is a
half, and when the fault is over the controller brings everything to what is deployed by itself. The rounds
build on one another. `STAGECRAFT_HOSTS_SEED` replays what a run has drawn.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.host_faults import FAULTS, FaultyShop
from tests.e2e.hosts_truth import (
    check_folders,
    check_guards,
    check_live,
    check_verdict,
    converged,
    events_of,
    head_of,
    state_of,
)
from tests.e2e.shop_hosts import OpenShop
from tests.support.lab_host import LabHost

POINTS = 20
LOOK_SECONDS = 240.0
MOST_LOOKS = 5
_POLL_SECONDS = 0.02
ROLLOUTS = (
    "{hosts: {canary: h2}}",
    "{hosts: {canary: h1, max_parallel: 2}}",
    "{hosts: {max_parallel: 2, max_failures: 1}}",
    "{hosts: {on_unreachable: skip, canary: h2}}",
    "{hosts: {max_parallel: 2}, on_failure: continue}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a fault strikes: so many seconds after so many events of a kind; without a kind before all."""

    kind: str = ""
    count: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        """In words."""
        return f"{self.seconds:.2f} s after {self.kind} {self.count}" if self.kind else "before"


AFTER = Moment(kind="the look")


@pytest.fixture
def shop(
    open_shop: OpenShop,
) -> Iterator[FaultyShop]:
    """A shop at its first version; the hosts are healed and empty afterwards."""
    made = open_shop(FaultyShop)
    made.mend()
    made.merge("v1")
    made.look().expect(0)
    yield made
    made.mend()
    made.clear()


def play(shop: FaultyShop, fault: str, host: str, moment: Moment) -> None:
    """One Release with a fault, and what comes after it."""
    struck, place = FAULTS[fault], shop.lab.host(host)
    before, releases = head_of(shop), len(state_of(shop).releases)
    if not moment.kind:
        struck.strike(shop, place)
    with shop.looking() as under_way:
        if moment.kind and moment is not AFTER:
            while under_way.poll() is None and events_of(shop, moment.kind, after=before) < moment.count:
                time.sleep(_POLL_SECONDS)
            time.sleep(moment.seconds)
            struck.strike(shop, place)
        under_way.wait(LOOK_SECONDS)
    if moment is AFTER:
        struck.strike(shop, place)
        shop.look()
    if len(state_of(shop).releases) > releases:
        check_verdict(shop, unsure=host if struck.engine or moment is AFTER else "")
    check_folders(shop, at_rest=False)
    if struck.silent:
        check_live(shop, silent=host)
    shop.mend()
    come_to_rest(shop, place if struck.engine else None)
    check_folders(shop, at_rest=True)
    check_guards(shop)


def come_to_rest(shop: FaultyShop, struck: LabHost | None) -> None:
    """Look until everything runs as deployed; `struck` is a host whose engine was killed.

    An engine that is killed while it begins a container may keep the port of that one for itself (20.10
    does), until it is restarted. No Release can do anything about that, and says so.
    """
    said = ""
    for _ in range(MOST_LOOKS):
        look = shop.look()
        if not (differs := converged(shop)):
            return
        said = f"{differs}; the last one said:\n{look.stdout}\n{look.stderr}"
        if struck is not None and "port-taken" in look.stderr:
            struck.kill_engine(signal.SIGTERM)
            struck.start_engine()
    pytest.fail(f"after {MOST_LOOKS} looks {said}")


@pytest.mark.slow
def test_whatever_fails_and_whenever_it_ends_well(
    shop: FaultyShop, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = os.environ.get("STAGECRAFT_HOSTS_SEED") or str(random.SystemRandom().randrange(2**32))
    points = int(os.environ.get("STAGECRAFT_HOSTS_POINTS") or POINTS)

    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}")

    tell(f"replay with STAGECRAFT_HOSTS_SEED={seed}")
    draw = random.Random(seed)  # noqa: S311  # to be replayed
    names = draw.sample(sorted(FAULTS), len(FAULTS))
    for number in range(points):
        fault, host = names[number % len(names)], draw.choice(sorted(shop.lab.hosts))
        if fault == "half a batch fails":
            host = draw.choice(("h1", "h2"))
        shop.rollout = draw.choice(ROLLOUTS)
        moment = _drawn(draw, at_start=FAULTS[fault].at_start)
        tell(f"{number + 1}: {fault} on {host} {moment}, rollout {shop.rollout}")
        began = time.monotonic()
        shop.merge(f"v{number + 2}")
        play(shop, fault, host, moment)
        tell(f"   {time.monotonic() - began:.1f} s")


def _drawn(draw: random.Random, *, at_start: bool) -> Moment:
    kinds: list[Callable[[], Moment]] = [
        Moment,
        lambda: Moment(kind="ReleaseStarted", seconds=draw.uniform(0, 2)),
        lambda: Moment(kind="ServiceReplaced", count=draw.randint(1, 3), seconds=draw.uniform(0, 1)),
        lambda: Moment(kind="PhaseStarted", count=2, seconds=draw.uniform(0, 0.2)),
        lambda: AFTER,
    ]
    made = draw.choices(kinds, weights=(2, 4, 5, 1, 1))[0]()
    return Moment() if at_start else made


@pytest.mark.slow
def test_a_full_disk_is_told_and_catches_up(shop: FaultyShop) -> None:
    shop.merge("v2")
    play(shop, "disk full", "h2", Moment())


@pytest.mark.slow
def test_an_engine_that_hangs_in_the_middle_is_told_and_catches_up(shop: FaultyShop) -> None:
    shop.merge("v2")
    play(shop, "engine frozen", "h2", Moment(kind="ServiceReplaced"))


@pytest.mark.slow
def test_a_changed_host_key_fails_the_release_before_anything_is_touched(shop: FaultyShop) -> None:
    before = shop.containers()
    shop.merge("v2")
    shop.lab.host("h2").new_host_key()
    shop.look()
    failed = shop.verdict()
    assert (failed["type"], failed["failure"]["code"]) == ("ReleaseFailed", "host-key-changed")
    assert shop.containers() == before
    shop.mend()
    come_to_rest(shop, None)
