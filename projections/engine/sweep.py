"""What a killed Compose client leaves behind, and how it is put right before the next one runs.

To recreate a container, Compose makes the new one under the name `<12 hex>_<name>`, stops and removes the
old one, renames the new one and starts it. Killed in between, the next client takes what it finds under
whatever name it has, or fails because the name is in use. So, before any `up`:

- the old one is still there: the new one was never started and goes;
- the old one is gone: the new one is complete, and it may hold the only anonymous volumes of the service.
  It takes its name and stays. Removing it would be simpler and would delete data.

Only containers with all of our labels are touched. Pure planning first; the same plan can be shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events import labels

if TYPE_CHECKING:
    from projections.engine.port import Container, Engine

_HALF_MADE = re.compile(r"(?P<old>[0-9a-f]{12})_(?P<name>.+)", re.DOTALL)
_GOING = frozenset({"removing", "dead"})  # the engine renames neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose containers: the values that our labels must have."""

    project: str
    environment: str
    log: str  # the lineage of the log

    def owns(self, container: Container) -> bool:
        """Whether it carries every label of ours and those of identity with these values."""
        found = container.labels
        return (
            all(found.get(label) for label in labels.IDENTITY)
            and found[labels.PROJECT] == self.project
            and found[labels.ENVIRONMENT] == self.environment
            and found[labels.LOG] == self.log
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """The container was made to take another's place and never did."""

    id: str
    name: str

    def __str__(self) -> str:
        return f"remove the half-made {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """The container took another's place and not yet its name."""

    id: str
    name: str
    to: str

    def __str__(self) -> str:
        return f"rename {self.name} to {self.to}"


def plan_sweep(containers: Iterable[Container], owner: Owner) -> list[Remove | Rename]:
    """What to do about half-made containers, in order of their names.

    `containers` must be all of the Compose project, also those of other owners: their names are taken.
    """
    everything = list(containers)
    taken = {container.name for container in everything}
    # What runs has the first claim to a name that several wait for.
    half_made = sorted(
        filter(owner.owns, everything), key=lambda found: (found.state != "running", found.name)
    )
    plan: list[Remove | Rename] = []
    for container in half_made:
        match = _HALF_MADE.fullmatch(container.name)
        if match is None or container.state in _GOING:
            continue
        if match["name"] not in taken:
            taken.add(match["name"])
            plan.append(Rename(id=container.id, name=container.name, to=match["name"]))
        elif container.state == "created":
            plan.append(Remove(id=container.id, name=container.name))
    return sorted(plan, key=lambda step: step.name)


async def sweep(engine: Engine, compose_project: str, *, owner: Owner) -> list[Remove | Rename]:
    """Put right what is half-made in one Compose project and answer what was done.

    The caller holds the project's lock. Raises what `Engine.containers`, `remove` and `rename` raise.
    """
    plan = plan_sweep(await engine.containers(compose_project), owner)
    for step in plan:
        match step:
            case Remove():
                await engine.remove(step.id)
            case Rename():
                await engine.rename(step.id, step.to)
    return plan
