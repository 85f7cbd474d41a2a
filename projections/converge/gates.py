"""When does a service count as up: looked at through the engine, never believed from an exit code.

A declared health check decides when the container turns healthy. Without one it must be seen running in at
least three samples over the settle time. Restarting, a grown restart count, unhealthy and ended are
terminal at once, whatever the exit code: what ends by itself with success is a job and is not watched here.
A container that was told of changed files by a signal has to stay up over the settle time with a health check
too, because what the check said may be from before the signal. The deadline is the gate's own, and never
shorter than what the check itself may take before the engine gives up, plus a margin.

One loop watches all containers of a wave with one sleep for each round. A task for each container was
dropped: it watches no faster, and the first failure would have to cancel the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from events.catalog import Failure
from events.kernel.clock import Clock
from events.manifest import Gate
from projections.converge.failures import (
    CONTAINER_EXITED,
    CONTAINER_GONE,
    CONTAINER_NOT_HEALTHY,
    CONTAINER_NOT_STARTED,
    CONTAINER_OUT_OF_MEMORY,
    CONTAINER_RESTARTING,
    CONTAINER_UNHEALTHY,
    failed_container,
    last_lines,
)
from projections.converge.superseding import Rest
from projections.engine.port import ContainerDetail, Engine

SAMPLE_SECONDS = 0.1
SAMPLES = 3  # at least so many looks see it running when no health check is declared
MARGIN_SECONDS = 10.0  # on top of the check's own budget: an engine under load starts checks late

_ENDED = frozenset({"exited", "dead", "removing"})


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
    passed: bool = False
    running_since: float | None = None  # monotonic seconds
    samples: int = 0


async def watch(
    engine: Engine, watched: Iterable[Watched], *, clock: Clock, rest: Rest | None = None
) -> GateVerdict:
    """Look every `SAMPLE_SECONDS` until all containers passed, one failed, or a deadline is over.

    A container that has passed goes on being looked at while others are waited for. Between two looks `rest`
    is awaited; None: the clock alone. Raises the errors of `Engine.inspect`, and what `rest` raises, which
    ends the watch without a verdict.
    """
    looks = [_Look(watched=one, container=container) for one in watched for container in one.containers]
    start = clock.monotonic()
    while True:
        for look in looks:
            detail = await engine.inspect(look.container)
            found = _terminal(detail, look) or _progress(detail, look, now=clock.monotonic(), start=start)
            if found is not None:
                return GateVerdict(failure=await _evidence(engine, look, detail=detail, found=found))
        if all(look.passed for look in looks):
            return GateVerdict()
        await (rest or clock.sleep)(SAMPLE_SECONDS)


def _terminal(detail: ContainerDetail | None, look: _Look) -> tuple[str, str] | None:
    """The code and the sentence of an end that no further waiting changes; the first that applies."""
    if detail is None:
        return CONTAINER_GONE, "the container was removed while it was waited for"
    state, code = detail.container.state, detail.exit_code
    restarts = detail.restart_count - look.watched.restarts.get(look.container, 0)
    ended, restarted = state in _ENDED, state == "restarting" or restarts > 0
    sick = detail.health_check and detail.container.health == "unhealthy"
    ends = (
        (
            detail.oom_killed and (ended or restarted),
            (CONTAINER_OUT_OF_MEMORY, "the container used more memory than it may and was killed"),
        ),
        (
            bool(detail.error) and (ended or state == "created"),
            (CONTAINER_NOT_STARTED, "the engine could not start the container"),
        ),
        (ended, (CONTAINER_EXITED, f"the container ended with exit code {code}")),
        (restarted, (CONTAINER_RESTARTING, f"the container ended with exit code {code} and was restarted")),
        (sick, (CONTAINER_UNHEALTHY, "the health check failed until the engine gave up")),
    )
    return next((found for applies, found in ends if applies), None)


def _progress(
    detail: ContainerDetail | None, look: _Look, *, now: float, start: float
) -> tuple[str, str] | None:
    """Note a look that was not terminal; the code and the sentence when its deadline is over."""
    if detail is None or look.passed:
        return None
    gate = look.watched.gate
    if detail.container.state != "running":
        look.running_since, look.samples = None, 0
    else:
        look.running_since = now if look.running_since is None else look.running_since
        look.samples += 1
        settled = now - look.running_since >= gate.settle_seconds and look.samples >= SAMPLES
        healthy = detail.container.health == "healthy"
        if detail.health_check and look.container not in look.watched.told:
            look.passed = healthy
        else:
            look.passed = settled and (healthy or not detail.health_check)
    allowed = deadline_seconds(gate, detail)
    if not look.passed and now - start >= allowed:
        state = detail.container.health if detail.health_check else detail.container.state
        return CONTAINER_NOT_HEALTHY, f"the container was still {state} after {allowed:g} s"
    return None


def deadline_seconds(gate: Gate, detail: ContainerDetail) -> float:
    """The longest wait: the gate's, or what the check itself or the settle time needs and a margin."""
    needed = detail.health_budget_seconds if detail.health_check else gate.settle_seconds
    return max(gate.deadline_seconds, needed + MARGIN_SECONDS)


async def _evidence(
    engine: Engine, look: _Look, *, detail: ContainerDetail | None, found: tuple[str, str]
) -> Failure:
    code, message = found
    return failed_container(
        code,
        message,
        host=look.watched.host,
        service=look.watched.service,
        detail=detail,
        log_tail=await last_lines(engine, look.container),
    )
