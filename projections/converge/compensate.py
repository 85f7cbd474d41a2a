"""A Release that failed takes itself back.

With a former Manifest every service that was touched goes back to it, through the same steps and gates, and
the environment is held there. A job is run again only when it was run by this Release and asks for it
(`on_rollback`): what a migration did to data is not undone by running the old one. When the way back fails
too, the verdict is `failed` and says both reasons; the hold stands all the same: a person has to look.

Over several hosts the way back goes in the order of a rollout, data first, without canaries; hosts that were
lost on the way come last, in case they answer again, so that nobody waits for them. A host that does not
go back keeps no other one from it.

Without a former Manifest there is nothing to go back to: what was started is stopped and kept for a look.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from events.catalog import Failure
from events.catalog.environment import HostsConduct
from events.kernel.errors import OutsideError, StagecraftError, error_code
from events.manifest import HostManifest, Manifest
from projections.converge.abreast import abreast
from projections.converge.failures import FATAL, HOST_UNKNOWN, failure_of
from projections.converge.hosts import look, note_unknown, show
from projections.converge.jobs import remove_finished
from projections.converge.operations import HostPlan
from projections.converge.schedule import Step, steps_of
from projections.converge.site import Site
from projections.converge.undertaking import Undertaking

COMPENSATION_FAILED = error_code(
    "compensation-failed", "A Release failed, and so did the way back to the Manifest before it."
)

_UP = frozenset({"running", "restarting", "paused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """What is needed to undo one Release."""

    undertaking: Undertaking  # of the former Manifest
    touched: Mapping[str, frozenset[str]]  # by host: services whose containers may be the failed Release's
    max_parallel: int = 1  # hosts that go back side by side
    lost: Collection[str] = ()  # hosts that did not answer any more


@dataclass(slots=True, kw_only=True)
class Ended:
    """What became of the hosts on the way back, or of those where all was stopped."""

    back: set[str] = field(default_factory=set[str])  # what was touched there is as it was
    errors: dict[str, StagecraftError] = field(default_factory=dict[str, StagecraftError])  # by host
    lost: dict[str, StagecraftError] = field(default_factory=dict[str, StagecraftError])  # they are silent

    @property
    def error(self) -> StagecraftError | None:
        """Why not all is well: the first error, or that of a lost host where no host could be reached."""
        first = next(iter(self.errors.values()), None)
        return first if first is not None or self.back else next(iter(self.lost.values()), None)

    def take(self, failed: Mapping[str, StagecraftError], *, sites: Mapping[str, Site]) -> None:
        """Note hosts that failed. Raises what gives no verdict."""
        for host, error in failed.items():
            if error.code not in FATAL:
                self.errors.setdefault(host, error)
            elif error.code in HOST_UNKNOWN and not sites[host].transport.here:
                self.lost.setdefault(host, error)
            else:
                raise error


async def restore(way: WayBack) -> Ended:
    """Bring every touched service back, and say what became of each host.

    Raises what is in `failures.FATAL`, but for a host that is lost and is not this machine.
    """
    former, ended = way.undertaking, Ended()
    touched = {host: names for host, names in sorted(way.touched.items()) if names}
    sites = {host: former.site(host) for host in touched}

    async def step(hosts: Collection[str], services: Mapping[str, frozenset[str]]) -> None:
        open_ones = [host for host in hosts if host not in ended.errors and host not in ended.lost]
        _, failed = await abreast(open_ones, lambda host: _restore_host(way, host, services[host]))
        ended.take(failed, sites=sites)

    for one in _steps(way, touched):
        await step(one.hosts, one.services)
    for host in [host for host in touched if host not in former.manifest.hosts]:
        await step([host], touched)
    ended.back.update(touched.keys() - ended.errors.keys() - ended.lost.keys())
    ended.take(await _routed(former, but={*ended.errors, *ended.lost}), sites=sites)
    for host, error in ended.lost.items():
        if isinstance(error, OutsideError):
            note_unknown(sites[host], former.recorder, error)
    return ended


async def _routed(former: Undertaking, *, but: Collection[str]) -> dict[str, StagecraftError]:
    """Have gateways do as the Manifest says by what hosts show; by host what went wrong."""
    if former.board is None:
        return {}
    hosts = [host for host in former.board.sites if host not in but and host not in former.traffic.absent()]
    planned, failed = await abreast(hosts, former.observe)
    try:
        await former.reconcile(planned, reason="restored")
    except OutsideError as error:
        if error.code in FATAL:
            raise
        return {error.where.host or former.board.layout.gateways[0]: error}
    return {host: error for host, error in failed.items() if error.code not in HOST_UNKNOWN}


def _steps(way: WayBack, touched: Mapping[str, frozenset[str]]) -> list[Step]:
    """The order of the way back over the hosts of the former Manifest, tier by tier; the lost last."""
    former = way.undertaking.manifest.hosts
    conduct = HostsConduct(max_parallel=way.max_parallel)
    found: list[Step] = []
    for hosts in ([h for h in touched if h not in way.lost], [h for h in touched if h in way.lost]):
        contents = {host: former[host] for host in hosts if host in former}
        if len(contents) == 1:
            found.append(Step(services={host: touched[host] for host in contents}, whole=frozenset(contents)))
        elif contents:
            due = {host: touched[host] & contents[host].services.keys() for host in contents}
            found += _with_strangers(steps_of(contents, due, conduct), touched, contents)
    return found


def _with_strangers(
    steps: Sequence[Step], touched: Mapping[str, frozenset[str]], contents: Mapping[str, HostManifest]
) -> list[Step]:
    """The steps, of which a host's first one also takes away what the former Manifest does not have."""
    left = {host: touched[host] - content.services.keys() for host, content in contents.items()}
    found: list[Step] = []
    for step in steps:
        services = {host: names | left.pop(host, frozenset()) for host, names in step.services.items()}
        found.append(replace(step, services=services))
    return found


