"""Which events led to a Release, and what the Release did: found by names and order, never guessed.

The Manifest of a rollback or a revert was rendered for an earlier commit. So the chain has the commit whose
Manifest runs and its render, then the decision that wants it now.
"""

from __future__ import annotations

from collections.abc import Iterable

from projections.views.why.answer import Step
from projections.views.why.record import Record, Told
from projections.views.why.words import commit_step, step

_OPERATIONS = frozenset(
    {
        "ServiceReplaced",
        "ServiceStartedBeside",
        "ServiceWithdrawn",
        "ServiceReloaded",
        "TrafficSwitched",
        "ConnectionsDrained",
        "TrafficRestored",
        "RoutesTold",
        "PhaseFailed",
    }
)
_IN_ENVIRONMENT = frozenset({"ReleaseStarted", "ServiceAdopted", "JobCompleted", "JobFailed"})
_WATCHED = frozenset({"WatchPassed", "WatchFailed", "WatchEnded"})
_PREPARED = frozenset({"ImageAwaited", "ImageBuilt", "ImagesRefreshed", "RenderFailed"})
_WAITED = frozenset({"DeployDeferred", "DeployRefused"})
_LET_GO = frozenset({"HoldCleared", "EnvironmentResumed"})


def steps_of(record: Record, events: Iterable[Told]) -> tuple[Step, ...]:
    """Events as steps in the order of the log, each once.

    A sighting is two: the commit, then the look. So is the render of a commit that no branch ever showed.
    """
    steps: list[Step] = []
    for one in sorted(set(events), key=lambda told: told.position):
        unseen = one.type == "ManifestRendered" and record.sighting(one.data["revision"]) is None
        if one.type == "RevisionObserved" or unseen:
            steps.append(commit_step(one))
        steps.append(step(one, record.named))
    return tuple(steps)


def reasons(record: Record, events: Iterable[Told]) -> tuple[Step, ...]:
    """Events as reasons, each a step."""
    return tuple(step(one, record.named) for one in events)


def origin(record: Record, request: Told) -> list[Told]:
    """The commit and the render of what a Release runs; what the commit waited for is with it."""
    revision, digest = request.data["revision"], request.data["digest"]
    earlier = [one for one in record.environment if one.position < request.position]
    renders = [one for one in earlier if one.type == "ManifestRendered" and one.data["digest"] == digest]
    exact = [one for one in renders if one.data["revision"] == revision]
    render = (exact or renders)[-1:]
    seen = [record.sighting(revision, before=request.position)]
    seen += [record.sighting(one.data["revision"], before=one.position) for one in render]
    looks = [one for one in seen if one is not None]
    rewritten = [each for one in looks for each in _rewritten(record, one)]
    return [*render, *looks, *rewritten, *_prepared(earlier, revision=revision, digest=digest)]


def _rewritten(record: Record, seen: Told) -> list[Told]:
    return [
        one
        for one in record.sightings
        if one.type == "HistoryRewritten" and one.event.event_id == seen.event.causation_id
    ]


def _prepared(earlier: list[Told], *, revision: str | None, digest: str) -> list[Told]:
    """What happened on the way to the Manifest."""
    return [
        one
        for one in earlier
        if one.type in _PREPARED
        and ((revision is not None and one.revision == revision) or one.data.get("digest") == digest)
    ]


def decided(record: Record, request: Told) -> list[Told]:
    """The request, what it had waited for, what let it go, and the hold that came with it."""
    digest, revision = request.data["digest"], request.data["revision"]
    since = _asked_before(record, request)
    window = [one for one in record.environment if since < one.position < request.position]
    waits = [
        one
        for one in window
        if one.type in _WAITED
        and (one.data["digest"] == digest or (revision is not None and one.data["revision"] == revision))
    ]
    found = [request, *waits, *record.caused_by(request, "EnvironmentHeld")]
    causes = _causes(record, request)
    for one in window:
        lets_go = one in causes or (waits and one.position > waits[0].position)
        if one.type in _LET_GO and lets_go:
            found += [one, *_ended(record, one)]
    return found


def _asked_before(record: Record, request: Told) -> int:
    """The position of the last Release of the same Manifest before this one; 0 when there is none."""
    digest = request.data["digest"]
    former = [
        one.position
        for one in record.requests()
        if one.position < request.position and one.data["digest"] == digest
    ]
    return former[-1] if former else 0


def _causes(record: Record, told: Told) -> set[Told]:
    """The causes of an event within the environment, and theirs."""
    by_id = {one.event.event_id: one for one in record.environment}
    found: set[Told] = set()
    cause = told.event.causation_id
    while cause is not None and cause in by_id and by_id[cause] not in found:
        found.add(by_id[cause])
        cause = by_id[cause].event.causation_id
    return found


def _ended(record: Record, end: Told) -> list[Told]:
    """The hold or the suspend that an event ended."""
    began = "EnvironmentHeld" if end.type == "HoldCleared" else "EnvironmentSuspended"
    return [one for one in record.environment if one.type == began and one.position < end.position][-1:]


def done(record: Record, release: str, *, service: str | None = None) -> list[Told]:
    """What the Release did to the hosts up to its verdict, of one service or of all."""
    verdict = record.verdict(release)
    beside = [
        one for one in record.environment if one.type in _IN_ENVIRONMENT and one.data["release"] == release
    ]
    own = [one for one in record.releases.get(release, ()) if one.type in _OPERATIONS]
    return [
        one
        for one in (*beside, *own)
        if (verdict is None or one.position < verdict.position)
        and (service is None or one.data.get("service") in {None, service})
        and not (service is not None and one.type == "PhaseFailed")
    ]


def ended(record: Record, release: str) -> list[Told]:
    """The verdict, the hold that a failure made, and what came of the watch after a completion."""
    verdict = record.verdict(release)
    if verdict is None:
        return []
    watch = [one for one in record.environment if one.type in _WATCHED and one.data["release"] == release]
    return [verdict, *record.caused_by(verdict, "EnvironmentHeld"), *watch]


def whole(record: Record, release: str, *, service: str | None = None) -> list[Told]:
    """The whole chain of a Release; of a rollback, that its target ran well before is part of it."""
    request = record.request(release)
    if request is None:
        return []
    found = [*origin(record, request), *decided(record, request)]
    if request.type == "RollbackRequested":
        found += ended(record, request.data["target"])[:1]
    return [*found, *done(record, release, service=service), *ended(record, release)]
