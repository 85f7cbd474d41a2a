"""The converger that the controller calls: Releases, healing, looking, taking over and taking away.

The caller holds the environment's lock wherever something is changed, and the fence stands before each call
that changes a host.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import PurePath

from events.blobs import BlobStore
from events.draining import Drained
from events.envelope import CONTROLLER
from events.kernel.clock import Clock
from events.kernel.errors import OutsideError
from events.log import EventLog
from events.manifest import Manifest
from events.recorder import Recorder
from projections.converge.abreast import abreast
from projections.converge.adopt import Compared, compare
from projections.converge.backends import LeftOut
from projections.converge.destroy import Found, destroy, survey
from projections.converge.drift import HostDrift, drift_of
from projections.converge.heal import Terms, all_jobs, heal
from projections.converge.hosts import note_unknown, reach
from projections.converge.keeping import sweep
from projections.converge.observe import observe
from projections.converge.orphans import Place
from projections.converge.release import ReleaseRun
from projections.converge.rerouting import open_connections, reroute
from projections.converge.route_drift import route_drift
from projections.converge.site import Equipment, Progress, no_progress
from projections.converge.steering import Steering, steer
from projections.converge.symptoms import Symptoms
from projections.converge.traffic_record import Asking
from projections.converge.undertaking import Undertaking
from projections.converge.work import ReleaseWork, Verdict
from projections.edge.port import Edges
from projections.engine.image_ports import ImageCarrier
from projections.engine.port import Engine
from projections.engine.stock_port import Stock
from projections.kept import KeptContainers
from projections.observed import HostObservation, ObservedStore
from projections.transport.port import Transport


class Converger:
    """Makes hosts agree with Manifests and records what it did."""

    def __init__(  # noqa: PLR0913  # one for each thing outside
        self,
        *,
        log: EventLog,
        blobs: BlobStore,
        engines: Mapping[str, Engine],
        roots: Mapping[str, PurePath],
        observed: ObservedStore,
        clock: Clock,
        progress: Progress = no_progress,
        binding_key: bytes = b"",
        stocks: Mapping[str, Stock] | None = None,
        kept: KeptContainers | None = None,
        transports: Mapping[str, Transport] | None = None,
        carriers: Mapping[str, ImageCarrier] | None = None,
        offered: Collection[int] = (),
        edges: Edges | None = None,
        addresses: Mapping[str, str] | None = None,
        asking: Callable[[], Asking] | None = None,
    ) -> None:
        """By host: `engines` reach it, `roots` hold `apps/` there, `stocks` is what `destroy` needs.

        A host that `transports` does not have is this machine. `carriers` bring images from `local` to
        others, and `offered` are ports of registries here that they reach at the same name. `edges` lead to
        gateways, and `addresses` are those by which hosts reach each other. `asking` makes whoever sends
        requests of our own while traffic moves.
        """
        self._equipment = Equipment(
            log=log,
            blobs=blobs,
            clock=clock,
            engines=engines,
            roots=roots,
            observed=observed,
            progress=progress,
            binding_key=binding_key,
            stocks=stocks or {},
            kept=kept,
            transports=transports or {},
            carriers=carriers or {},
            offered=frozenset(offered),
            edges=edges,
            addresses=addresses or {},
            asking=asking,
        )

    @property
    def engines(self) -> Mapping[str, Engine]:
        """What reaches each host, by its name."""
        return self._equipment.engines

    @property
    def stocks(self) -> Mapping[str, Stock]:
        """What holds images, networks and volumes of each host, by its name."""
        return self._equipment.stocks

    async def run_release(self, work: ReleaseWork, *, recorder: Recorder) -> Verdict:
        """Bring a Release to its verdict; events are the controller's, caused by what `recorder` did last.

        Raises what is in `failures.FATAL` without a verdict: an unknown host, an error of the log, an
        environment that somebody else has taken over. Call again with `started` set to go on.
        """
        return await ReleaseRun(self._equipped(recorder), work, _as_controller(recorder)).run()

    async def heal(
        self, manifest: Manifest, *, release: str, recorder: Recorder, terms: Terms | None = None
    ) -> bool:
        """Make what runs agree with what is deployed, on these terms; True when something was mended.

        `release` is the deployed Release. Appends nothing and starts no Compose when all is as it should
        be. Raises what went wrong on the first host that could not be mended, after all were tried.
        """
        equipment = self._equipped(recorder)
        await sweep(equipment)
        return await heal(
            equipment, manifest, release=release, recorder=_as_controller(recorder), terms=terms
        )

    async def steer(self, steering: Steering, *, recorder: Recorder) -> None:
        """Stop, start or restart one service of what is deployed, as a person asked; others are left alone.

        Raises ServiceFailedError when it does not come up, and what a heal raises.
        """
        await steer(self._equipped(recorder), steering, recorder=_as_controller(recorder))

    async def reroute(self, manifest: Manifest, *, release: str, recorder: Recorder, terms: Terms) -> None:
        """Have gateways do as what is deployed and what is drained say; see `rerouting.py`."""
        equipment = self._equipped(recorder)
        await reroute(equipment, manifest, release=release, terms=terms, recorder=_as_controller(recorder))

    def symptoms(self, manifest: Manifest, services: tuple[str, ...]) -> Symptoms:
        """The looks at services that a Release has just brought; nothing is changed and nothing recorded."""
        return Symptoms(equipment=self._equipment, manifest=manifest, services=services)

    async def open_connections(
        self, manifest: Manifest, *, drained: Drained, recorder: Recorder
    ) -> int | None:
        """Connections that gateways still have to what is drained; None: nobody here can tell."""
        return await open_connections(self._equipment, manifest, drained=drained, recorder=recorder)

    def _equipped(self, recorder: Recorder) -> Equipment:
        """The equipment behind the fence of the lock that the recorder appends under."""
        return replace(self._equipment, tenure=recorder.tenure)

    async def compare(self, manifest: Manifest, *, recorder: Recorder | None) -> tuple[Compared, ...]:
        """What is there of a Manifest, service by service, whoever made it; no container is changed.

        Without a recorder it is only looked, whatever machine answers.
        """
        equipment = self._equipment if recorder is None else self._equipped(recorder)
        found: list[Compared] = []
        for host in sorted(manifest.hosts):
            site = equipment.site(manifest, host)
            if recorder is not None:
                await reach(site, recorder)
                await site.pass_fence()
            found.extend(await compare(site, manifest))
        return tuple(found)

    async def prune(
        self, manifest: Manifest, *, release: str, services: Collection[Place], recorder: Recorder
    ) -> None:
        """Remove the containers of services, `(host, service)`, that are not in what is deployed."""
        equipment = self._equipped(recorder)
        undertaking = Undertaking(
            equipment=equipment,
            manifest=manifest,
            recorder=_as_controller(recorder),
            release=release,
            succeeded_jobs=all_jobs(manifest),
            known=manifest,
            lets_be=True,
        )
        if undertaking.board is not None:
            going = {place: {name for at, name in services if at == place} for place, _name in services}
            await undertaking.board.leave_out(going)
        for host in sorted({place for place, _service in services}):
            names = frozenset(service for place, service in services if place == host)
            await reach(undertaking.site(host), recorder)
            if host in manifest.hosts:
                planned = await undertaking.observe(host)
                await undertaking.prune(planned, services=names - manifest.hosts[host].services.keys())
            else:
                await undertaking.exchange(host).leave(names)

    async def survey(self, manifest: Manifest) -> tuple[Found, ...]:
        """What the environment of a Manifest has on each of its hosts; nothing is changed."""
        sites = [self._equipment.site(manifest, host) for host in sorted(manifest.hosts)]
        return tuple([await survey(site, self._equipment.stocks[site.host]) for site in sites])

    async def destroy(
        self, manifest: Manifest, *, volumes: Mapping[str, Collection[str]], recorder: Recorder
    ) -> dict[str, Found]:
        """Take the environment of a Manifest away, and by host the `volumes` that are named.

        Answers what is left, by host. Raises the first host's error; call it again then.
        """
        equipment = self._equipped(recorder)
        left: dict[str, Found] = {}
        for host in sorted(manifest.hosts):
            site = equipment.site(manifest, host)
            try:
                await reach(site, recorder)
                left[host] = await destroy(site, equipment.stocks[host], volumes=volumes.get(host, ()))
            except OutsideError as error:
                note_unknown(site, recorder, error)
                raise
        return left

    async def drift(
        self,
        manifest: Manifest,
        *,
        stopped: Mapping[tuple[str, str], str],
        kept: Collection[Place] = (),
        left_out: LeftOut | None = None,
    ) -> tuple[HostDrift, ...]:
        """What differs on each host now, field by field; nothing is changed and nothing recorded.

        `left_out` is what people keep requests away from.
        """
        sites = {host: self._equipment.site(manifest, host) for host in manifest.hosts}
        found, failed = await abreast(
            sites, lambda host: drift_of(sites[host], manifest, stopped=stopped, kept=kept)
        )
        for error in failed.values():
            raise error
        routes = await route_drift(self._equipment, manifest, found, left_out=left_out or LeftOut())
        return tuple(replace(one, rows=(*one.rows, *routes.get(host, ()))) for host, one in found.items())

    async def observe(
        self,
        manifest: Manifest,
        *,
        stopped: Mapping[tuple[str, str], str] | None = None,
        kept: Collection[Place] = (),
    ) -> tuple[HostObservation, ...]:
        """Ask every host now, change nothing and record nothing but `observed.db`.

        `stopped` has, by host and service, the hash that a person stopped; `kept` is what left and waits for
        a person's word.
        """
        return await observe(self._equipment, manifest, stopped=stopped, kept=kept)


def _as_controller(recorder: Recorder) -> Recorder:
    """What a converger does is done by the controller, whoever asked for it."""
    return replace(recorder, actor=CONTROLLER)
