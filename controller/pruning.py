"""Taking away what left the Manifest: the cap on it, what a plan says of it, and a person's word.

The cap is the operator's, `policy.….removal.most_services`; a descriptor may have a lower one. The word is
recorded before anything goes, so what a crash leaves of it is taken away by the next heal.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from controller.decide.prune import decide_prune
from controller.deciding import append_decided
from controller.releasing import finish_active
from controller.tenures import tenure

if TYPE_CHECKING:
    from controller.context import Context
    from controller.targets import Target
    from events.envelope import Actor


async def confirm_prune(
    context: Context, target: Target, *, confirmed: int, reason: str, actor: Actor
) -> tuple[str, ...]:
    """Let what waits go, and take it away; answers what went, `host/service`.

    Raises UserError `nothing-to-prune` or `prune-count-differs`, and what the engine raises: the next heal
    takes the rest away then.
    """
    async with tenure(context, str(target), purpose="prune", draw="now") as held:
        await finish_active(held, target.project, target.name)
        recorder = held.recorder(actor)
        decide = partial(decide_prune, confirmed=confirmed, reason=reason)
        before = held.environment(target.project, target.name)
        append_decided(held, str(target), decide, recorder=recorder)
        waiting, deployed = before.unpruned, before.deployed_release
        if waiting is None or deployed is None:
            raise AssertionError("what waits was left by what is deployed")
        await held.converger.prune(
            held.manifest(deployed.digest),
            release=deployed.id,
            services=waiting.places,
            recorder=recorder,
        )
        return waiting.services
