"""The names of a service's containers: `<compose project>-<service>-<number>`, numbered from one, for ever.

Compose numbers upwards and never reuses a number while an older container stands, so a service that is
replaced beside itself would come to be called `web-113`. The number is a label and stays; names are ours to
give. So the new container gets the old one's name while both run, in two renames: the old one first steps
aside to `<12 hex of its id>_<name>`, the form that Compose itself gives to a container on its way, which the
sweep puts right after a crash. While both run on purpose: the engine's DNS forgets a container for some
microseconds while it is renamed, and then the other one answers.

What a crash left under a number that is too high is found at the next look. Only containers with labels of
our own are renamed; a name that a person or `container_name` gave is not one of these and stays.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from projections.converge.conflicts import replicas, reserved_names
from projections.engine.port import Container
from projections.engine.sweep import Rename

_SHORT_ID = 12


def plan_exchange(
    names: Iterable[str], *, coming: Sequence[Container], going: Sequence[Container]
) -> list[Rename]:
    """The renames that give `coming` the reserved `names`, in order; those of `going` step aside for it."""
    held = {one.name for one in coming}
    free = [name for name in _in_order(names) if name not in held]
    holders = {one.name: one for one in going}
    plan: list[Rename] = []
    for one in sorted(coming, key=lambda found: _order(found.name)):
        if one.name in set(names) or not free:
            continue
        name = free.pop(0)
        if (holder := holders.get(name)) is not None:
            plan.append(Rename(id=holder.id, name=name, to=f"{holder.id[:_SHORT_ID]}_{name}"))
        plan.append(Rename(id=one.id, name=one.name, to=name))
    return plan


def plan_tidy(
    containers: Iterable[Container],
    *,
    ours: Collection[str],
    compose_project: str,
    definitions: Mapping[str, Mapping[str, Any]],
) -> list[Rename]:
    """The renames of what stands alone under a number that is too high.

    `containers` are all of the Compose project, `ours` the ids of those that may be renamed. A service that
    has more containers than it is to have is in the middle of an exchange.
    """
    found = list(containers)
    taken = {one.name for one in found}
    by_service: dict[str, list[Container]] = {}
    for one in found:
        if not one.one_off:
            by_service.setdefault(one.service or "", []).append(one)
    plan: list[Rename] = []
    for service, definition in sorted(definitions.items()):
        mine = by_service.get(service, [])
        numbered = re.compile(rf"{re.escape(compose_project)}-{re.escape(service)}-\d+")
        names = reserved_names(compose_project, {service: definition})
        if len(mine) > replicas(definition) or definition.get("container_name"):
            continue
        free = [name for name in _in_order(names) if name not in taken]
        astray = [
            one
            for one in sorted(mine, key=lambda one: _order(one.name))
            if one.id in ours and one.name not in names and numbered.fullmatch(one.name)
        ]
        pairs = zip(astray, free, strict=False)
        plan += [Rename(id=one.id, name=one.name, to=name) for one, name in pairs]
    return plan


def _in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=_order)


def _order(name: str) -> tuple[int, str]:
    """By number, not by letter: `web-2` stands before `web-10`."""
    number = name.rpartition("-")[2]
    return (int(number) if number.isdigit() else 0), name
