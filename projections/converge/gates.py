"""When does a service count as up: looked at through the engine, never believed from an exit code.

Probes decide when there are any: all have to pass, and the first verdict of a declared health check, which
comes a whole interval after the start, is not waited for. Without probes the health check decides when the
container turns healthy. Without both it must be seen running in at least three samples over the settle time.
Restarting, a grown restart count, unhealthy and ended are terminal at once in every case, whatever the exit
code: what ends by itself with success is a job and is not watched here. A container that was told of changed
files by a signal has to stay up over the settle time with a health check or probes too, because what the
check said may be from before the signal.

The deadline is the gate's own. Without probes it is never shorter than what the check itself may take before
the engine gives up, or the settle time, plus a margin.

A gate may go on watching for a while what has passed: then the same things are terminal, three rounds of
probes in a row that fail are, and so is a line of its log that must not be there. What waits for it goes on
after that. Nothing is watched on unless a gate says so: each wave would take longer, and what ends later is
found by healing anyway.

One loop watches all containers, of whatever waves, with one sleep for each round. A task for each container
was dropped: it watches no faster, the first failure would have to cancel the others, and what follows from
verdicts would be begun in an order of chance. What has just been started is looked at more often than the
rest: each pause is a time in which a version that is ready gets no requests.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from events.catalog import Failure
from events.kernel.clock import Clock
from events.manifest import Gate
from projections.converge.asking import FAILURES, Asking
from projections.converge.failures import (
    CONTAINER_NOT_HEALTHY,
    LOG_NOT_SILENT,
    PROBES_FAILED,
    failed_container,
    last_lines,
)
from projections.converge.silence import Silence
from projections.converge.superseding import Rest
from projections.converge.terminal import Found, terminal
from projections.engine.port import ContainerDetail, Engine

SAMPLE_SECONDS = 0.1
_YOUNG_SECONDS = 5.0  # since its watch began: for what takes longer, a tenth of a second is nothing
_YOUNG_PAUSE_SECONDS = 0.02  # for each container, and a look at one takes two or three thousandths
SAMPLES = 3  # at least so many looks see it running when no health check is declared
MARGIN_SECONDS = 10.0  # on top of the check's own budget: an engine under load starts checks late


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A service whose containers are to be watched."""

    host: str
    service: str
    containers: tuple[str, ...]
    gate: Gate
    restarts: Mapping[str, int] = field(default_factory=dict[str, int])  # seen before; else 0
    told: frozenset[str] = frozenset()  # containers that got a signal: their health is from before it


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """What a watch came to; `failure` None: every container passed."""

    failure: Failure | None = None

    @property
    def passed(self) -> bool:
        """Whether everything that was watched is up."""
        return self.failure is None


@dataclass(slots=True, kw_only=True)
class _Look:
    """What is known of one container so far."""

    watched: Watched
    container: str
    asking: Asking | None  # None: its gate has no probes
    start: float  # monotonic seconds from which its deadline counts
    passed_at: float | None = None  # monotonic seconds
    over: bool = False  # it has passed, and nothing more has to be seen of it
    silence: Silence | None = None  # from when it passed, if its gate watches on
    running_since: float | None = None  # monotonic seconds
    samples: int = 0
    has_check: bool = False  # declares a health check, as far as it was looked at

    @property
    def was_told(self) -> bool:
        """Whether it got a signal."""
        return self.container in self.watched.told

    @property
    def says_when(self) -> bool:
        """Whether it passes at a moment that is its own, and has not yet; else it is time that passes it."""
        return self.passed_at is None and (self.has_check or self.asking is not None)


@dataclass(slots=True, kw_only=True)
class GateWatch:
    """Services that are watched, more of which may come at any time; `close` it."""

    engine: Engine
    clock: Clock
    _looks: list[_Look] = field(default_factory=list["_Look"])
    _under_way: set[str] = field(default_factory=set[str])  # services

    def add(self, watched: Iterable[Watched]) -> None:
        """Watch these too, from now on; one without containers passes at the next look."""
        now = self.clock.monotonic()
        for one in watched:
            self._under_way.add(one.service)
            for container in one.containers:
                asking = _asking(self.engine, one.gate, container, self.clock)
                self._looks.append(_Look(watched=one, container=container, asking=asking, start=now))

    @property
    def under_way(self) -> frozenset[str]:
        """The services that have no verdict yet."""
        return frozenset(self._under_way)

    @property
    def pause_seconds(self) -> float:
        """Until the next look, at most `SAMPLE_SECONDS`."""
        now = self.clock.monotonic()
        young = any(one.says_when and now - one.start < _YOUNG_SECONDS for one in self._looks)
        return min(SAMPLE_SECONDS, _YOUNG_PAUSE_SECONDS * len(self._looks)) if young else SAMPLE_SECONDS

    async def look(self) -> tuple[frozenset[str], Failure | None]:
        """Look once at each container; answers the services that have passed by it, and the first failure.

        A container that has passed goes on being looked at until its service is released. Raises the errors
        of `Engine.inspect`, `Engine.probe` and `Engine.logs`.
        """
        for look in self._looks:
            detail = await self.engine.inspect(look.container)
            restarts = look.watched.restarts.get(look.container, 0)
            found = terminal(detail, restarts=restarts)
            found = found or _progress(detail, look, now=self.clock.monotonic())
            found = found or await _watched_on(self.engine, look, clock=self.clock)
            if found is not None:
                return frozenset(), await _evidence(self.engine, look, detail=detail, found=found)
        waiting = {look.watched.service for look in self._looks if not look.over}
        passed = frozenset(self._under_way - waiting)
        self._under_way -= passed
        return passed, None

    async def release(self, services: Collection[str]) -> None:
        """Look no more at what has passed."""
        over = [look for look in self._looks if look.watched.service in services]
        self._looks = [look for look in self._looks if look.watched.service not in services]
        await _closed(over)

    async def close(self) -> None:
        """End what is being asked."""
        looks, self._looks = self._looks, []
        self._under_way.clear()
        await _closed(looks)


