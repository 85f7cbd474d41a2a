"""Three real hosts, one of which fails in a way and at a moment that are drawn anew each time.

Whatever it is, the command ends within its deadline and says what is so on every host, nothing on a host is a
half, and when the fault is over the controller brings everything to what is deployed by itself. The rounds
build on one another. `STAGECRAFT_HOSTS_SEED` replays what a run has drawn, and `STAGECRAFT_HOSTS_POINTS` says
how many.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pytest

from events.kernel.errors import ExitCode
from tests.e2e.host_faults import FAULTS, FaultyShop
from tests.e2e.hosts_truth import (
    check_exit_code,
    check_folders,
    check_guards,
    check_live,
    check_struck,
    check_swept,
    check_verdict,
    converged,
    events_of,
    head_of,
    state_of,
)
from tests.e2e.shop_hosts import OpenShop
from tests.support.lab_host import LabHost

SEED = os.environ.get("STAGECRAFT_HOSTS_SEED")  # now: a test has no variables of the caller's
POINTS = int(os.environ.get("STAGECRAFT_HOSTS_POINTS") or 20)
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
T = TypeVar("T")
_CODES = {ExitCode.OK, ExitCode.USER, ExitCode.OUTSIDE}  # a bug is none


MOMENTS: tuple[Callable[[random.Random], Moment], ...] = (
    lambda _: Moment(),
    lambda draw: Moment(kind="ReleaseStarted", seconds=draw.uniform(0, 2)),
    lambda draw: Moment(kind="ReleaseStarted", seconds=draw.uniform(0, 0.5)),
    lambda draw: Moment(kind="ServiceReplaced", count=1, seconds=draw.uniform(0, 1)),
    lambda draw: Moment(kind="ServiceReplaced", count=2, seconds=draw.uniform(0, 1)),
    lambda draw: Moment(kind="ServiceReplaced", count=3, seconds=draw.uniform(0, 1)),
    lambda draw: Moment(kind="PhaseStarted", count=2, seconds=draw.uniform(0, 0.2)),
    lambda _: AFTER,
)


class Deck(Generic[T]):
    """Cards in an order of chance, each dealt once before any is dealt again."""

    def __init__(self, draw: random.Random, cards: Sequence[T]) -> None:
        self._draw = draw
        self._cards = cards
        self._left: list[T] = []

    def next(self) -> T:
        """The next card."""
        if not self._left:
            self._left = self._draw.sample(self._cards, len(self._cards))
        return self._left.pop()


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
        code = under_way.wait(LOOK_SECONDS)
    ended = len(state_of(shop).releases) > releases
    check_exit_code(shop, code, ended=ended)
    if moment is AFTER:
        check_verdict(shop)
        struck.strike(shop, place)
        look = shop.look()
        assert look.code == ExitCode.OUTSIDE if struck.silent else look.code in _CODES, look
    if ended:
        check_verdict(shop, unsure=host if struck.engine else "")
    check_folders(shop)
    if struck.silent:
        check_live(shop, silent=host)
    shop.mend()
    if ended and struck.engine:
        check_struck(shop, host)
    come_to_rest(shop, place if struck.engine else None)
    check_folders(shop)
    check_swept(shop)
    check_guards(shop)


def come_to_rest(shop: FaultyShop, struck: LabHost | None) -> None:
    """Look until everything runs as deployed; `struck` is a host whose engine was killed.

    An engine that is killed while it begins a container may keep the port of that one for itself (20.10
    does), until it is restarted. No Release can do anything about that, and says so, and what helps.
    """
    said = ""
    for _ in range(MOST_LOOKS):
        look = shop.look()
        if not (differs := converged(shop)):
            return
        said = f"{differs}; the last one said:\n{look.stdout}\n{look.stderr}"
        if struck is not None and "port-taken" in look.stderr:
            assert f"restart the engine of {struck.name}" in look.stderr, said
            struck.kill_engine(signal.SIGTERM)
            struck.start_engine()
    pytest.fail(f"after {MOST_LOOKS} looks {said}")


@pytest.mark.slow
def test_whatever_fails_and_whenever_it_ends_well(
    shop: FaultyShop, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = SEED or str(random.SystemRandom().randrange(2**32))

    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}")

    tell(f"replay with STAGECRAFT_HOSTS_SEED={seed}")
    draw = random.Random(seed)  # noqa: S311  # to be replayed
    faults, moments = Deck(draw, sorted(FAULTS)), Deck(draw, MOMENTS)
    hosts, rollouts = Deck(draw, sorted(shop.lab.hosts)), Deck(draw, ROLLOUTS)
    for number in range(POINTS):
        fault = faults.next()
        host = draw.choice(("h1", "h2")) if fault == "half a batch fails" else hosts.next()
        shop.rollout = rollouts.next()
        moment = Moment() if FAULTS[fault].at_start else moments.next()(draw)
        tell(f"{number + 1}: {fault} on {host} {moment}, rollout {shop.rollout}")
        began = time.monotonic()
        shop.merge(f"v{number + 2}")
        play(shop, fault, host, moment)
        tell(f"   {time.monotonic() - began:.1f} s")


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
