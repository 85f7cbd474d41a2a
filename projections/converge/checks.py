"""Everything that can be known before the first container is touched.

Files and images are made ready (an image is pulled by its pin, and gets our own tag so that no prune takes
it), then whatever would make the change fail half-way is looked for: containers of others, ports that are
taken, and what Compose itself would do. Nothing here stops, starts or removes a container, so a failure
here leaves the former version as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.manifest import Manifest, kept_image_name
from projections.converge.carry import carry
from projections.converge.conflicts import refuse_conflicts
from projections.converge.failures import PORT_TAKEN
from projections.converge.hostenv import Bound, refuse_unbound
from projections.converge.materialise import app_for, write_files
from projections.converge.networks import refuse_strangers
from projections.converge.offering import offer
from projections.converge.operations import UP_KINDS, HostPlan
from projections.converge.sharing import with_providers
from projections.converge.site import Site
from projections.engine.errors import IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE
from projections.engine.port import App, Image, Prediction
from projections.engine.port_helpers import HELPER, LISTING, helped
from projections.engine.ports import Conflict, WantedPort, taken_ports, wanted_ports
from projections.engine.waiting import until

VOLUME_WOULD_BE_DELETED = error_code(
    "volume-would-be-deleted",
    "A volume's options changed; Compose could only apply that by deleting the volume and its data.",
)

HERE = "local"  # what this machine's engine is called among the hosts
_PORT_SECONDS = 5.0  # an engine under load takes seconds between taking a port and showing who has it
_HELPERS_SECONDS = 10.0


async def prepare(site: Site, manifest: Manifest, plan: HostPlan, bound: Bound | None = None) -> App:
    """Make files and images of the changed services ready and answer the app.

    `bound` is what the host's env files say. Raises what is wrong with one that a changed service takes, and
    OutsideError `image-not-found`, `registry-unreachable`, `host-folder-failed`, `blob-missing` or
    `blob-damaged`.
    """
    await site.pass_fence()
    changed = {operation.service for operation in plan.of("create", "replace", "run_job")}
    if bound is not None:
        definitions = manifest.hosts[site.host].compose["services"]
        refuse_unbound(site, bound, with_providers(definitions, changed))
    images = await _ready_images(site, manifest, changed)
    app = app_for(
        manifest,
        site.host,
        root=site.root,
        lineage=site.owner.log,
        images=images,
        bound=None if bound is None else bound.services,
        host_file=None if bound is None else bound.host_file,
    )
    await write_files(manifest, site.host, root=site.root, files=site.files, blobs=site.equipment.blobs)
    return app


async def predict(site: Site, app: App, plan: HostPlan) -> Prediction:
    """What Compose says it would do; nothing when the plan does not need it.

    Raises UserError `compose-refused` for a document that it does not take.
    """
    services = rising(plan)
    if not services:
        return Prediction()
    with site.errors_here():
        return await site.engine.predict(app, services)


async def check(site: Site, app: App, plan: HostPlan) -> None:
    """Refuse names and ports that are not ours to take.

    Raises UserError `container-not-ours` and OutsideError `port-taken`.
    """
    made = rising(plan)
    starting = [operation.service for operation in plan.of("start")]
    if not made and not starting:
        return
    await _check_names(site, app, made)
    await _check_ports(site, app, plan=plan, services=[*made, *starting])


async def check_prediction(site: Site, prediction: Prediction) -> None:
    """Refuse what Compose would do at the cost of data or of somebody else.

    Raises UserError `volume-would-be-deleted` and OutsideError `network-in-use`.
    """
    _check_volumes(site, prediction)
    await refuse_strangers(site, prediction.removed_networks)


def rising(plan: HostPlan) -> list[str]:
    """The services that Compose brings up, sorted."""
    return sorted(operation.service for operation in plan.operations if operation.kind in UP_KINDS)


async def _ready_images(site: Site, manifest: Manifest, services: Collection[str]) -> Mapping[str, str]:
    """See to it that the engine has each image under our own tag; answers the texts to use in their place.

    An image whose digest the engine does not know any more is used by its id when our own tag still has it.
    """
    content = manifest.hosts[site.host]
    texts: dict[str, str] = {}
    for name in sorted(services):
        pin = content.services[name].image
        kept = kept_image_name(pin, project=manifest.project, service=name)
        text = str(content.compose["services"][name].get("image") or pin.pinned_text)
        with site.errors_here(name):
            found, held = await site.engine.image(text), await site.engine.image(kept)
            if found is None and held is not None and pin.pin_kind == "repo-digest":
                texts[name] = held.id
                continue
            if found is None and pin.pin_kind == "image-id":
                found = await _carried(site, text, service=name)
                if found is None:
                    raise OutsideError(
                        IMAGE_NOT_FOUND,
                        f"the engine has no image {pin.ref} with the id it was pinned by",
                        why=f"No such image: {pin.pin}",
                        next=f"load or build {pin.ref} again, then deploy with it",
                    )
            if found is None:
                found, carried = await _pulled(site, text, service=name)
                if carried:
                    texts[name] = found.id  # no registry told the engine its digest
            if held is None or held.id != found.id:
                await site.engine.tag(found.id, kept)
    return texts


async def _pulled(site: Site, text: str, *, service: str) -> tuple[Image, bool]:
    """An image from its registry, or from this machine's engine where the host does not get it; and which.

    Raises OutsideError `image-not-found` or `registry-unreachable` where neither has it.
    """
    site.tell(f"pull {text}", service=service)
    await offer(site, text)
    try:
        return await site.engine.pull(text), False
    except OutsideError as error:
        found = None
        if error.code in {IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE}:
            found = await _carried(site, text, service=service)
        if found is None:
            raise
        return found, True


async def _carried(site: Site, text: str, *, service: str) -> Image | None:
    """An image that this machine's engine has, brought to the host; None where that has none, or is the host.

    None too where the host's engine calls what it got by another id. Raises OutsideError
    `image-not-carried`, `engine-unreachable` or `engine-refused`.
    """
    equipment = site.equipment
    known = HERE in equipment.engines and {site.host, HERE} <= equipment.carriers.keys()
    if site.transport.here or not known:
        return None
    try:
        there = await equipment.engines[HERE].image(text)
    except OutsideError as error:
        site.tell(f"this machine cannot be asked for {text}: {error.message}", service=service)
        return None
    if there is None:
        return None
    site.tell(f"bring {text} from this machine", service=service)
    await site.pass_fence()
    await carry(there.id, source=equipment.carriers[HERE], target=equipment.carriers[site.host])
    return await site.engine.image(there.id)


async def _check_names(site: Site, app: App, services: Collection[str]) -> None:
    """Names are the whole engine's: a container of another project may hold one."""
    definitions = {name: app.document["services"][name] for name in services}
    refuse_conflicts(
        await site.containers(),
        owner=site.owner,
        host=site.host,
        compose_project=site.compose_project,
        services=definitions,
    )