async def _closed(looks: Iterable[_Look]) -> None:
    for look in looks:
        if look.asking is not None:
            await look.asking.close()


async def watch(
    engine: Engine, watched: Iterable[Watched], *, clock: Clock, rest: Rest | None = None
) -> GateVerdict:
    """Look again and again until all containers passed, one failed, or a deadline is over.

    Between two looks `rest` is awaited; None: the clock alone. Raises what `GateWatch.look` raises, and what
    `rest` raises, which ends the watch without a verdict.
    """
    watching = GateWatch(engine=engine, clock=clock)
    watching.add(watched)
    try:
        while True:
            _, failure = await watching.look()
            if failure is not None or not watching.under_way:
                return GateVerdict(failure=failure)
            await (rest or clock.sleep)(watching.pause_seconds)
    finally:
        await watching.close()


def _asking(engine: Engine, gate: Gate, container: str, clock: Clock) -> Asking | None:
    if gate.probes is None:
        return None
    return Asking(engine=engine, container=container, probes=gate.probes, clock=clock)


def _progress(detail: ContainerDetail | None, look: _Look, *, now: float) -> Found | None:
    """Note a look that was not terminal; the code and the sentence when its deadline is over."""
    if detail is None or look.over:
        return None
    look.has_check = detail.health_check
    running = detail.container.state == "running"
    if not running:
        look.running_since, look.samples = None, 0
    else:
        look.running_since = now if look.running_since is None else look.running_since
        look.samples += 1
        if look.asking is not None:
            look.asking.look()
    if look.passed_at is not None:
        return None
    if running and _is_up(detail, look, now=now):
        look.passed_at = now
        return None
    allowed = deadline_seconds(look.watched.gate, detail, was_told=look.was_told)
    return _too_late(detail, look, allowed) if now - look.start >= allowed else None


def _is_up(detail: ContainerDetail, look: _Look, *, now: float) -> bool:
    """Whether a container that runs has passed."""
    since = now if look.running_since is None else look.running_since
    settled = now - since >= look.watched.gate.settle_seconds and look.samples >= SAMPLES
    if look.asking is not None:
        return look.asking.answers and (settled or not look.was_told)
    if not detail.health_check:
        return settled
    return detail.container.health == "healthy" and (settled or not look.was_told)


def _too_late(detail: ContainerDetail, look: _Look, seconds: float) -> Found:
    state: str = detail.container.state
    if state == "running" and look.asking is not None and not look.asking.answers:
        message = f"the container had not passed its probes after {seconds:g} s"
        return Found(CONTAINER_NOT_HEALTHY, message, look.asking.said)
    if state == "running" and detail.health_check:
        if not detail.health_checked:
            message = f"the health check had not run once after {seconds:g} s"
            return Found(CONTAINER_NOT_HEALTHY, message)
        state = detail.container.health
    return Found(CONTAINER_NOT_HEALTHY, f"the container was still {state} after {seconds:g} s")


def deadline_seconds(gate: Gate, detail: ContainerDetail, *, was_told: bool = False) -> float:
    """The longest wait: the gate's, or what the check itself or the settle time needs and a margin."""
    if gate.probes is not None and not was_told:
        return gate.deadline_seconds
    checked = detail.health_check and gate.probes is None
    needed = detail.health_budget_seconds if checked else gate.settle_seconds
    return max(gate.deadline_seconds, needed + MARGIN_SECONDS)


async def _watched_on(engine: Engine, look: _Look, *, clock: Clock) -> Found | None:
    """Judge one that has passed as long as its gate says, and note when that is over."""
    if look.passed_at is None or look.over:
        return None
    on = look.watched.gate.watch
    if on is None:
        look.over = True
        return None
    if look.silence is None:
        look.silence = Silence(engine=engine, container=look.container, texts=on.silent_of, clock=clock)
    if look.asking is not None and look.asking.failures >= FAILURES:
        message = f"the container had passed its probes, and then failed {FAILURES} times in a row"
        return Found(PROBES_FAILED, message, look.asking.said)
    over = clock.monotonic() - look.passed_at >= on.seconds
    line = await look.silence.broken(at_once=over)
    if line:
        return Found(LOG_NOT_SILENT, "its log says what the gate does not allow", line)
    look.over = over
    return None


async def _evidence(engine: Engine, look: _Look, *, detail: ContainerDetail | None, found: Found) -> Failure:
    return failed_container(
        found.code,
        found.message,
        why=found.why,
        host=look.watched.host,
        service=look.watched.service,
        detail=detail,
        log_tail=await last_lines(engine, look.container),
    )
