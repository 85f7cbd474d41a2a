"""Requests lost while a service behind Traefik is replaced, and how soon the new one answers.

The load comes from a process of its own that asks nothing twice (tests/support/load.py): 200 new connections
a second, GET and POST in turn. Ours has to bear more than the others: also connections that are kept, and at
each moment a request that takes 10 s, a stream of events and a WebSocket, so that a switch cuts across them.

The other sides are `docker compose up -d` and docker-rollout, with the same app behind the same Traefik. It
learns of containers from the engine. docker-rollout is no package: its program is taken from where
`ROLLOUT=PATH` says, and unless it is given its figure is the one that was recorded on a machine like this.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.benchmarks import traffic_routes
from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Place, Stage
from tests.benchmarks.traffic_sides import ByHand, Ours
from tests.support.daemons import Daemon, running_daemon
from tests.support.load import Plan, running_load
from tests.support.load_result import LoadResult

SWITCHES, REQUESTS = 10, 20_000
SAME_CHECK, HTTP_PROBE = 1.0, 0.5
ROLLOUT_RECORDED = "docker-rollout 173 of 4000 (recorded 2026-11-21)"
_OTHERS_SECONDS = 20.0  # 4,000 requests
_SETTLE_SECONDS = 3.0  # before a switch under load, and after it
_VERDICT_SECONDS = 180.0


def measure(stage: Stage) -> list[Figure]:
    """Losses, streams, times to live, and how long a route takes."""
    others = [*_others(stage)]
    return [
        *_losses(stage, others),
        _time_to_live(stage, http_probe=False),
        _time_to_live(stage, http_probe=True),
        *traffic_routes.measure(stage),
    ]


def _others(stage: Stage) -> list[str]:
    """What the other sides lost in one switch each, in words."""
    program = os.environ.get("ROLLOUT")
    with stage.place("traffic-others") as place:
        side = ByHand(stage=stage, place=place)
        images = [side.image(number) for number in range(3)]
        side.up(0, "--wait")
        side.until(0)
        told = [f"`docker compose up -d` {_lost(_one_switch(stage, side, 1, None))}"]
        if program:
            told.append(f"docker-rollout {_lost(_one_switch(stage, side, 2, Path(program)))}")
        else:
            told.append(ROLLOUT_RECORDED)
        assert len(set(images)) == len(images)
    return told


def _one_switch(stage: Stage, side: ByHand, number: int, program: Path | None) -> LoadResult:
    """20 s of load with one change in it."""
    began = time.monotonic()
    with running_load(side.target, Plan(kept=0, streams=()), folder=side.place.folder) as load:
        time.sleep(_SETTLE_SECONDS)
        if program is None:
            side.up(number)
        else:
            side.roll(number, program)
        side.until(number)
        whole = stage.count(full=round(_OTHERS_SECONDS), quick=1)
        time.sleep(max(_SETTLE_SECONDS, whole - (time.monotonic() - began)))
        result = load.end()
    stage.tell(f"traffic, {'compose' if program is None else 'docker-rollout'}: {result.told()}")
    return result


def _lost(result: LoadResult) -> str:
    gap = result.longest_gap_ms / 1000
    return f"{result.failed} of {result.requests} in one switch, {gap:.2f} s without an answer"


def _losses(stage: Stage, others: list[str]) -> list[Figure]:
    """Pushes to a running controller under load and open streams."""
    switches = stage.count(full=SWITCHES, quick=1)
    least = stage.count(full=REQUESTS, quick=200)
    with stage.place("traffic") as place:
        side = Ours(stage=stage, place=place)
        for number in range(switches + 1):
            side.image(number)
        with (
            _controller(place, side) as daemon,
            running_load(side.target, Plan(), folder=place.folder) as load,
        ):
            began = time.monotonic()
            for number in range(1, switches + 1):
                _push(side, daemon, number)
            time.sleep(max(_SETTLE_SECONDS, least / _asked_each_second() - (time.monotonic() - began)))
            result = load.end()
            assert daemon.end() == 0
        stage.tell(f"traffic, ours: {result.told()}")
        assert len(result.versions) == switches + 1, f"not every version answered: {result.versions}"
        live = [one["data"]["milliseconds"] for one in _events(place, "TrafficSwitched")]
        drained = [one["data"]["milliseconds"] for one in _events(place, "ConnectionsDrained")]
    opened = ", ".join(f"{one.well + one.cut} {kind}" for kind, one in sorted(result.streams.items()))
    return [
        Figure(
            what=f"Requests lost over {switches} switches, 200 new connections/s",
            value=result.failed - result.cut,
            target=0,
            unit="",
            detail=f"of {result.requests}; longest gap {result.longest_gap_ms:.0f} ms; "
            f"beside: {'; '.join(others)}",
        ),
        Figure(
            what="Requests that this was tried on",
            value=result.requests,
            target=least,
            unit="",
            at_least=True,
            detail=f"an app that dies at once on SIGTERM; routes confirmed after {_middle(live)}",
        ),
        Figure(
            what="Streams cut by them: a 10 s request, server-sent events and a WebSocket, always open",
            value=result.cut,
            target=0,
            unit="",
            detail=f"{opened} were opened; old containers were empty after {_middle(drained)}",
        ),
    ]


def _asked_each_second() -> float:
    plan = Plan()
    return plan.rate + plan.kept * plan.kept_rate


def _middle(milliseconds: list[float]) -> str:
    if not milliseconds:
        return "an unknown time"
    return f"{seconds(median(milliseconds) / 1000)} (median), {seconds(max(milliseconds) / 1000)} at most"


def _time_to_live(stage: Stage, *, http_probe: bool) -> Figure:
    """Pushes with nothing in flight, against the same change by hand.

    Who types a command has the file in front of them: so the clock begins when the controller has the commit.
    """
    pairs = stage.count(full=9, quick=1)
    ours: list[float] = []
    pushed: list[float] = []
    by_hand: list[float] = []
    way = "an HTTP probe" if http_probe else "the same health check"
    with stage.place("traffic-http" if http_probe else "traffic-live") as place:
        side, other = Ours(stage=stage, place=place, http_probe=http_probe), ByHand(stage=stage, place=place)
        for number in range(pairs + 1):
            side.image(number)
        other.up(0, "--wait")
        with _controller(place, side) as daemon:
            for number in range(1, pairs + 1):
                began, answered = _push(side, daemon, number)
                seen = datetime.fromisoformat(_events(place, "RevisionObserved")[-1]["time"])
                ours.append(answered - seen.timestamp())
                pushed.append(answered - began)
                by_hand.append(other.up(number, "--wait"))
                stage.tell(f"traffic, {way} {number}: {seconds(ours[-1])}, by hand {seconds(by_hand[-1])}")
            assert daemon.end() == 0
        drained = [one["data"]["milliseconds"] for one in _events(place, "ConnectionsDrained")]
    return Figure(
        what=f"Commit seen until its version answers through the gateway, ready by {way}, "
        "against `docker compose up -d --wait` of the same change",
        value=median([one / two for one, two in zip(ours, by_hand, strict=True)]),
        target=HTTP_PROBE if http_probe else SAME_CHECK,
        unit=" x",
        detail=f"{pairs} pairs; {seconds(median(ours))} against {seconds(median(by_hand))}; from the push "
        f"{seconds(median(pushed))}; the old containers were empty after {_middle(drained)}",
    )


@contextmanager
def _controller(place: Place, side: Ours) -> Generator[Daemon]:
    """A daemon that has deployed the first version."""
    side.commit(0, push=True)
    with running_daemon(place.cli, "--repo", place.repository.origin) as daemon:
        daemon.says("completed after", seconds=_VERDICT_SECONDS)
        side.until(0)
        yield daemon


def _push(side: Ours, daemon: Daemon, number: int) -> tuple[float, float]:
    """One version until its Release is completed; when it was pushed and when it answered, on `time.time`."""
    said = daemon.said.count("completed after")
    side.commit(number, push=False)
    began = time.time()
    side.place.repository.push()
    answered = side.until(number)
    daemon.says("completed after", times=said + 1, seconds=_VERDICT_SECONDS)
    return began, answered


def _events(place: Place, kind: str) -> list[Any]:
    return place.cli.ok("events", "list", "--json", "--type", kind).json_lines()