async def _check_ports(site: Site, app: App, *, plan: HostPlan, services: Collection[str]) -> None:
    """Refuse a port that somebody else keeps.

    A port that no container can be seen to hold is asked for again for a while: an engine goes on with what
    a killed process asked of it, so our own container may be in the middle of its start or its end.
    """
    own = {
        container
        for operation in plan.operations
        if operation.kind in {"replace", "start"} or operation.clears_way
        for container in operation.containers
    }
    wanted = wanted_ports(app.document, services)
    found: list[Conflict] = []

    async def settled() -> bool | None:
        held = await site.held_ports() if wanted else None
        found[:] = await taken_ports(site.engine, wanted, own=own, held=held)
        return None if any(one.unseen for one in found) else True

    await until(settled, clock=site.clock, seconds=_PORT_SECONDS)
    if found:
        raise await _taken(site, found[0])


async def _taken(site: Site, conflict: Conflict) -> OutsideError:
    """The error for a port that somebody else keeps, with who that is as far as it can be told."""
    wanted, why = conflict.wanted, conflict.message
    advice = f"find the holder with `ss -lntup | grep :{wanted.first}`, or publish another port"
    if conflict.unseen and await _is_helped(site, wanted):
        why = f"{conflict.message}: a {HELPER} of the engine, for no container that it lists"
        advice = f"restart the engine of {site.host}, which gives the port back: `systemctl restart docker`"
    return OutsideError(
        PORT_TAKEN,
        f"port {wanted} is taken",
        where=Where(environment=site.environment, host=site.host, service=wanted.service),
        why=why,
        next=advice,
    )


async def _is_helped(site: Site, wanted: WantedPort) -> bool:
    """Whether it is the engine's own helper that holds a port; False where the host does not say."""
    try:
        ran = await site.transport.run(LISTING, seconds=_HELPERS_SECONDS)
    except OutsideError:
        return False
    return helped(wanted, ran.stdout)


def _check_volumes(site: Site, prediction: Prediction) -> None:
    if prediction.volume_question:
        raise UserError(
            VOLUME_WOULD_BE_DELETED,
            "Compose would delete a volume to change its options",
            where=Where(environment=site.environment, host=site.host),
            why=prediction.volume_question,
            next="take the change of the volume's options back, or give the new volume another name",
        )
