"""`stop`, `start` and `restart` of one service: recorded under the environment's lock, then done.

What a killed Release left is finished first, so that the wish is about what is deployed then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.decide.running import Named, decide_restart, decide_start, decide_stop, deployed_digest
from controller.deciding import append_decided
from controller.placed import former_manifest
from controller.releasing import finish_active
from controller.tenures import tenure
from projections.converge.steering import Steering

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from controller.targets import Target
    from events.catalog import Event
    from events.envelope import Actor
    from events.manifest import Manifest
    from projections.converge.steering import Wish

_DECIDE: dict[Wish, Callable[[EnvironmentState, Named], tuple[Event, ...]]] = {
    "stop": decide_stop,
    "start": decide_start,
    "restart": decide_restart,
}


async def steer(
    context: Context, target: Target, wish: Wish, *, service: str, reason: str, actor: Actor
) -> bool:
    """Record what a person wants of a service and do it; whether something new was recorded.

    Raises UserError for a service that there is not, a job, nothing deployed, or a service that does not
    come up; OutsideError for a host that does not answer, with the wish recorded: a heal goes on with it.
    """
    async with tenure(context, str(target), purpose=f"{wish} {service}", draw="now") as held:
        await finish_active(held, target.project, target.name)
        recorder = held.recorder(actor)

        def decide(state: EnvironmentState) -> tuple[Event, ...]:
            manifest = _wanted(held, state)
            return _DECIDE[wish](state, Named(service=service, manifest=manifest, reason=reason))

        decided = append_decided(held, str(target), decide, recorder=recorder)
        state = held.environment(target.project, target.name)
        work = Steering(
            wish=wish,
            service=service,
            manifest=_wanted(held, state),
            release=state.deployed or "",
            stopped=state.stopped_hashes,
            drained_hosts=state.drained.hosts,
            drained_services=state.drained.services,
        )
        await held.converger.steer(work, recorder=recorder)
    return bool(decided)


def _wanted(context: Context, state: EnvironmentState) -> Manifest:
    """What the hosts are to run. Raises UserError `nothing-deployed`."""
    return former_manifest(context, state) or context.manifest(deployed_digest(state))
