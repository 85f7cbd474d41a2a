"""What follows when Git shows something, and when a person asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.decide.by_hand import decide_person
from controller.decide.hold import decide_hold, decide_resume
from events.catalog import decode
from events.catalog.environment import (
    DeployRefused,
    EnvironmentResumed,
    EnvironmentSuspended,
    HoldCleared,
    RenderFailed,
    RevertDetected,
)
from events.kernel.errors import UserError
from tests.support.environments import Story, failure


@pytest.fixture
def story() -> Story:
    return Story()


def test_the_first_render_is_deployed(story: Story) -> None:
    assert story.look("c1", web="1") == ("DeployRequested",)
    assert story.state.active is not None
    assert story.state.active.previous is None


def test_a_look_without_news_decides_nothing(story: Story) -> None:
    story.deploys("c1", web="1")
    assert story.look("c1", web="1") == ()


def test_a_waiting_release_is_not_requested_again(story: Story) -> None:
    story.look("c1", web="1")
    assert story.look("c1", web="1") == ()


def test_a_newer_render_supersedes_a_waiting_release(story: Story) -> None:
    story.look("c1", web="1")
    first = story.state.active
    assert first is not None
    assert story.look("c2", web="2") == ("ReleaseSuperseded", "DeployRequested")
    assert story.state.releases[first.id].status == "superseded"


def test_a_newer_render_leaves_the_end_of_a_running_release_to_who_works_on_it(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    running = story.begins()
    assert story.look("c3", web="3") == ("DeployRequested",)
    assert story.look("c4", web="4") == ("ReleaseSuperseded", "DeployRequested")
    assert [one.status for one in story.state.unfinished] == ["running", "pending"]
    story.makes_way(running)
    ended = story.state.releases[running]
    assert (ended.status, ended.begun) == ("superseded", True)
    assert story.state.active is not None
    assert ended.superseded_by == story.state.active.id


def test_a_newer_commit_that_renders_to_what_is_running_asks_for_nothing(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.begins()
    assert story.look("c3", web="2") == ()


def test_going_back_to_what_is_deployed_while_another_release_runs_is_a_revert(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    running = story.begins()
    assert story.look("c3", web="1") == ("RevertDetected",)
    asked = decode(story.stored[-1])
    assert isinstance(asked, RevertDetected)
    assert (asked.digest, asked.reverts) == (story.state.deployed_digest, running)
    assert story.look("c3", web="1") == ()
    story.makes_way(running)
    story.completes()
    assert story.look("c3", web="1") == ()


def test_a_message_may_take_back_a_release_that_was_superseded_in_its_wait(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    second = story.begins()
    takes_back = replace(story.rendered("c3", web="3"), takes_back=("c2",))
    assert story.look_at(takes_back) == ("RevertDetected",)
    asked = decode(story.stored[-1])
    assert isinstance(asked, RevertDetected)
    assert (asked.by, asked.reverts) == ("message", second)


def test_what_superseded_releases_left_counts_until_one_brings_all_to_one_manifest(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    second = story.begins()
    story.look("c3", web="3")
    assert list(story.state.left_behind) == []
    story.makes_way(second)
    assert list(story.state.left_behind) == ["sha256:web=2"]
    third = story.begins()
    story.look("c4", web="4")
    story.makes_way(third)
    assert list(story.state.left_behind) == ["sha256:web=3", "sha256:web=2"]
    story.completes()
    assert list(story.state.left_behind) == []


def test_what_never_began_left_nothing(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.look("c3", web="3")
    assert list(story.state.left_behind) == []


def test_a_commit_that_leads_back_is_a_revert_of_what_is_deployed(story: Story) -> None:
    first = story.deploys("c1", web="1")
    second = story.deploys("c2", web="2")
    assert story.look("c3", web="1") == ("RevertDetected",)
    active = story.state.active
    assert active is not None
    assert (active.kind, active.version, active.revision, active.previous) == ("revert", "c1", "c3", second)
    story.completes()
    assert story.state.deployed_digest == story.state.releases[first].digest


def test_a_merge_that_renders_to_what_runs_is_noted_once(story: Story) -> None:
    story.deploys("c1", web="1")
    story.person_deploys("c2", web="2")
    story.completes()
    story.append(*decide_resume(story.state, reason=""))
    assert story.look("c2", web="2") == ("DeploySkipped",)
    assert story.look("c2", web="2") == ()


def test_a_failed_release_holds_its_change_without_further_events(story: Story) -> None:
    story.deploys("c1", web="1", api="1")
    story.look("c2", web="2", api="1")
    story.rolls_back()
    assert story.look("c2", web="2", api="1") == ()
    story.later(hours=1)
    assert story.look("c2", web="2", api="1") == ()


def test_an_unrelated_merge_does_not_bring_the_bad_service_back(story: Story) -> None:
    story.deploys("c1", web="1", api="1")
    story.look("c2", web="2", api="1")
    story.rolls_back()
    assert story.look("c3", web="2", api="2") == ("DeployDeferred",)
    assert story.state.git.deferred == "contains-held-change"
    assert story.look("c3", web="2", api="2") == ()


def test_a_fix_of_the_bad_service_clears_the_hold(story: Story) -> None:
    story.deploys("c1", web="1", api="1")
    story.look("c2", web="2", api="1")
    story.rolls_back()
    assert story.look("c4", web="3", api="2") == ("HoldCleared", "DeployRequested")
    assert story.state.hold is None


def test_removing_the_bad_service_is_a_fix(story: Story) -> None:
    story.deploys("c1", api="1")
    story.look("c2", api="1", web="bad")
    story.rolls_back()
    assert story.look("c3", api="2") == ("HoldCleared", "DeployRequested")


def test_a_revert_of_a_failed_merge_clears_the_hold_without_a_release(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back()
    assert story.look("c3", web="1") == ("HoldCleared",)
    assert story.state.git.revision == "c3"
    assert story.look("c3", web="1") == ()


def test_every_bad_manifest_of_a_hold_must_be_fixed(story: Story) -> None:
    story.deploys("c1", web="1", api="1")
    story.deploys("c2", web="2", api="1")
    story.deploys("c3", web="2", api="2")
    story.person_rolls_back()
    story.completes()
    story.person_rolls_back()
    story.completes()
    assert story.state.deployed_digest == "sha256:api=1-web=1"
    assert story.look("c4", web="3", api="2") == ("DeployDeferred",)
    assert story.look("c5", web="2", api="3") == ("DeployDeferred",)
    assert story.look("c6", web="3", api="3") == ("HoldCleared", "DeployRequested")


def test_a_bad_manifest_that_differs_in_no_service_is_refused_by_its_digest(story: Story) -> None:
    story.deploys("c1", web="1")
    bad = story.rendered("c2", web="1", extra="x")
    story.look_at(bad)
    story.rolls_back()
    same_services = story.rendered("c2", web="1", extra="x")
    assert story.look_at(same_services) == ()


def test_a_failure_from_outside_is_tried_again_with_growing_delays_and_then_no_more(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back(cause="outside")
    assert story.look("c2", web="2") == ()
    delay, tries = 10.0, 1
    while tries < 5:
        story.later(seconds=delay - 5)
        assert story.look("c2", web="2") == ()
        story.later(seconds=10)
        assert story.look("c2", web="2") == ("HoldCleared", "DeployRequested")
        story.rolls_back(cause="outside")
        delay, tries = delay * 2, tries + 1
    story.later(days=1)
    assert story.look("c2", web="2") == ()


def test_a_retry_that_is_due_when_git_comes_back_to_it_starts_at_once(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back(cause="outside")
    story.look("c3", web="2", api="1")
    story.later(minutes=1)
    assert story.look("c4", web="2") == ("HoldCleared", "DeployRequested")


def test_a_manual_hold_is_not_ended_by_a_retry(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back(cause="outside")
    story.append(*decide_hold(story.state, reason="let it be"))
    story.later(hours=1)
    assert story.look("c2", web="2") == ()


def test_a_rollback_by_hand_is_not_undone_by_a_retry(story: Story) -> None:
    story.deploys("c0", web="0")
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back(cause="outside")
    story.person_rolls_back()
    story.completes()
    story.later(hours=1)
    assert story.look("c2", web="2") == ()
    assert story.state.deployed_digest == "sha256:web=0"


def test_a_retry_names_the_attempt_it_repeats(story: Story) -> None:
    story.look("c1", web="1")
    first = story.fails(cause="outside")
    story.later(minutes=1)
    assert story.look("c1", web="1") == ("DeployRequested",)
    active = story.state.active
    assert active is not None
    assert active.retry_of == first


def test_a_first_release_that_failed_by_its_own_fault_waits_for_a_new_commit(story: Story) -> None:
    story.look("c1", web="1")
    story.fails(cause="repository")
    story.later(days=1)
    assert story.look("c1", web="1") == ()
    assert story.look("c2", web="2") == ("DeployRequested",)


def test_resume_lets_the_held_change_pass_as_a_deploy(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    story.person_rolls_back()
    story.completes()
    story.append(*decide_resume(story.state, reason="it was the database"))
    assert story.look("c2", web="2") == ("DeployRequested",)


def test_resume_tries_a_failed_change_again(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back()
    story.append(*decide_resume(story.state, reason=""))
    assert story.look("c2", web="2") == ("DeployRequested",)


def test_a_manual_hold_defers_every_merge_once(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(*decide_hold(story.state, reason="release party"))
    assert story.look("c2", web="2") == ("DeployDeferred",)
    assert story.look("c2", web="2") == ()
    assert story.state.git.deferred == "held"


def test_a_revert_to_the_target_does_not_end_a_manual_hold(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(*decide_hold(story.state, reason="release party"))
    story.look("c2", web="2")
    story.look("c3", web="1")
    assert story.state.hold is not None


def test_a_suspended_environment_defers(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(EnvironmentSuspended(reason="moving house"))
    assert story.look("c2", web="2") == ("DeployDeferred",)
    story.append(EnvironmentResumed())
    assert story.look("c2", web="2") == ("DeployRequested",)


def test_a_render_that_works_again_is_noted_although_it_is_deployed(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(RenderFailed(revision="c2", failure=failure()))
    assert story.look("c3", web="1") == ("DeploySkipped",)
    assert story.state.git.failure is None


def test_a_person_gets_a_new_release_of_what_is_deployed_already(story: Story) -> None:
    story.deploys("c1", web="1")
    assert story.person_deploys("c1", web="1") == ("DeployRequested",)


def test_what_a_person_deploys_against_git_is_held(story: Story) -> None:
    story.deploys("c1", web="1")
    assert story.person_deploys("c9", web="9") == ("DeployRequested", "EnvironmentHeld")
    story.completes()
    assert story.look("c1", web="1") == ()
    assert story.state.deployed_digest == "sha256:web=9"


def test_what_was_deployed_by_hand_is_let_go_when_the_branch_shows_it(story: Story) -> None:
    story.deploys("c1", web="1")
    story.person_deploys("c2", web="2")
    story.completes()
    assert story.look("c3", web="3") == ("DeployDeferred",)
    assert story.look("c2", web="2") == ("HoldCleared",)
    assert story.state.hold is None
    assert story.look("c2", web="2") == ()
    assert story.look("c4", web="4") == ("DeployRequested",)


def test_a_deploy_by_hand_says_what_the_branch_shows(story: Story) -> None:
    story.deploys("c1", web="1")
    story.person_deploys("c2", web="2")
    assert story.state.hold is not None
    assert "c2 was deployed by hand" in story.state.hold.reason
    assert "c1" in story.state.hold.reason


def test_a_deploy_by_hand_of_what_a_person_holds_leaves_their_hold_alone(story: Story) -> None:
    story.deploys("c1", web="1")
    story.append(*decide_hold(story.state, reason="release party"))
    assert story.look("c2", web="2") == ("DeployDeferred",)
    assert story.person_deploys("c1", web="1") == ("DeployRequested",)
    story.completes()
    assert story.look("c1", web="1") == ("DeployDeferred",)
    assert story.state.hold is not None
    assert story.state.hold.reason == "release party"


def test_a_revert_that_a_person_deploys_ends_the_hold_where_no_branch_is_watched(story: Story) -> None:
    story.person_deploys("c1", web="1")
    story.completes()
    story.person_deploys("c2", web="2")
    story.rolls_back()
    assert story.person_deploys("c3", web="1") == ("HoldCleared", "DeployRequested")
    assert story.state.hold is None


def test_what_is_held_is_deployed_again_and_its_hold_stays_as_it_is(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back()
    held = story.state.hold
    assert story.person_deploys("c1", web="1") == ("DeployRequested",)
    story.completes()
    assert story.state.hold == held
    assert story.look("c2", web="2") == ()
    assert story.look("c3", web="3") == ("HoldCleared", "DeployRequested")


def test_an_old_commit_is_held_also_where_no_branch_was_watched_yet(story: Story) -> None:
    candidate = story.rendered("c1", web="1")
    story.append(*decide_person(story.state, candidate, release_id="rel-1", at_head=False))
    assert story.state.hold is not None
    story.completes()
    assert story.look("c2", web="2") == ("DeployDeferred",)
    assert story.look("c1", web="1") == ("HoldCleared",)


def test_the_newest_commit_is_not_held_where_no_branch_was_watched_yet(story: Story) -> None:
    assert story.person_deploys("c1", web="1") == ("DeployRequested",)


def test_a_person_cannot_deploy_the_bad_change_under_its_hold(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back()
    with pytest.raises(UserError) as caught:
        story.person_deploys("c2", web="2")
    assert caught.value.code == "environment-held"
    assert "local/web" in caught.value.why


def test_a_person_deploys_a_fix_under_a_hold(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back()
    assert story.person_deploys("c3", web="3")[:2] == ("HoldCleared", "DeployRequested")


def test_a_person_cannot_deploy_while_suspended(story: Story) -> None:
    story.append(EnvironmentSuspended(reason="moving house"))
    with pytest.raises(UserError) as caught:
        story.person_deploys("c1", web="1")
    assert caught.value.code == "environment-suspended"


def test_an_expired_hold_counts_like_a_resumed_one(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back()
    story.append(HoldCleared(reason="expired"))
    assert story.look("c2", web="2") == ("DeployRequested",)


def test_what_is_not_allowed_is_deferred_once_and_deployed_once_it_is(story: Story) -> None:
    wanted = story.rendered("c1", web="1")
    asking = replace(wanted, refused=("privileged (web)", "host-pid (web)"))
    assert story.look_at(asking) == ("DeployDeferred",)
    assert (story.state.git.deferred, story.state.active) == ("not-allowed", None)
    assert story.look_at(asking) == ()
    assert story.look_at(wanted) == ("DeployRequested",)


def test_a_hold_stands_while_what_would_end_it_is_not_allowed(story: Story) -> None:
    story.deploys("c1", web="1")
    story.look("c2", web="2")
    story.rolls_back()
    fixed = replace(story.rendered("c3", web="3"), refused=("privileged (web)",))
    assert story.look_at(fixed) == ("DeployDeferred",)
    assert story.state.hold is not None


def test_what_is_deployed_needs_no_permission_any_more(story: Story) -> None:
    story.deploys("c1", web="1")
    asking = replace(story.rendered("c1", web="1"), refused=("privileged (web)",))
    assert story.look_at(asking) == ()


def test_a_person_who_asks_for_what_is_not_allowed_is_refused_in_the_log(story: Story) -> None:
    asking = replace(story.rendered("c1", web="1"), refused=("privileged (web)",))
    (event,) = decide_person(story.state, asking, release_id="rel-1")
    assert isinstance(event, DeployRefused)
    assert (event.rule, event.detail) == ("not-allowed", "privileged (web)")
    before = story.state
    story.append(event)
    assert replace(story.state, version=before.version) == before


def test_what_a_person_allowed_stays_allowed_for_that_manifest_alone(story: Story) -> None:
    first, second = story.rendered("c1", web="1"), story.rendered("c2", web="2")
    decided = decide_person(story.state, first, release_id="rel-1", allowed=["privileged", "host-pid"])
    story.append(*decided)
    assert story.state.allowed_for(first.digest) == {"privileged", "host-pid"}
    assert story.state.allowed_for(second.digest) == frozenset()


def test_a_commit_that_says_what_it_reverts_is_a_revert_of_that_release(story: Story) -> None:
    story.deploys("c1", web="1")
    second = story.deploys("c2", web="2")
    story.look_at(replace(story.rendered("c3", web="3"), takes_back=("c2",)))
    active = story.state.active
    assert active is not None
    assert (active.kind, active.version) == ("revert", "c3")
    event = decode(story.stored[-1])
    assert isinstance(event, RevertDetected)
    assert (event.reverts, event.by) == (second, "message")


def test_what_a_tree_says_comes_before_what_a_message_says(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    third = story.deploys("c3", web="3")
    story.look_at(replace(story.rendered("c4", web="1"), takes_back=("c2",)))
    event = decode(story.stored[-1])
    assert isinstance(event, RevertDetected)
    assert (event.reverts, event.by) == (third, "tree")


def test_the_retry_of_a_revert_is_a_retry(story: Story) -> None:
    story.deploys("c1", web="1")
    story.deploys("c2", web="2")
    candidate = replace(story.rendered("c3", web="3"), takes_back=("c2",))
    story.look_at(candidate)
    story.rolls_back("outside")
    story.later(minutes=1)
    assert story.look_at(candidate) == ("HoldCleared", "DeployRequested")