async def _restore_host(way: WayBack, host: str, services: frozenset[str]) -> None:
    former = way.undertaking
    await remove_finished(former.site(host))
    if host not in former.manifest.hosts:
        await former.exchange(host).leave(services)
        return
    planned = (await former.observe(host)).only(services)
    planned.site.tell("bring back the former version")
    with planned.site.errors_here():
        planned, applier = await former.ready(planned, checked=False)
    await former.run(planned, applier)
    await former.prune(await former.settle(host, services=services), services=services)


async def stop_and_keep(stopping: Undertaking, touched: Mapping[str, frozenset[str]]) -> Ended:
    """Stop the containers of touched services and leave them there for a look; what became of each host.

    Gateways pass nothing on to them any more. Of a job that succeeded there is nothing to look at: a run that
    a crash left goes. Raises as `restore`.
    """
    sites = {host: stopping.site(host) for host in touched}
    ended = Ended()
    if stopping.board is not None:
        try:
            await stopping.board.leave_out(touched)
        except OutsideError as error:
            ended.take({error.where.host or next(iter(touched)): error}, sites=sites)
    done, failed = await abreast(
        touched, lambda host: _stop_host(sites[host], stopping.manifest, services=touched[host])
    )
    ended.back.update(done.keys() - ended.errors.keys())
    ended.take(failed, sites=sites)
    return ended


async def _stop_host(site: Site, manifest: Manifest, *, services: frozenset[str]) -> None:
    await remove_finished(site)
    for container in await look(site):
        ours = site.owner.owns(container) and container.service in services
        if ours and container.state in _UP:
            site.tell("stop and keep it for a look", service=container.service)
            await site.engine.stop(container.id)
    show(
        site,
        manifest.hosts.get(site.host),
        containers=await look(site),
        plan=HostPlan(host=site.host, operations=()),
    )


def combined(failure: Failure, second: StagecraftError) -> Failure:
    """Both reasons in one record: the first with its evidence, the second in words."""
    way_back = failure_of(second)
    return failure.model_copy(
        update={
            "code": COMPENSATION_FAILED,
            "message": f"{failure.message}; and the way back failed: {way_back.message}",
            "why": "\n".join(part for part in (failure.why, way_back.why) if part),
            "next": way_back.next or failure.next,
        }
    )
