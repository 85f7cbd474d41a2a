"""What somebody changed on a container that still says it is right, and what a container was made with.

A container's labels, with the service hash among them, are from the day it was made. What can change on it
afterwards is little: its limits and restart policy (`docker update`) and its networks. So of a container that
the log names as made or taken over by us only those are compared; of one that it does not name, which
somebody made with our labels, everything is. That keeps the comparison small and its mistakes few: a field
that we would read otherwise than Compose does is never asked of what Compose made for us.

The networks stand in the listing that every pass asks for. The rest takes an inspection for each container,
so it is asked for only where the engine told of a change, and now and then of all: whoever calls says which
(`closely`). A container that was taken over although it differs, or that a person stopped, is let be.

Comparing every field of every container was dropped: it takes two calls for each, and what cannot have
changed could only be found by a mistake. So was remembering a baseline: one that is lost would take today's
drift for right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from projections.converge.comparing import comparer
from projections.converge.drift_log import left_as_made
from projections.converge.sameness import Difference, differences
from projections.converge.wish import network_mode

if TYPE_CHECKING:
    from events.manifest import HostManifest, Manifest
    from projections.converge.comparing import Comparer
    from projections.converge.site import Site
    from projections.engine.port import Container

Closely = Collection[str] | None
"""The services whose containers are inspected; None: all of them."""

_LIMITS = frozenset(
    {
        "mem_limit",
        "memswap_limit",
        "mem_reservation",
        "cpus",
        "cpu_shares",
        "cpu_quota",
        "cpu_period",
        "cpuset",
        "pids_limit",
        "restart",
    }
)
"""What `docker update` changes."""
_COMPARED = frozenset({"running", "restarting", "created", "exited"})
_LONGEST_REASON = 300  # characters; an event has room for all services


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """One container that is not as it was made, or was not made by us."""

    service: str
    container: str  # id
    by_hand: bool  # made by somebody else, with our labels
    differences: tuple[Difference, ...]  # at least one

    def __str__(self) -> str:
        told = "; ".join(map(str, self.differences))
        text = f"made by hand: {told}" if self.by_hand else told
        return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


async def alterations(
    site: Site,
    manifest: Manifest,
    present: Collection[Container],
    *,
    closely: Closely,
    resting: Collection[str] = (),
) -> tuple[Alteration, ...]:
    """What was altered on the containers of a host that say they are right, by service and id.

    `present` are all that are there; `resting` are services that a person stopped. Asks the engine once, or
    twice, for each container that is looked at closely, and for nothing else. What a replacement did not
    change before is left out. Raises OutsideError `engine-unreachable`.
    """
    content = manifest.hosts[site.host]
    claimed = [one for one in present if _is_claimed(site, content, one) and one.service not in resting]
    near = [one for one in claimed if closely is None or one.service in closely]
    look = _Look(site=site, content=content)
    if near:
        look.comparer = await comparer(site, manifest, list(present))
        ids = [one.id for one in near]
        look.named = await asyncio.to_thread(site.equipment.births.named, site.equipment.log, ids)
    found = [look.told(one, look.networks(one)) for one in claimed if one not in near]
    found += [await look.at(one) for one in near]
    told = [one for one in found if one is not None]
    if told:
        left = await asyncio.to_thread(left_as_made, site)
        told = [one for one in (_without(each, content, left) for each in told) if one is not None]
    return tuple(sorted(told, key=lambda one: (one.service, one.container)))


def _without(
    one: Alteration, content: HostManifest, left: Mapping[tuple[str, str], frozenset[str]]
) -> Alteration | None:
    """The alteration without the fields that the engine makes so; None: nothing is left of it."""
    fields = left.get((one.service, content.services[one.service].hash), frozenset())
    kept = tuple(difference for difference in one.differences if difference.field not in fields)
    return replace(one, differences=kept) if kept else None


def _is_claimed(site: Site, content: HostManifest, one: Container) -> bool:
    """Whether it is ours, for good, and says that it was made as the Manifest wants it."""
    service = content.services.get(one.service or "")
    ours = site.owner.owns(one) and not one.one_off and one.state in _COMPARED
    return ours and service is not None and service.job is None and one.service_hash == service.hash


@dataclass(slots=True, kw_only=True)
class _Look:
    site: Site
    content: HostManifest
    comparer: Comparer | None = None  # None: nothing is looked at closely
    named: frozenset[str] = frozenset()

    async def at(self, one: Container) -> Alteration | None:
        """By an inspection."""
        made = await self.site.engine.makeup(one.id)
        if made is None or self.comparer is None:
            return None  # it has just gone, and the next look finds it missing
        service = one.service or ""
        if one.id not in self.named:
            return self.told(one, await self.comparer.whole(service, made), by_hand=True)
        found = differences(self.comparer.wish(service), made)
        return self.told(one, [*(each for each in found if each.field in _LIMITS), *self.networks(one)])

    def told(
        self, one: Container, found: Iterable[Difference], *, by_hand: bool = False
    ) -> Alteration | None:
        """What differs as an alteration; None when nothing does."""
        told = tuple(sorted(set(found), key=lambda difference: difference.field))
        if not told:
            return None
        return Alteration(service=one.service or "", container=one.id, by_hand=by_hand, differences=told)

    def networks(self, one: Container) -> tuple[Difference, ...]:
        """By their names, from the listing; one that does not run may have been taken off by the engine."""
        wanted = self._network_names(one.service or "")
        if wanted is None or one.state != "running" or set(one.networks) == set(wanted):
            return ()
        found = " ".join(one.networks) or "nothing"
        return (Difference(field="networks", wanted=" ".join(sorted(wanted)), found=found),)

    def _network_names(self, name: str) -> frozenset[str] | None:
        """None: it has no networks of its own to compare."""
        document = self.content.compose
        definition: Mapping[str, Any] = document["services"][name]
        if network_mode(definition):
            return None
        declared: Mapping[str, Mapping[str, Any] | None] = document.get("networks") or {}
        asked: Iterable[str] = definition.get("networks") or ("default",)
        project = self.site.compose_project
        names = (str((declared.get(key) or {}).get("name") or f"{project}_{key}") for key in asked)
        return frozenset(name.replace("$$", "$") for name in names)
