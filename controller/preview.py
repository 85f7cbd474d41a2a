"""`plan`: what a deploy of this commit would do, computed without touching anything.

The Manifest that this commit leads to is compared with the one that the log says is deployed, or with that
of another commit; what follows for each container is the converger's own plan (`foretell`). An image that
was never pinned here cannot be resolved without asking an engine or a registry, so it is shown as written
and its service counts as changed. Everything is sorted; the same input gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from controller.bootstrap import LOCAL_HOST
from controller.changes import SIGNS, Action, Change, Comparison, Outage
from controller.permitting import Permits
from controller.plan_filters import Filters, view
from controller.steps import Image, PlanPhase, steps_of
from events.kernel.canonical import digest_of
from events.manifest import ImagePin
from gitops.manifest import complete, unpinned
from projections.converge.foresight import Known, foretell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.exchanged import Exchanged
    from controller.host_names import HostReferences
    from controller.leaving import Foretold
    from events.manifest import Manifest
    from gitops.manifest import Draft
    from projections.converge.plan import JobKey

__all__ = [
    "DEPLOYED",
    "SIGNS",
    "UNKNOWN_VERSION",
    "Action",
    "Baseline",
    "Change",
    "PlanPhase",
    "Preview",
    "TakenBack",
    "baseline_of",
    "preview",
    "stand_ins",
]

DEPLOYED = "what is deployed"
UNKNOWN_VERSION = "unknown"
"""Shown where nobody named a version: a plan is of a commit, and a Release gives it its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a plan is compared with."""

    manifest: Manifest | None  # None: nothing
    name: str = DEPLOYED  # for people
    revision: str | None = None  # None: what is deployed
    jobs: frozenset[JobKey] = frozenset()  # that succeeded
    stale: Mapping[str, Mapping[str, tuple[str, ...]]] = field(
        default_factory=dict[str, "Mapping[str, tuple[str, ...]]"]
    )
    """`{host: {service: what changed in files of the host since its containers were made}}`."""
    differing: Mapping[tuple[str, str], tuple[str, ...]] = field(
        default_factory=dict[tuple[str, str], "tuple[str, ...]"]
    )
    """`{(host, service): fields}` in which what was taken over is not as its Manifest says."""
    going_back: bool = False  # the plan leads to what ran before: a revert
    exchanged: Exchanged | None = None  # what the log knows of the last exchanges; None: nothing
    stopped: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """`{(host, service): hash}` of what a person stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What a commit takes back of what ran: a look at it leads to a Release of kind `revert`."""

    release: str
    revision: str | None  # of that Release
    by: Literal["tree", "message"]  # what says so

    def __str__(self) -> str:
        commit = "a commit that is not known" if self.revision is None else self.revision
        how = "it leads to what ran before" if self.by == "tree" else "its message says so"
        return f"revert of {commit} ({self.release}), because {how}"

    def as_json(self) -> dict[str, Any]:
        """The object under `reverts`."""
        return {"release": self.release, "revision": self.revision, "by": self.by}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """All that `plan` prints."""

    project: str
    environment: str
    version: str  # `unknown` when neither a person nor the descriptor names one
    revision: str
    digest: str | None  # None while an image is not pinned yet
    against: str  # what it is compared with, for people
    against_revision: str | None  # None: what is deployed
    filters: Filters
    hosts: tuple[str, ...]
    phases: tuple[PlanPhase, ...]
    changes: tuple[Change, ...]
    outages: tuple[Outage, ...]
    unpinned: tuple[str, ...]  # references of what is shown that a deploy would resolve
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what else somebody should know before
    host_variables: Mapping[str, tuple[str, ...] | None] = field(
        default_factory=dict[str, "tuple[str, ...] | None"]
    )
    """Names that env files of this machine supply, by path; None: the file cannot be used."""
    host_references: tuple[HostReferences, ...] = ()  # what services take of the environment's file
    refused: tuple[str, ...] = ()  # what it asks for and is not allowed: a deploy would not begin
    reverts: TakenBack | None = None  # what it takes back of what is deployed from the branch
    prune: Foretold | None = None  # what leaves and is more than may go without a person's word

    @property
    def has_changes(self) -> bool:
        """Whether a deploy would touch any container."""
        return any(change.action != "keep" for change in self.changes)

    @property
    def services(self) -> tuple[str, ...]:
        """The filter by services; empty: all."""
        return self.filters.services

    @property
    def removals(self) -> tuple[Change, ...]:
        """What goes for good."""
        return tuple(change for change in self.changes if change.action == "remove")

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints; its keys are a published contract."""
        return {
            "env": self.environment,
            "version": self.version,
            "phases": [phase.as_json() for phase in self.phases],
            "project": self.project,
            "revision": self.revision,
            "digest": self.digest,
            "services": list(self.services),
            "hosts": list(self.hosts),
            "changes": [change.as_json() for change in self.changes],
            "unpinned": list(self.unpinned),
            "findings": list(self.findings),
            "host_variables": {
                path: None if names is None else list(names) for path, names in self.host_variables.items()
            },
            "host_references": [one.as_json() for one in self.host_references],
            "refused": list(self.refused),
            "against": self.against_revision,
            "filters": self.filters.as_json(),
            "outages": [outage.as_json() for outage in self.outages],
            "removals": [change.as_json() for change in self.removals],
            "notes": list(self.notes),
            "has_changes": self.has_changes,
            "kind": "deploy" if self.reverts is None else "revert",
            "reverts": None if self.reverts is None else self.reverts.as_json(),
            "prune": None if self.prune is None else self.prune.as_json(),
        }


