"""Why something did not happen, each with the rule and the event that it is read from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from events.catalog.drift import BreakerOpened, DriftDetected
from events.catalog.environment import DeploySkipped, ImageAwaited, RenderFailed
from events.catalog.host import HostReached, HostUnreachable
from events.catalog.release import ReleaseStarted, ReleaseSuperseded
from events.catalog.removal import EnvironmentDestroyed, EnvironmentOrphaned
from events.catalog.revision import RevisionRejected
from events.streams import host_stream
from projections.views.why.answer import Answer
from tests.unit.projections.views.why.chronicle import FAILURE, REPOSITORY, Chronicle, commit


@pytest.fixture
def days(tmp_path: Path) -> Chronicle:
    """The first commit runs."""
    made = Chronicle(tmp_path)
    made.deploys("one", web="1", worker="1")
    return made


def against(answer: Answer) -> list[str | None]:
    return [one.rule for one in answer.because_not]


def test_a_commit_that_changes_nothing_here(days: Chronicle) -> None:
    days.observed("docs", affects=False)
    answer = days.why(commit("docs"), environment=("shop", "prod"))
    assert against(answer) == ["same-inputs"]
    assert "needs no Release" in answer.sentence
    assert answer.because_not[0].event.type == "RevisionObserved"


def test_a_commit_that_renders_to_what_runs(days: Chronicle) -> None:
    assert days.merge("comment", tree="# a comment", web="1", worker="1") == ()
    answer = days.why(commit("comment"))
    assert against(answer) == ["same-manifest"]
    assert "needs no Release" in answer.sentence


def test_a_commit_that_renders_to_what_a_person_deployed_before_it(days: Chronicle) -> None:
    days.person_deploys("two", web="2", worker="1")
    days.completes()
    days.resume()
    assert days.merge("two", web="2", worker="1") == ("DeploySkipped",)
    skipped = days.why(commit("two"))
    assert "a person deployed" in skipped.sentence


def test_a_merge_on_top_of_a_bad_one_names_the_service_and_the_hold(days: Chronicle) -> None:
    days.deploys("bad", web="2", worker="1")
    days.rollback(reason="errors")
    assert days.merge("unrelated", web="2", worker="2") == ("DeployDeferred",)
    answer = days.why(commit("unrelated"))
    assert against(answer) == ["contains-held-change"]
    assert "local/web" in answer.sentence
    assert {"EnvironmentHeld", "RollbackRequested"} <= {one.event.type for one in answer.steps}
    service = days.why("worker")
    assert "contains-held-change" in against(service)
    assert "local/web" in service.sentence


def test_a_fix_ends_the_hold_and_says_which(days: Chronicle) -> None:
    days.deploys("bad", web="2", worker="1")
    days.rollback()
    days.merge("fix", web="3", worker="1")
    answer = days.why(days.completes())
    holds = [(one.event.type, one.rule) for one in answer.steps if one.kind == "hold"]
    assert holds == [("EnvironmentHeld", "fixed"), ("HoldCleared", "fixed")]
    assert answer.because_not == ()


def test_a_git_revert_needs_no_release_and_ends_the_hold(days: Chronicle) -> None:
    days.deploys("bad", web="2", worker="1")
    days.rollback()
    assert days.merge("revert", web="1", worker="1") == ("HoldCleared",)
    answer = days.why(commit("revert"))
    assert against(answer) == ["reverted"]
    assert "needs no Release" in answer.sentence
    assert "EnvironmentHeld" in {one.event.type for one in answer.steps}


def test_a_hold_of_a_person_with_its_reason(days: Chronicle) -> None:
    days.hold("release party")
    days.merge("two", web="2", worker="1")
    assert against(days.why(commit("two"))) == ["held"]
    assert "release party" in days.why(commit("two")).sentence
    assert against(days.why("web")) == ["manual", "held"]
    days.resume()
    assert against(days.why("web")) == []


def test_a_hold_that_expired_is_no_reason_any_more(days: Chronicle) -> None:
    days.hold("party", until=days.clock.now() + timedelta(hours=1))
    assert against(days.why("web")) == ["manual"]
    days.later(hours=2)
    days.expire()
    assert against(days.why("web")) == []


def test_a_suspend(days: Chronicle) -> None:
    days.suspend("moving")
    days.merge("two", web="2", worker="1")
    answer = days.why(commit("two"))
    assert against(answer) == ["suspended"]
    assert "EnvironmentSuspended" in {one.event.type for one in answer.steps}
    assert against(days.why("web")) == ["suspended", "suspended"]


def test_what_nobody_allowed(days: Chronicle) -> None:
    days.merge("two", refused=["privileged (web runs privileged)"], web="2", worker="1")
    answer = days.why(commit("two"))
    assert against(answer) == ["not-allowed"]
    assert "privileged" in answer.sentence


def test_a_commit_that_does_not_render(days: Chronicle) -> None:
    recorder = days.observed("broken")
    days.append(RenderFailed(revision=commit("broken"), failure=FAILURE), recorder=recorder)
    assert against(days.why(commit("broken"))) == ["service-exited"]
    service = days.why("web")
    assert against(service) == ["service-exited"]
    assert "cannot be rendered" in service.sentence
    days.deploys("mended", web="2", worker="1")
    assert against(days.why("web")) == []


def test_images_that_ci_has_not_pushed(days: Chronicle) -> None:
    recorder = days.observed("two")
    awaited = ImageAwaited(
        revision=commit("two"), images=("shop:two",), until=days.clock.now(), trigger="git"
    )
    days.append(awaited, recorder=recorder)
    answer = days.why(commit("two"))
    assert against(answer) == ["image-awaited"]
    assert "shop:two" in answer.sentence


def test_a_release_that_failed_with_the_last_line_of_its_container(days: Chronicle) -> None:
    days.merge("two", web="2", worker="1")
    release = days.fails()
    answer = days.why(release)
    assert against(answer) == ["service-exited", "fixed"]
    assert 'it wrote "no such table"' in answer.sentence
    assert against(days.why(commit("two"))) == ["service-exited", "fixed"]


def test_a_release_that_another_one_came_before(days: Chronicle) -> None:
    days.merge("two", web="2", worker="1")
    waiting = days.state.unfinished[0].id
    days.append(ReleaseSuperseded(release=waiting, by="rel-newer"))
    answer = days.why(waiting)
    assert against(answer) == ["superseded"]
    assert "never run: rel-newer came first" in answer.sentence


def test_a_release_whose_wait_another_one_ended(days: Chronicle) -> None:
    days.merge("two", web="2", worker="1")
    waiting = days.state.unfinished[0]
    release = waiting.id
    days.append(ReleaseStarted(release=release, digest=waiting.digest))
    days.append(ReleaseSuperseded(release=release, by="rel-newer", touched=("local/web",)))
    answer = days.why(release)
    assert "was not run to its end: rel-newer came first" in answer.sentence
    assert any("it had changed local/web" in one.text for one in answer.because_not)


def test_a_release_without_a_verdict_and_a_host_that_does_not_answer(days: Chronicle) -> None:
    days.merge("two", web="2", worker="1")
    waiting = days.state.unfinished[0].id
    lost = HostUnreachable(host="local", reason="no route to host")
    days.recorder().append(host_stream("local"), lost)
    answer = days.why(waiting)
    assert "no verdict yet" in answer.sentence
    assert against(answer) == ["host-unreachable"]
    reached = HostReached(host="local", machine="m", engine="e", engine_version="1", api_version="1")
    days.recorder().append(host_stream("local"), reached)
    assert against(days.why(waiting)) == []


def test_healing_that_rests(days: Chronicle) -> None:
    days.append(
        DriftDetected(host="local", services={"web": "missing"}),
        BreakerOpened(attempts=5, until=days.clock.now(), reason="it ends"),
    )
    assert against(days.why("web")) == ["drift", "healing-rests"]


def test_an_environment_that_is_gone(days: Chronicle) -> None:
    days.append(EnvironmentOrphaned(ref="refs/heads/main", revision=commit("gone"), together=1))
    assert against(days.why("web")) == ["gone-from-branch"]
    days.append(EnvironmentDestroyed(hosts={}))
    assert days.why("web").because_not[-1].event.type == "EnvironmentDestroyed"


def test_a_commit_that_is_not_taken(days: Chronicle) -> None:
    recorder = days.observed("typo")
    rejected = RevisionRejected(
        ref="refs/heads/main", revision=commit("typo"), rule="config-invalid", detail="line 3"
    )
    recorder.append(REPOSITORY, rejected)
    days.append(RenderFailed(revision=commit("typo"), failure=FAILURE), recorder=recorder)
    answer = days.why(commit("typo"))
    assert against(answer) == ["config-invalid"]
    assert "line 3" in answer.sentence


def test_a_tag_that_moved_is_named_with_the_rule(days: Chronicle) -> None:
    days.tag = "v1.2.0"
    recorder = days.observed("moved")
    rejected = RevisionRejected(
        ref="refs/tags/1.x", revision=commit("moved"), rule="tag-moved", detail="it was moved", tag=days.tag
    )
    recorder.append(REPOSITORY, rejected)
    answer = days.why(commit("moved"))
    assert against(answer) == ["tag-moved"]
    assert "(v1.2.0) is not taken: it was moved" in answer.sentence


def test_a_commit_that_was_not_taken_and_no_environment_was_told(days: Chronicle) -> None:
    rejected = RevisionRejected(
        ref="refs/heads/main", revision=commit("unsigned"), rule="commit-unsigned", detail="no signature"
    )
    days.recorder().append(REPOSITORY, rejected)
    answer = days.why(commit("unsigned"))
    assert answer.subject.environment == "shop/prod"
    assert against(answer) == ["commit-unsigned"]


def test_a_commit_that_is_taken_after_all_is_told_by_what_followed(days: Chronicle) -> None:
    rejected = RevisionRejected(ref="refs/heads/main", revision=commit("two"), rule="commit-unsigned")
    days.recorder().append(REPOSITORY, rejected)
    days.append(RenderFailed(revision=commit("two"), failure=FAILURE))
    days.hold("calm")
    days.merge("two", web="2", worker="1")
    assert against(days.why(commit("two"))) == ["held"]


def test_a_commit_that_a_newer_one_overtook(days: Chronicle) -> None:
    days.observed("two")
    assert against(days.why(commit("two"))) == ["no-decision"]
    days.merge("three", web="3", worker="1")
    answer = days.why(commit("two"))
    assert against(answer) == ["no-decision", "overtaken"]
    assert commit("three")[:12] in answer.sentence


def test_a_commit_of_a_branch_that_does_not_have_the_environment(days: Chronicle) -> None:
    days.observed("first", affects=False, wanted=True)
    days.left_out("first")
    days.observed("second", affects=False, wanted=True)
    for name in ("first", "second"):
        answer = days.why(commit(name), environment=("shop", "prod"))
        assert against(answer) == ["left-out"]
        assert "other of repository-2 declared shop/prod first" in answer.sentence
        assert days.why(commit(name), environment=("shop", "else")).because_not[0].rule != "left-out"
    days.observed("mine", wanted=True)
    days.observed("later", affects=False, wanted=True)
    assert against(days.why(commit("later"), environment=("shop", "prod"))) == ["same-inputs"]


def test_a_commit_of_a_branch_that_controller_yml_does_not_deploy_it_from(days: Chronicle) -> None:
    days.observed("aside", affects=False, wanted=False)
    assert against(days.why(commit("aside"), environment=("shop", "prod"))) == ["not-wanted"]


def test_a_commit_that_does_not_declare_the_environment(days: Chronicle) -> None:
    days.observed("gone", affects=False, declares=False)
    assert against(days.why(commit("gone"), environment=("shop", "prod"))) == ["not-declared"]


def test_a_skip_of_a_kind_that_a_newer_version_has_is_told_by_its_name(days: Chronicle) -> None:
    recorder = days.observed("two")
    skipped = DeploySkipped(reason="full-moon", digest="sha256:0", revision=commit("two"))
    days.append(skipped, recorder=recorder)
    assert against(days.why(commit("two"))) == ["full-moon"]
