"""Taking an environment away from a host: containers, then networks, then the volumes that were named.

`survey` looks and answers what there is, in full, so that a person sees what would go before it goes; a
volume goes only when its name stands in the order, which is an event. What somebody else's container uses
stays and is told. Everything goes by id or name, one by one, and what is gone is as good as removed: a run
that was killed is simply run again.

Containers are asked to stop before they are removed, because what they write may be in a volume that stays.
The app's own folder (`state/`) stays like a volume does; what Stagecraft wrote beside it goes.
(`docker compose down` was dropped: it takes what carries Compose's labels, ours or not, and needs the file.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from events.catalog.removal import Belongings
from events.kernel.errors import OutsideError, Where
from events.manifest import HostManifest
from projections.converge.conflicts import COMPOSE_PROJECT
from projections.converge.hosts import show
from projections.converge.materialise import HOST_FOLDER_FAILED
from projections.converge.operations import HostPlan
from projections.converge.route_folder import ROUTES_FOLDER
from projections.converge.site import Site
from projections.engine.port import Container
from projections.engine.stock_port import Stock
from projections.engine.sweep import Owner

_STOPS_AT_ONCE = 8  # containers that are asked to stop side by side
_OURS_IN_THE_FOLDER = ("compose.yml", "env", "files", ROUTES_FOLDER)
_UP = frozenset({"running", "restarting", "paused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an environment has on one host now."""

    host: str
    containers: tuple[Container, ...] = ()  # sorted by name
    networks: Mapping[str, str]  # name by id
    volumes: tuple[str, ...] = ()  # names, sorted
    kept: tuple[str, ...] = ()  # what would stay though it is the project's, and why, a line each

    @property
    def belongings(self) -> Belongings:
        """The same as the log keeps it, volumes too."""
        return Belongings(
            containers=tuple(sorted(one.id for one in self.containers)),
            networks=tuple(sorted(self.networks.values())),
            volumes=self.volumes,
        )

    @property
    def empty(self) -> bool:
        """Whether nothing is there that could go."""
        return not (self.containers or self.networks or self.volumes)


def sorted_out(
    containers: Iterable[Container],
    *,
    host: str,
    owner: Owner,
    networks: Mapping[str, str],
    volumes: Iterable[str],
) -> Found:
    """Pure: what is ours of a whole engine's `containers`, and what others use of the rest.

    `networks` and `volumes` are those of the Compose project.
    """
    everything = list(containers)
    ours = [one for one in everything if owner.owns(one)]
    others = [one for one in everything if not owner.owns(one)]
    on_network = {name: one.name for one in others for name in one.networks}
    on_volume = {name: one.name for one in others for name in one.volumes}
    used = [
        f"network {name}: {on_network[name]} is on it" for name in networks.values() if name in on_network
    ]
    used += [f"volume {name}: {on_volume[name]} uses it" for name in volumes if name in on_volume]
    return Found(
        host=host,
        containers=tuple(sorted(ours, key=lambda one: one.name)),
        networks={key: name for key, name in networks.items() if name not in on_network},
        volumes=tuple(sorted(name for name in volumes if name not in on_volume)),
        kept=tuple(sorted(used)),
    )


async def survey(site: Site, stock: Stock) -> Found:
    """Look at a host; nothing is changed.

    Raises OutsideError `engine-unreachable`.
    """
    with site.errors_here():
        containers = await site.containers()
        networks = await stock.networks(site.compose_project)
        volumes = await stock.volumes(site.compose_project)
    return sorted_out(containers, host=site.host, owner=site.owner, networks=networks, volumes=volumes)


async def destroy(site: Site, stock: Stock, *, volumes: Iterable[str]) -> Found:
    """Take everything of the environment away from a host, and of its volumes those that are named.

    Answers what is left, which tells what was not removed. Raises the engine's errors; call it again then.
    """
    found = await survey(site, stock)
    with site.errors_here():
        await _remove_containers(site, found.containers)
        for network, name in sorted(found.networks.items(), key=lambda item: item[1]):
            site.tell(f"remove network {name}")
            await site.pass_fence()
            await stock.remove_network(network)
        for name in sorted(set(volumes) & set(found.volumes)):
            site.tell(f"remove volume {name} and its data")
            await site.pass_fence()
            await stock.remove_volume(name)
    await _clear_folder(site)
    left = await survey(site, stock)
    ours = [one for one in left.containers if one.labels.get(COMPOSE_PROJECT) == site.compose_project]
    nothing = HostManifest(compose={}, services={})
    show(site, nothing, containers=ours, plan=HostPlan(host=site.host, operations=()))
    return left


async def _remove_containers(site: Site, containers: Iterable[Container]) -> None:
    gate = asyncio.Semaphore(_STOPS_AT_ONCE)

    async def stop(one: Container) -> None:
        async with gate:
            site.tell(f"stop {one.name}", service=one.service)
            await site.engine.stop(one.id)

    going = list(containers)
    stopped = await asyncio.gather(*(stop(one) for one in going if one.state in _UP), return_exceptions=True)
    for outcome in stopped:
        if isinstance(outcome, BaseException):
            raise outcome
    for one in going:
        site.tell(f"remove {one.name}", service=one.service)
        await site.engine.remove(one.id)


async def _clear_folder(site: Site) -> None:
    """Remove what Stagecraft wrote for the app: never `state/`, which is the app's, nor the fence."""
    folder = site.folder
    try:
        for name in _OURS_IN_THE_FOLDER:
            await site.files.remove(folder / name)
    except OSError as error:
        raise OutsideError(
            HOST_FOLDER_FAILED,
            f"cannot remove what is below {folder}",
            where=Where(environment=site.environment, host=site.host),
            why=str(error),
            next="look at the permissions of that folder, then run it again",
        ) from error


def gone(before: Mapping[str, Belongings], left: Mapping[str, Found]) -> dict[str, Belongings]:
    """What was there when it was asked and is not there any more, by host."""
    answer: dict[str, Belongings] = {}
    for host, had in sorted(before.items()):
        now = left[host].belongings if host in left else Belongings()
        answer[host] = Belongings(
            containers=_without(had.containers, now.containers),
            networks=_without(had.networks, now.networks),
            volumes=_without(had.volumes, now.volumes),
        )
    return answer


def _without(names: Iterable[str], left: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names) - set(left)))
