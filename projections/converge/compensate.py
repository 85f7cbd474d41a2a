"""A Release that failed takes itself back.

With a former Manifest every service that was touched goes back to it, through the same steps and gates, and
the environment is held there. A job is run again only when it was run by this Release and asks for it
(`on_rollback`): what a migration did to data is not undone by running the old one. When the way back fails
too, the verdict is `failed` and says both reasons; the hold stands all the same: a person has to look.

Without a former Manifest there is nothing to go back to: what was started is stopped and kept for a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from events.catalog import Failure
from events.kernel.errors import StagecraftError, error_code
from events.manifest import Manifest
from projections.converge.failures import FATAL, failure_of
from projections.converge.hosts import look, show
from projections.converge.jobs import remove_finished
from projections.converge.operations import HostPlan
from projections.converge.site import Equipment
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


async def restore(way: WayBack) -> StagecraftError | None:
    """Bring every touched service back. Answers the error that ended the way back, None when all is well.

    Raises what is in `failures.FATAL`.
    """
    try:
        for host in sorted(way.touched):
            if way.touched[host]:
                await _restore_host(way, host)
    except StagecraftError as error:
        if error.code in FATAL:
            raise
        return error
    return None


async def _restore_host(way: WayBack, host: str) -> None:
    former, services = way.undertaking, way.touched[host]
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


async def stop_and_keep(
    equipment: Equipment, manifest: Manifest, touched: Mapping[str, frozenset[str]]
) -> None:
    """Stop the containers of touched services and leave them there for a look. Raises the engine's errors.

    Of a job that succeeded there is nothing to look at: a run that a crash left goes.
    """
    for host, services in sorted(touched.items()):
        site = equipment.site(manifest, host)
        await remove_finished(site)
        for container in await look(site):
            ours = site.owner.owns(container) and container.service in services
            if ours and container.state in _UP:
                site.tell("stop and keep it for a look", service=container.service)
                await site.engine.stop(container.id)
        show(
            site,
            manifest.hosts.get(host),
            containers=await look(site),
            plan=HostPlan(host=host, operations=()),
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
