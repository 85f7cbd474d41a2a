"""What a plan is compared with and allowed by, read from a home: the log and recorded Manifests only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.bootstrap import open_log
from controller.branches import Branches
from controller.decide.deploy import foretold_revert, is_revert
from controller.decide.folding import fold
from controller.decide.state import EnvironmentState
from controller.exchanged import last_exchanges
from controller.host_names import host_names, host_references
from controller.leaving import foretold
from controller.made_with import stale_services
from controller.permitting import Permits
from controller.preview import Baseline, Preview, TakenBack, baseline_of, preview, stand_ins
from controller.recorded import recorded_manifest
from controller.reverting import recorded_with, taken_back
from events.streams import environment_stream, repository_stream
from gitops.manifest import complete, unpinned
from gitops.policies import allowed_by, most_removed_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.branch_keys import BranchKey
    from controller.branches import BranchState
    from controller.home import Home
    from controller.leaving import Foretold
    from controller.plan_filters import Filters
    from events.log import EventLog
    from events.manifest import ImagePin, Manifest
    from gitops.config.policy import PolicySection
    from gitops.manifest import Draft
    from gitops.source.git import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a plan is asked for."""

    made: Draft
    revision: str
    state: EnvironmentState
    pins: Mapping[str, ImagePin]  # the log's, and what was found out just now
    policy: Mapping[str, PolicySection]
    given: Collection[str] = ()  # allowed beside policy
    filters: Filters | None = None
    against: tuple[Draft, str] | None = None  # another commit's draft and revision; None: what is deployed
    takes_back: tuple[str, ...] = ()  # commits shown before that it reverts, as messages say


def state_of(home: Home, made: Draft) -> EnvironmentState:
    """What the home's log says of the draft's environment."""
    with open_log(home) as log:
        stored = [] if log is None else log.read_stream(environment_stream(made.project, made.environment))
    return fold(stored)


def answer(home: Home, question: Question) -> Preview:
    """The plan; blocking. Raises as `preview` does and OutsideError `blob-missing` or `blob-damaged`."""
    made, state, pins = question.made, question.state, question.pins
    if question.against is None:
        baseline = _deployed(home, made, state=state, pins=pins)
    else:
        other, revision = question.against
        baseline = baseline_of(other, pins=pins, revision=revision)
    wanted = complete(made, {**pins, **stand_ins(unpinned(made, pins))})
    if baseline.manifest is not None and wanted.digest != baseline.manifest.digest:
        goes_back = is_revert(state, wanted.digest, revision=question.revision)
        baseline = replace(baseline, going_back=goes_back)
    shown = preview(
        made,
        pins=pins,
        revision=question.revision,
        against=baseline,
        filters=question.filters,
        permits=Permits(
            allowed=allowed_by(question.policy, project=made.project, environment=made.environment)
            | set(question.given),
            state=state,
            own=(str(home.root),),
        ),
        host_variables=host_names(made),
        host_references=host_references(made),
    )
    return replace(shown, reverts=_reverts(question, wanted.digest), prune=_prune(question, wanted, baseline))


def _prune(question: Question, wanted: Manifest, baseline: Baseline) -> Foretold | None:
    """What leaves and would wait for a person's word; a comparison with another commit foretells nothing."""
    if question.against is not None:
        return None
    made = question.made
    most = most_removed_of(
        question.policy,
        project=made.project,
        environment=made.environment,
        asked=made.conduct.most_removed,
    )
    return foretold(question.state, wanted=wanted, before=baseline.manifest, most=most)


def taken_back_by(home: Home, repository: Repository, revision: str, *, title: str) -> tuple[str, ...]:
    """The commits that a look would find taken back, if the environment's branch showed this commit now.

    Nothing where no branch is watched for the environment `title`: what a person deploys is no revert.
    """
    with open_log(home) as log:
        if log is None:
            return ()
        branches = Branches()
        for key, before in branches.known(log).items():
            if title in before.claims and title not in branches.others(log, key, among=None):
                return taken_back_on(log, key, before, repository=repository, revision=revision)
    return ()


def taken_back_on(
    log: EventLog, key: BranchKey, before: BranchState, *, repository: Repository, revision: str
) -> tuple[str, ...]:
    """The same for one branch, of which the log says `before`."""
    if before.revision == revision and before.announced is not None:
        return recorded_with(before.announced)
    stored = log.read_stream(repository_stream(key.slug))
    return taken_back(repository, revision, ref=key.ref, since=before.taken, stored=stored)


def _reverts(question: Question, digest: str) -> TakenBack | None:
    """What a look at the commit would take back; a comparison with another commit foretells no look."""
    if question.against is not None:
        return None
    state = question.state
    found = foretold_revert(state, digest, revision=question.revision, takes_back=question.takes_back)
    if found is None:
        return None
    release, by = found
    known = state.releases.get(release)
    return TakenBack(release=release, revision=None if known is None else known.revision, by=by)


def _deployed(home: Home, made: Draft, *, state: EnvironmentState, pins: Mapping[str, ImagePin]) -> Baseline:
    """What the log says is deployed."""
    manifest = recorded_manifest(home, state.deployed_digest)
    if manifest is None:
        return Baseline(manifest=None, jobs=state.jobs)
    wanted = complete(made, {**pins, **stand_ins(unpinned(made, pins))})
    with open_log(home) as log:
        stale = (
            {}
            if log is None
            else stale_services(log, wanted, releases=state.releases, key=home.known_binding_key())
        )
        exchanged = None if log is None else last_exchanges(log, releases=state.releases)
    return Baseline(
        manifest=manifest,
        jobs=state.jobs,
        stale=stale,
        differing=state.differing,
        stopped=state.stopped_hashes,
        exchanged=exchanged,
    )