def preview(
    made: Draft,
    *,
    pins: Mapping[str, ImagePin],
    revision: str,
    against: Baseline | None = None,
    filters: Filters | None = None,
    permits: Permits | None = None,
    host_variables: Mapping[str, tuple[str, ...] | None] | None = None,
    host_references: Sequence[HostReferences] = (),
) -> Preview:
    """Compare what `made` would run with a baseline, nothing unless given.

    `pins` may lack references that were never pinned here. `filters` shows a part of it.
    `host_variables` is what env files on this machine hold, `host_references` what services take of the
    environment's own. Raises UserError as `plan_filters.view` does, and
    `manifest-empty`.
    """
    baseline, chosen = against or Baseline(manifest=None), filters or Filters()
    exchanged = baseline.exchanged
    unresolved = tuple(sorted(unpinned(made, pins)))
    wanted = complete(made, {**pins, **stand_ins(unresolved)})
    known = Known(
        succeeded_jobs=baseline.jobs,
        stale=baseline.stale,
        differing=frozenset(baseline.differing),
        going_back=baseline.going_back,
        image_volumes=frozenset() if exchanged is None else exchanged.image_volumes,
        stopped=baseline.stopped,
    )
    comparison = Comparison(
        wanted=wanted,
        before=baseline.manifest,
        plans=foretell(wanted, baseline.manifest, known),
        origins=made.origins,
        stale=baseline.stale,
        differing=baseline.differing,
        in_place_seconds={} if exchanged is None else exchanged.in_place_seconds,
    )
    shown = view(steps_of(wanted, _images(made, pins)), chosen, wanted=wanted, before=baseline.manifest)
    refs = {made.images[name] for _host, name in shown.pairs if name in made.images}
    changes = tuple(one for one in comparison.changes() if (one.host, one.service) in shown.pairs)
    return Preview(
        project=made.project,
        environment=made.environment,
        version=UNKNOWN_VERSION if made.version == revision else made.version,
        revision=revision,
        digest=None if unresolved else wanted.digest,
        against=baseline.name,
        against_revision=baseline.revision,
        filters=chosen,
        hosts=tuple(sorted(wanted.hosts)),
        phases=tuple(phase.with_changes(changes) for phase in shown.phases),
        changes=changes,
        outages=tuple(one.outage for one in changes if one.outage is not None),
        unpinned=tuple(ref for ref in unresolved if ref in refs),
        findings=tuple(str(finding) for finding in made.findings),
        notes=tuple(comparison.notes()),
        host_variables=host_variables or {},
        host_references=tuple(one for one in host_references if (LOCAL_HOST, one.service) in shown.pairs),
        refused=(permits or Permits()).refused(wanted, unset_variables=made.unset_variables),
    )


def baseline_of(made: Draft, *, pins: Mapping[str, ImagePin], revision: str) -> Baseline:
    """Another commit as the baseline, as if it were deployed and its jobs had succeeded."""
    manifest = complete(made, {**pins, **stand_ins(unpinned(made, pins))})
    jobs = frozenset(
        (host, name, service.hash)
        for host, content in manifest.hosts.items()
        for name, service in content.services.items()
        if service.job is not None
    )
    return Baseline(manifest=manifest, name=f"commit {revision[:12]}", revision=revision, jobs=jobs)


def stand_ins(references: Iterable[str]) -> dict[str, ImagePin]:
    """Pins that mean no image, for references that nobody has resolved; never for anything that is run."""
    return {
        ref: ImagePin(ref=ref, pin=digest_of({"unresolved": ref}), pin_kind="image-id") for ref in references
    }


def _images(made: Draft, pins: Mapping[str, ImagePin]) -> Sequence[Image]:
    """The images that the project makes itself."""
    built = [
        Image(service=name, ref=build.ref, source="built-here", known=build.ref in pins)
        for name, build in made.builds.items()
    ]
    awaited = [
        Image(service=name, ref=ref, source="awaited-from-ci", known=ref in pins)
        for name, ref in made.images.items()
        if ref in made.awaited
    ]
    return [*built, *awaited]
