"""What a person who takes a running project over is answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.decide.adopt import decide_adopt
from controller.decide.deploy import Candidate
from controller.decide.state import EnvironmentState, GitState, Release
from events.catalog.adoption import ServiceAdopted
from events.catalog.environment import DeployRefused, EnvironmentHeld
from events.catalog.release import ReleaseCompleted, ReleaseSuperseded, completed_on
from events.catalog.service import JobCompleted
from events.kernel.errors import UserError
from projections.converge.adopt import Compared
from projections.converge.sameness import Difference

CANDIDATE = Candidate(digest="d1", services={"local": {"web": "h1"}}, revision="c1", version="c1")
WEB = Compared(
    host="local",
    service="web",
    service_hash="h1",
    job=False,
    containers=("i1",),
    ours=False,
    differences=(),
)
OTHER = Difference(field="ports", wanted="80", found="81")


def deployed(kind: str = "deploy", digest: str = "d0") -> EnvironmentState:
    release = Release(
        id="rel-0",
        kind="adoption" if kind == "adoption" else "deploy",
        digest=digest,
        version="v",
        revision=None,
        previous=None,
        status="completed",
    )
    return EnvironmentState(version=1, releases={"rel-0": release}, deployed="rel-0")


def refusal(state: EnvironmentState, *found: Compared, accept: bool = False) -> UserError:
    with pytest.raises(UserError) as caught:
        decide_adopt(state, CANDIDATE, found, release_id="rel-1", accept=accept)
    return caught.value


def test_all_of_it_is_one_decision_that_ends_in_a_completed_release() -> None:
    events = decide_adopt(EnvironmentState(), CANDIDATE, [WEB], release_id="rel-1")
    assert [type(event).__name__ for event in events] == [
        "AdoptionRequested",
        "ReleaseStarted",
        "ServiceAdopted",
        "ReleaseCompleted",
    ]
    assert isinstance(events[-1], ReleaseCompleted)
    assert events[-1].hosts == completed_on(["local"], CANDIDATE.digest)


def test_a_job_that_ran_as_it_should_has_run_and_one_that_differs_has_not() -> None:
    job = replace(WEB, service="migrate", job=True, containers=("i2",))
    events = decide_adopt(EnvironmentState(), CANDIDATE, [WEB, job], release_id="rel-1")
    assert [event.container for event in events if isinstance(event, JobCompleted)] == ["i2"]
    other = replace(job, differences=(OTHER,))
    events = decide_adopt(EnvironmentState(), CANDIDATE, [WEB, other], release_id="rel-1", accept=True)
    assert not [event for event in events if isinstance(event, JobCompleted)]


def test_what_differs_is_refused_by_field_until_it_is_accepted() -> None:
    other = replace(WEB, differences=(OTHER,))
    error = refusal(EnvironmentState(), other)
    assert error.code == "adoption-differs"
    assert "web: ports" in error.why
    events = decide_adopt(EnvironmentState(), CANDIDATE, [other], release_id="rel-1", accept=True)
    assert [event.differences for event in events if isinstance(event, ServiceAdopted)] == [("ports",)]


def test_nothing_there_is_nothing_to_adopt() -> None:
    absent = replace(WEB, containers=(), differences=(OTHER,))
    assert refusal(EnvironmentState(), absent, accept=True).code == "nothing-to-adopt"


def test_an_environment_with_a_release_is_not_adopted() -> None:
    assert refusal(deployed(), WEB).code == "already-deployed"


def test_what_was_adopted_before_leads_to_nothing_and_what_came_anew_is_adopted_too() -> None:
    state = deployed("adoption", "d1")
    assert decide_adopt(state, CANDIDATE, [replace(WEB, ours=True)], release_id="rel-1") == ()
    assert decide_adopt(state, CANDIDATE, [WEB], release_id="rel-1")


def test_what_is_not_allowed_is_refused_and_nothing_is_adopted() -> None:
    asking = replace(CANDIDATE, refused=("privileged (web)",))
    (only,) = decide_adopt(EnvironmentState(), asking, [WEB], release_id="rel-1")
    assert isinstance(only, DeployRefused)


def test_another_commit_than_the_branch_shows_is_held() -> None:
    state = EnvironmentState(git=GitState(revision="c2", digest="d2"))
    events = decide_adopt(state, CANDIDATE, [WEB], release_id="rel-1")
    assert isinstance(events[-1], EnvironmentHeld)
    assert events[-1].clears == "manual"


def test_a_release_that_waits_is_superseded() -> None:
    waiting = Release(id="rel-0", kind="deploy", digest="d0", version="v", revision=None, previous=None)
    state = EnvironmentState(version=1, releases={"rel-0": waiting})
    first, *_ = decide_adopt(state, CANDIDATE, [WEB], release_id="rel-1")
    assert isinstance(first, ReleaseSuperseded)
    assert (first.release, first.by) == ("rel-0", "rel-1")
