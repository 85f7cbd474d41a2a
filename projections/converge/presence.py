"""What of ours is there of a plan's services, and whether it is what was asked for.

Compose is never believed: after each call the containers must be there with the wanted hash, and a call that
failed is told in terms of the container that could not start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from events.kernel.errors import OutsideError, StagecraftError, Where, error_code
from events.manifest import HostManifest
from projections.converge.conflicts import replicas
from projections.converge.failures import (
    CONTAINER_NOT_STARTED,
    PORT_TAKEN,
    ServiceFailedError,
    failed_container,
    last_lines,
    port_taken,
    told_by_engine,
)
from projections.converge.hosts import look
from projections.converge.site import Site
from projections.engine.errors import shown
from projections.engine.port import App, Container
from projections.engine.ports import taken_ports, wanted_ports

SERVICE_NOT_REPLACED = error_code(
    "service-not-replaced", "Compose reported success, and the engine does not show the containers asked for."
)

UP = frozenset({"running", "restarting"})

Replicas = Mapping[str, Sequence[Container]]  # our containers by service, runs of jobs left out


async def replicas_there(site: Site) -> Replicas:
    """What is there now."""
    found: dict[str, list[Container]] = {}
    for container in await look(site):
        if site.owner.owns(container) and not container.one_off:
            found.setdefault(container.service or "", []).append(container)
    return found


def check_there(site: Site, content: HostManifest, names: Iterable[str], found: Replicas) -> None:
    """Refuse services that have too few containers by the Manifest, or others beside them.

    Raises OutsideError `service-not-replaced`.
    """
    for name in names:
        wanted = replicas(content.compose["services"][name])
        present = found.get(name, ())
        right = [one for one in present if one.service_hash == content.services[name].hash]
        if len(right) < wanted or len(present) > len(right):
            raise not_there(site, name, found=len(right), wanted=wanted)


def not_there(site: Site, name: str, *, found: int, wanted: int) -> OutsideError:
    """The error for a service that has not what Compose said it made."""
    return OutsideError(
        SERVICE_NOT_REPLACED,
        f"{found} of {wanted} containers are there as the Manifest says",
        where=Where(environment=site.environment, host=site.host, service=name),
        next=f"look at them: `docker ps -a --filter label=com.docker.compose.service={name}`",
    )


async def explained(  # what was there, what was to be there, what is there
    site: Site, error: StagecraftError, app: App, *, names: Sequence[str], before: Replicas, after: Replicas
) -> StagecraftError:
    """The failed call in terms of the container that could not start, when one shows why.

    Whether a port was the reason is seen by who holds it, whatever words the engine has for it.
    """
    if not isinstance(error, OutsideError):
        return error
    told = told_by_engine(error, host=site.host, services=tuple(names))
    if told.code == PORT_TAKEN:
        return told
    known = {container.id for group in before.values() for container in group}
    for name in names:
        for container in after.get(name, ()):
            if container.id in known and container.state not in {"created", "exited"}:
                continue
            detail = await site.engine.inspect(container.id)
            if detail is not None and detail.error:
                if await _lacks_port(site, app, name):
                    return port_taken(Where(host=site.host, service=name), why=shown(detail.error))
                return ServiceFailedError(
                    failed_container(
                        CONTAINER_NOT_STARTED,
                        "the engine could not start the container",
                        host=site.host,
                        service=name,
                        detail=detail,
                        log_tail=await last_lines(site.engine, container.id),
                    )
                )
    return told


async def _lacks_port(site: Site, app: App, service: str) -> bool:
    """Whether somebody else holds a port that a service wants, after its container could not be started."""
    wanted = wanted_ports(app.document, [service])
    own = (
        {one.id for group in (await replicas_there(site)).values() for one in group} if wanted else set[str]()
    )
    held = await site.held_ports() if wanted else None
    return bool(await taken_ports(site.engine, wanted, own=own, held=held))
