"""What a Release will do, said before it runs: the converger's own plan over what the log says is deployed.

`plan` decides for a Release which containers are exchanged, and it decides it here too, on containers as the
deployed Manifest says they are. So what is foretold and what is done cannot drift apart. (A comparison of two
Manifests written a second time was dropped: it did not know of shared namespaces.) What an engine alone
knows is not foretold: drift, containers of others, half-made ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from events import labels
from events.manifest import HostManifest, Manifest
from projections.converge.conflicts import COMPOSE_PROJECT, COMPOSE_SERVICE, replicas
from projections.converge.operations import HostPlan
from projections.converge.plan import JobKey, Question, first_told, plan, plan_removal
from projections.converge.sharers import CONTAINER_NUMBER
from projections.converge.untold import Untold
from projections.engine.port import Container
from projections.engine.sweep import Owner

_SOME_LOG = "foretold"
_OF_THE_IMAGE = "0" * 64  # the name of a volume that nobody named
_AS_IT_CAME = "as it came"
_THEN, _NOW = "then", "now"  # stand for keyed digests, of which only the difference counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known beside the two Manifests."""

    succeeded_jobs: frozenset[JobKey] = frozenset()
    stale: Mapping[str, Collection[str]] = field(default_factory=dict[str, "Collection[str]"])
    """By host, the services whose env files of the host say something else than when they were made."""
    differing: frozenset[tuple[str, str]] = frozenset()
    """`(host, service)` of what was taken over and is not as the deployed Manifest says."""
    going_back: bool = False  # to what ran before, so jobs with `on_rollback` run again
    image_volumes: frozenset[tuple[str, str]] = frozenset()
    """`(host, service)` of containers that keep something in a volume which their image declares."""
    stopped: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """By host and service, the hash that a person stopped."""


def foretell(wanted: Manifest, deployed: Manifest | None, known: Known | None = None) -> dict[str, HostPlan]:
    """By host, what a Release of `wanted` does where `deployed` runs as it should.

    Raises UserError `manifest-empty` for a host without any service.
    """
    given = known or Known()
    owner = Owner(project=wanted.project, environment=wanted.environment, log=_SOME_LOG)
    former = _visible(wanted, deployed)
    plans: dict[str, HostPlan] = {}
    for host in sorted({*wanted.hosts, *former}):
        there = former.get(host)
        found = [] if there is None else as_deployed(there, owner, wanted.compose_project)
        other = {name for place, name in given.differing if place == host}
        found = [_as_it_came(one) if one.service in other else one for one in found]
        keeping = {name for place, name in given.image_volumes if place == host}
        found = [replace(one, volumes=(_OF_THE_IMAGE,)) if one.service in keeping else one for one in found]
        resting = {name for (place, name) in given.stopped if place == host}
        found = [replace(one, state="exited") if one.service in resting else one for one in found]
        content = wanted.hosts.get(host)
        if content is None:
            plans[host] = plan_removal(found, host=host, owner=owner)
            continue
        stale = given.stale.get(host, ())
        question = Question(
            host=host,
            owner=owner,
            compose_project=wanted.compose_project,
            succeeded_jobs=given.succeeded_jobs,
            going_back=given.going_back,
            known_services=frozenset() if there is None else frozenset(there.services),
            bound={name: _NOW if name in stale else _THEN for name in content.services},
            untold=_with_other_files(content, there),
            stopped=given.stopped,
            first_told=first_told(wanted, deployed),
        )
        plans[host] = plan(content, found, question)
    return plans


def _with_other_files(content: HostManifest, there: HostManifest | None) -> Untold:
    """The services whose files are told of by a signal and are not those that were deployed."""
    former = {} if there is None else there.services
    return {
        name: None
        for name, service in content.services.items()
        if service.reload is not None and name in former and former[name].version != service.version
    }


def _as_it_came(container: Container) -> Container:
    """One that was taken over: ours, with a hash that no Manifest has."""
    return replace(container, labels={**container.labels, labels.SERVICE_HASH: _AS_IT_CAME})


def _visible(wanted: Manifest, deployed: Manifest | None) -> Mapping[str, HostManifest]:
    """What of `deployed` a Release sees: nothing when its containers stand under another Compose project."""
    if deployed is None or deployed.compose_project != wanted.compose_project:
        return {}
    return deployed.hosts


def as_deployed(content: HostManifest, owner: Owner, compose_project: str) -> list[Container]:
    """The containers of a host on which all is as `content` says; jobs have none."""
    return [
        container
        for name, service in sorted(content.services.items())
        if service.job is None
        for container in _replicas(content, name, owner=owner, compose_project=compose_project)
    ]


def _replicas(content: HostManifest, name: str, *, owner: Owner, compose_project: str) -> Iterable[Container]:
    service, definition = content.services[name], content.compose["services"][name]
    for number in range(1, replicas(definition) + 1):
        yield Container(
            id=f"{name} {number}",
            name=str(definition.get("container_name") or f"{compose_project}-{name}-{number}"),
            image=service.image.ref,
            image_id="",
            state="running",
            health="none",
            labels={
                labels.PROJECT: owner.project,
                labels.ENVIRONMENT: owner.environment,
                labels.SERVICE: name,
                labels.SERVICE_HASH: service.hash,
                labels.LOG: owner.log,
                labels.HOST_ENV: _THEN,
                COMPOSE_PROJECT: compose_project,
                COMPOSE_SERVICE: name,
                CONTAINER_NUMBER: str(number),
            },
        )
