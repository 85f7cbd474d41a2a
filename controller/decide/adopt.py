"""May what runs be taken for what a Manifest says? The events by which it is, in one append.

Nothing on a host is touched, so there is nothing that could be done by half: the Release of kind `adoption`
is asked for, begun and completed in the same append as the adoption of each service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.decide.by_hand import refused
from events.catalog.adoption import AdoptionRequested, ServiceAdopted
from events.catalog.environment import EnvironmentHeld
from events.catalog.release import ReleaseCompleted, ReleaseStarted, ReleaseSuperseded, completed_on
from events.catalog.service import JobCompleted
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from controller.decide.deploy import Candidate
    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from projections.converge.adopt import Compared

ALREADY_DEPLOYED = error_code(
    "already-deployed", "The environment has a Release already; only one that has none can be adopted."
)
NOTHING_TO_ADOPT = error_code(
    "nothing-to-adopt", "No container of the Compose project runs that could be taken over."
)
ADOPTION_DIFFERS = error_code(
    "adoption-differs", "What runs is not what the commit would make, and nobody has accepted that."
)


def decide_adopt(
    state: EnvironmentState,
    candidate: Candidate,
    found: Sequence[Compared],
    *,
    release_id: str,
    accept: bool = False,
    allowed: Collection[str] = (),
) -> tuple[Event, ...]:
    """The events that make `found` this environment's; none when it is so already.

    Raises UserError `already-deployed`, `nothing-to-adopt` or `adoption-differs`. What the Manifest may not
    ask for leads to `DeployRefused` alone.
    """
    refuse_deployed(state)
    taken = [one for one in found if one.containers and not one.ours]
    if not taken and state.deployed_digest == candidate.digest:
        return ()
    refuse_unfit(found, accept=accept)
    if candidate.refused:
        return (refused(candidate),)
    adopted = [
        ServiceAdopted(
            release=release_id,
            host=one.host,
            service=one.service,
            service_hash=one.service_hash,
            containers=one.containers,
            job=one.job,
            host_env=one.host_env,
            differences=tuple(sorted({each.field for each in one.differences})),
        )
        for one in found
        if one.containers
    ]
    return (
        *(ReleaseSuperseded(release=one.id, by=release_id) for one in state.unfinished),
        AdoptionRequested(
            release=release_id,
            digest=candidate.digest,
            version=candidate.version,
            revision=candidate.revision,
            previous=state.deployed,
            accepted=accept,
            allowed=tuple(sorted(set(allowed))),
        ),
        ReleaseStarted(release=release_id, digest=candidate.digest),
        *adopted,
        *_jobs(found, release_id),
        ReleaseCompleted(
            release=release_id,
            digest=candidate.digest,
            hosts=completed_on(candidate.services, candidate.digest),
        ),
        *_held(state, candidate),
    )


def refuse_deployed(state: EnvironmentState) -> None:
    """Raise UserError `already-deployed` unless nothing is deployed or only what was adopted."""
    deployed = state.deployed_release
    if deployed is not None and deployed.kind != "adoption":
        raise UserError(
            ALREADY_DEPLOYED,
            f"{deployed.id} is deployed here, so nothing is left to take over",
            next="stagecraft status",
        )


def refuse_unfit(found: Sequence[Compared], *, accept: bool) -> None:
    """Raise UserError `nothing-to-adopt`, or `adoption-differs` with the services and fields at fault."""
    if not any(one.containers for one in found):
        raise UserError(
            NOTHING_TO_ADOPT,
            "no container of the Compose project is there",
            why="the project's name on the engine is `<project>-<environment>`, or `compose_project:`",
            next="see the names with `docker compose ls`, and set `compose_project:` in stagecraft.yml",
        )
    at_fault = [one for one in found if one.differences]
    if at_fault and not accept:
        words = "; ".join(
            f"{one.service}: {', '.join(sorted({each.field for each in one.differences}))}"
            for one in at_fault
        )
        raise UserError(
            ADOPTION_DIFFERS,
            f"{len(at_fault)} of {len(found)} services are not what the commit would make; nothing was taken",
            why=words,
            next="correct the Compose file, or take them as they are with --accept-differences: "
            "the next deploy replaces them",
        )


def _jobs(found: Sequence[Compared], release_id: str) -> tuple[Event, ...]:
    """One-shot services that ended well have run; what differs runs again with the next Release."""
    return tuple(
        JobCompleted(
            release=release_id,
            host=one.host,
            service=one.service,
            service_hash=one.service_hash,
            container=container,
        )
        for one in found
        if one.job and one.same
        for container in one.containers[:1]
    )


def _held(state: EnvironmentState, candidate: Candidate) -> tuple[Event, ...]:
    """As for a deploy by hand: Git does not take back at the next look what a person chose."""
    if state.git.digest in (None, candidate.digest):
        return ()
    reason = f"{candidate.version} was adopted by hand and is not what the branch shows"
    return (EnvironmentHeld(target=candidate.digest, bad=(), clears="manual", reason=reason, agrees=True),)
