"""Taking over a Compose project that runs already, without touching a container.

The commit is rendered as for a deploy, with one difference: a tag that a running container was made from
means the image of that container, so that a tag which has moved since is no reason for a restart. Then the
containers are compared with the Manifest and, if a person agrees with what differs, the log says whose they
are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.candidates import candidate_for
from controller.decide.adopt import decide_adopt, refuse_deployed
from controller.deciding import append_decided
from controller.permitting import judged, raise_refusal
from controller.releasing import finish_active
from controller.remotes import pinned_remotes
from controller.targets import Target
from controller.tenures import tenure
from events.catalog.adoption import AdoptionRequested
from events.manifest import ImagePin
from gitops.config.load import load
from gitops.manifest import complete, draft, unpinned
from gitops.pins import resolve_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from controller.candidates import Subject
    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from events.envelope import Actor
    from projections.converge.adopt import Compared
    from projections.engine.port import Engine

_PROJECT_LABEL = "com.docker.compose.project"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What was found, and the Release that took it over."""

    found: tuple[Compared, ...]
    release: str | None  # None: nothing was taken over, or it was already


async def adopt(
    context: Context,
    subject: Subject,
    *,
    actor: Actor,
    accept: bool = False,
    allow: Collection[str] = (),
    told: Callable[[Sequence[Compared]], None] | None = None,
) -> Adoption:
    """Compare what runs with what the commit would make, and take it over.

    `told` is shown the comparison before anything is decided. Raises what `decide_adopt` raises, UserError
    for a bad commit, `not-allowed` after recording it, and OutsideError for an engine or a registry.
    """
    target = Target(project=subject.project, name=subject.environment)
    async with tenure(context, str(target), purpose="adopt", draw="now") as held:
        recorder = held.recorder(actor)
        await finish_active(held, target.project, target.name)
        state = held.environment(target.project, target.name)
        refuse_deployed(state)
        pins = await _running_pins(held, subject)
        seeded = replace(state, pins={**pins, **state.pins})
        candidate = await candidate_for(held, subject, state=seeded, recorder=recorder, by_person=True)
        manifest = held.manifest(candidate.digest)
        found = await held.converger.compare(manifest, recorder=recorder)
        if told is not None:
            told(found)
        release = held.release_id(target.project, target.name)

        def decide(newest: EnvironmentState) -> tuple[Event, ...]:
            offered = judged(held, candidate, target=target, state=newest, given=allow)
            return decide_adopt(newest, offered, found, release_id=release, accept=accept, allowed=allow)

        decided = append_decided(held, str(target), decide, recorder=recorder)
        raise_refusal(target, decided)
        taken = any(isinstance(event, AdoptionRequested) for event in decided)
        if taken:
            await held.converger.observe(manifest)
        return Adoption(found=found, release=release if taken else None)


async def preview_adoption(context: Context, subject: Subject) -> Adoption:
    """The comparison alone: nothing is recorded, rendered for keeps or changed. Raises as `adopt` does."""
    state = context.environment(subject.project, subject.environment)
    refuse_deployed(state)
    with pinned_remotes(
        context.home, context.policy, project=subject.project, environment=subject.environment
    ) as remotes:
        made = await draft(
            subject.tree,
            config_path=subject.config_path,
            environment=subject.environment,
            version=subject.revision,
            given_version=subject.version,
            remotes=remotes,
        )
    known = {**await _running_pins(context, subject), **state.pins}
    missing = unpinned(made, known)
    resolved = await resolve_pins(missing, sticky=known, catalogue=context.catalogue)
    manifest = complete(made, {**known, **resolved.or_raise()})
    return Adoption(found=await context.converger.compare(manifest, recorder=None), release=None)


async def _running_pins(context: Context, subject: Subject) -> dict[str, ImagePin]:
    """What the references of running containers mean by the images that they were made from."""
    configuration = load(subject.tree, subject.config_path, subject.environment)
    own_name = f"{subject.project}-{subject.environment}"
    compose_project = configuration.environment.compose_project or own_name
    pins: dict[str, ImagePin] = {}
    for engine in context.converger.engines.values():
        for one in await engine.containers(compose_project):
            pin = await _pin(engine, one.id, one.image_id)
            if pin is not None:
                pins[pin.ref] = pin
    return pins


async def _pin(engine: Engine, container: str, image_id: str) -> ImagePin | None:
    """The image of a container as a pin of the text that it was made with; None for one without a text."""
    made, image = await engine.makeup(container), await engine.image(image_id)
    if made is None or image is None or made.image_text.startswith("sha256:") or "@" in made.image_text:
        return None
    ref = made.image_text
    name, colon, tag = ref.rpartition(":")
    repository = name if colon and "/" not in tag else ref
    for digest in image.repo_digests:
        if digest.partition("@")[0] == repository:
            return ImagePin(ref=ref, pin=digest.partition("@")[2], pin_kind="repo-digest")
    return ImagePin(ref=ref, pin=image.id, pin_kind="image-id")
