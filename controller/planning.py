"""What a plan is compared with and allowed by, read from a home: the log and recorded Manifests only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.bootstrap import open_log
from controller.decide.deploy import is_revert
from controller.decide.folding import fold
from controller.decide.state import EnvironmentState
from controller.exchanged import last_exchanges
from controller.host_names import host_names, host_references
from controller.made_with import stale_services
from controller.permitting import Permits
from controller.preview import Baseline, Preview, baseline_of, preview, stand_ins
from controller.recorded import recorded_manifest
from events.streams import environment_stream
from gitops.config.policy import allowed_by
from gitops.manifest import complete, unpinned

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.home import Home
    from controller.plan_filters import Filters
    from events.manifest import ImagePin
    from gitops.config.policy import PolicySection
    from gitops.manifest import Draft


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
    return preview(
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
        manifest=manifest, jobs=state.jobs, stale=stale, differing=state.differing, exchanged=exchanged
    )
