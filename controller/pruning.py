"""Taking away what left the Manifest: the cap on it, what a plan says of it, and a person's word.

The cap is the operator's, `policy.….removal.most_services`; a descriptor may have a lower one. The word is
recorded before anything goes, so what a crash leaves of it is taken away by the next heal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from controller.decide.prune import decide_prune
from controller.deciding import append_decided
from controller.releasing import finish_active
from controller.tenures import tenure
from projections.converge.orphans import Cap, lasting

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from controller.targets import Target
    from events.envelope import Actor
    from events.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What a Release would take away that is more than it may."""

    services: tuple[str, ...]  # `host/service`, sorted
    most: int

    @property
    def words(self) -> str:
        """What that means, and the flag."""
        count = len(self.services)
        return (
            f"{count} services leave, more than go at once (at most {self.most}, or half of all): they run "
            f"on until --confirm-prune {count} of deploy, or `stagecraft prune --confirm {count}` afterwards"
        )

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        return {"services": list(self.services), "count": len(self.services), "most": self.most}


def foretold(
    state: EnvironmentState, *, wanted: Manifest, before: Manifest | None, most: int
) -> Foretold | None:
    """What would wait for a person's word: what leaves now, and what waits already; None: all may go."""
    going = (lasting(before) | state.kept_places) - lasting(wanted)
    known = any(one.digest == wanted.digest for one in state.completed())
    if known or not Cap(most=most).stops(len(going), there=len(lasting(before))):
        return None
    return Foretold(services=tuple(sorted(f"{host}/{name}" for host, name in going)), most=most)


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
