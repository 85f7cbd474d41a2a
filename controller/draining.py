"""`drain` and `undrain` of a host or a service: recorded, then told to every gateway.

Recording needs no lock, so the wish stands at once whoever works on the environment. Gateways are told under
it, because one process at a time tells them anything. Where another process works for long, whoever keeps the
environment tells them when that is over: the wish is in the log.

What a killed Release left is finished before, with what is drained by then.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from controller.decide.draining import Draining, decide_drain, decide_undrain, routed_on
from controller.decide.running import deployed_digest
from controller.deciding import append_decided
from controller.locks import LOCKED
from controller.placed import former_manifest
from controller.releasing import finish_active, reroute_deployed
from controller.tenures import tenure
from events.kernel.errors import OutsideError
from events.routes import Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from controller.targets import Target
    from events.catalog import Event
    from events.draining import DrainKind, DrainMode
    from events.envelope import Actor
    from events.manifest import Manifest

_PATIENCE_SECONDS = 30.0  # for another process that works on the environment
_LOOK_SECONDS = 0.5  # between two counts of open connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person wants to be out of traffic, or back, and why."""

    name: str  # of a service or a host
    kind: DrainKind | None = None  # None: whichever has that name
    mode: DrainMode = "draining"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of it."""

    news: bool  # it was not so before
    busy: str = ""  # who works there, and tells gateways when that is over; empty: all that run confirmed
    answering: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By service that it is about, the hosts that answer for it now."""
    pages: Mapping[str, str] = field(default_factory=dict[str, str])
    """By service that nobody answers for, what is shown in its place: `service:port/path`."""
    open: int | None = None  # connections that gateways have to it; None: nobody can tell


async def drain(context: Context, target: Target, wanted: Wanted, *, actor: Actor) -> Told:
    """Have gateways send no new requests there.

    In maintenance it comes back when nothing is open any more, or when the services' drains may last no
    longer. Raises what `decide_drain` raises, and OutsideError where a gateway does not confirm.
    """

    def decide(state: EnvironmentState) -> tuple[Event, ...]:
        draining = Draining(
            name=wanted.name,
            manifest=_deployed(context, state),
            kind=wanted.kind,
            mode=wanted.mode,
            reason=wanted.reason,
        )
        return decide_drain(state, draining)

    told = await _wish(context, target, decide, actor=actor, purpose=f"drain {wanted.name}")
    if told.busy:
        return told
    answering = _answering(context, target, wanted)
    left = await _left(context, target, wanted, answering)
    return replace(told, open=left, answering=answering, pages=_pages(context, target, answering))


async def undrain(context: Context, target: Target, wanted: Wanted, *, actor: Actor) -> Told:
    """Have gateways send requests there again. Raises what `decide_undrain` raises, and as `drain`."""
    decide = partial(
        decide_undrain,
        name=wanted.name,
        kind=wanted.kind,
        reason=wanted.reason,
        environment=str(target),
    )
    told = await _wish(context, target, decide, actor=actor, purpose=f"undrain {wanted.name}")
    answering = _answering(context, target, wanted)
    return replace(told, answering=answering, pages=_pages(context, target, answering))


async def _wish(
    context: Context,
    target: Target,
    decide: Callable[[EnvironmentState], tuple[Event, ...]],
    *,
    actor: Actor,
    purpose: str,
) -> Told:
    """Record it, and tell the gateways as soon as nobody else works there."""
    decided = append_decided(context, str(target), decide, recorder=context.recorder(actor))

    async def work(held: Context) -> None:
        await finish_active(held, target.project, target.name)
        await reroute_deployed(held, target.project, target.name)

    busy = await _if_free(context, target, work, purpose=purpose)
    return Told(news=bool(decided), busy=busy)


async def _if_free(
    context: Context, target: Target, work: Callable[[Context], Awaitable[None]], *, purpose: str
) -> str:
    """Do it under the lock; who has that for too long, empty when it was done."""
    async with AsyncExitStack() as stack:
        waits = tenure(context, str(target), purpose=purpose, deadline_seconds=_PATIENCE_SECONDS)
        try:
            held = await stack.enter_async_context(waits)
        except OutsideError as error:
            if error.code != LOCKED:
                raise
            return error.why
        await work(held)
    return ""


async def _left(context: Context, target: Target, wanted: Wanted, services: Collection[str]) -> int | None:
    """Connections that gateways have to what is drained; in maintenance once it is none, or too late."""
    state = context.environment(target.project, target.name)
    manifest = _deployed(context, state)
    traffic = {} if manifest.routing is None else manifest.routing.traffic
    limits = [traffic.get(service, Traffic()).drain_seconds for service in services]
    ends = context.clock.monotonic() + max(limits, default=0.0)
    while True:
        left = await context.converger.open_connections(
            manifest, drained=state.drained, recorder=context.recorder()
        )
        if not left or wanted.mode == "draining" or context.clock.monotonic() >= ends:
            return left
        await context.clock.sleep(_LOOK_SECONDS)


def _answering(context: Context, target: Target, wanted: Wanted) -> dict[str, tuple[str, ...]]:
    """By service that the name is about, the hosts that answer for it now."""
    state = context.environment(target.project, target.name)
    manifest = former_manifest(context, state)
    if manifest is None:
        return {}
    return {
        service: state.drained.answering(service, hosts)
        for service, hosts in routed_on(manifest).items()
        if wanted.name == service or wanted.name in hosts
    }


def _pages(context: Context, target: Target, answering: Mapping[str, Collection[str]]) -> dict[str, str]:
    """By service without a host that answers, the page that visitors get."""
    manifest = former_manifest(context, context.environment(target.project, target.name))
    routing = None if manifest is None else manifest.routing
    silent = () if routing is None else [service for service, hosts in answering.items() if not hosts]
    pages = {service: routing.page_of(service) for service in silent if routing is not None}
    return {
        service: f"{page.service}:{page.port}{page.path}"
        for service, page in pages.items()
        if page is not None
    }


def _deployed(context: Context, state: EnvironmentState) -> Manifest:
    """What the hosts are to run. Raises UserError `nothing-deployed`."""
    return former_manifest(context, state) or context.manifest(deployed_digest(state))
