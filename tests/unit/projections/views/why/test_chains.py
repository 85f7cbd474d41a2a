"""How something came to run: each chain leads from a commit to what was done and how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.decide.rollback import RollbackTarget
from projections.views.why.answer import Answer
from tests.unit.projections.views.why.chronicle import Chronicle, commit


@pytest.fixture
def days(tmp_path: Path) -> Chronicle:
    return Chronicle(tmp_path)


def kinds(answer: Answer) -> list[str]:
    return [one.kind for one in answer.steps]


def texts(answer: Answer, kind: str) -> str:
    return "\n".join(one.text for one in answer.steps if one.kind == kind)


def rules(answer: Answer) -> list[str | None]:
    return [one.rule for one in answer.steps if one.rule is not None]


def against(answer: Answer) -> list[str | None]:
    return [one.rule for one in answer.because_not]


def test_a_release_of_git_leads_from_its_commit_to_its_health(days: Chronicle) -> None:
    release = days.deploys("one", web="1")
    answer = days.why(release)
    assert kinds(answer) == ["commit", "look", "manifest", "decision", "operation", "operation", "health"]
    assert rules(answer) == ["branch-shows-it"]
    assert commit("one")[:12] in answer.sentence
    assert "change one" in answer.sentence
    assert "what is deployed" in answer.sentence
    assert answer.because_not == ()
    assert [one.event.position for one in answer.steps] == sorted(one.event.position for one in answer.steps)
    assert answer.subject.environment == "shop/prod"


def test_a_commit_that_a_tag_names_says_which(days: Chronicle) -> None:
    days.tag = "v1.2.0"
    days.deploys("one", web="1")
    answer = days.why(commit("one"))
    assert "tag v1.2.0, the newest of 1.x, shows it" in texts(answer, "look")


def test_steps_say_who_did_it(days: Chronicle) -> None:
    days.deploys("one", web="1")
    days.deploys("two", web="2")
    release = days.rollback(reason="it was slow")
    answer = days.why(release)
    actors = {one.kind: one.actor.kind for one in answer.steps}
    assert (actors["commit"], actors["decision"], actors["hold"], actors["health"]) == (
        "git",
        "cli",
        "cli",
        "controller",
    )
    assert "it was slow" in answer.sentence


def test_a_rollback_has_the_commit_that_it_runs_and_that_it_ran_well(days: Chronicle) -> None:
    first = days.deploys("one", web="1")
    second = days.deploys("two", web="2")
    answer = days.why(days.rollback())
    assert commit("one")[:12] in texts(answer, "commit")
    assert f"rolls back to {first}, which takes back {second}" in texts(answer, "decision")
    assert first in texts(answer, "health")
    assert f"Git does not bring {commit('two')[:12]} back" in texts(answer, "hold")
    assert rules(answer) == ["person-asked", "fixed"]


def test_what_was_taken_back_says_by_what(days: Chronicle) -> None:
    days.deploys("one", web="1")
    second = days.deploys("two", web="2")
    third = days.rollback()
    answer = days.why(second)
    assert f"not what is deployed any more, taken back by {third}" in answer.sentence
    assert answer.steps[-1].event.type == "RollbackRequested"


def test_a_container_leads_to_its_release_and_to_no_other_service(days: Chronicle) -> None:
    release = days.deploys("one", web="1", worker="1")
    container = days.container("web")
    answer = days.why(container[:12])
    assert answer.subject.id == container
    assert answer.subject.host == "local"
    assert release in answer.sentence
    assert "worker" not in texts(answer, "operation")
    assert container[:12] in texts(answer, "operation")


def test_a_container_that_went_says_with_which_release(days: Chronicle) -> None:
    days.deploys("one", web="1")
    container = days.container("web")
    second = days.deploys("two", web="2")
    answer = days.why(container)
    assert f"it went with {second}" in answer.sentence
    assert days.container("web")[:12] in texts(answer, "operation")
    assert answer.because_not == ()


def test_a_healed_container_leads_over_the_drift_to_its_release(days: Chronicle) -> None:
    release = days.deploys("one", web="1")
    lost = days.container("web")
    made = days.heals("web")
    answer = days.why(made)
    assert "healed" in answer.sentence
    assert release in answer.sentence
    assert [one.event.type for one in answer.steps[-3:]] == [
        "DriftDetected",
        "ServiceReplaced",
        "DriftHealed",
    ]
    assert "was missing later" in days.why(lost).sentence


def test_a_container_of_the_way_back_names_the_failed_release_and_the_one_before(days: Chronicle) -> None:
    first = days.deploys("one", web="1")
    days.merge("two", web="2")
    second = days.fails()
    answer = days.why(days.container("web"))
    assert f"{second} failed and the former version was brought back" in answer.sentence
    assert first in texts(answer, "decision")
    assert "no such table" in texts(answer, "health")


def test_a_service_that_later_releases_left_alone_leads_to_the_one_that_made_it(days: Chronicle) -> None:
    first = days.deploys("one", web="1", worker="1")
    second = days.deploys("two", web="1", worker="2")
    answer = days.why("web")
    assert first in answer.sentence
    assert second in texts(answer, "health")
    assert answer.subject.host == "local"


def test_a_container_that_was_told_of_files_leads_to_both_releases(days: Chronicle) -> None:
    first = days.deploys("one", web="1")
    container = days.container("web")
    days.merge("two", web="1", worker="1")
    days.reloads(days.state.unfinished[-1].id, "web")
    second = days.completes()
    for word in ("web", container):
        answer = days.why(word)
        assert f"its files are those of {second}" in answer.sentence
        assert (first in texts(answer, "decision"), second in texts(answer, "decision")) == (True, True)
        assert "/etc/proxy.conf changed" in texts(answer, "operation")
        assert f"{container[:12]} got SIGHUP" in texts(answer, "operation")
    assert "SIGHUP" in texts(days.why(second), "operation")
    assert "SIGHUP" not in texts(days.why("worker"), "operation")


def test_a_service_that_left_the_project_was_removed(days: Chronicle) -> None:
    days.deploys("one", web="1", worker="1")
    second = days.deploys("two", web="1")
    answer = days.why("worker")
    assert f"removed by {second}" in answer.sentence
    assert commit("two")[:12] in answer.sentence


def test_a_revert_has_the_old_commit_and_the_reverting_one(days: Chronicle) -> None:
    days.deploys("one", web="1")
    second = days.deploys("two", web="2")
    answer = days.why(days.deploys("three", web="1"))
    assert rules(answer) == ["known-tree"]
    assert f"takes back {second}" in texts(answer, "decision")
    assert commit("one")[:12] in texts(answer, "manifest")
    assert commit("three")[:12] in texts(answer, "commit")


def test_a_commit_that_a_person_deployed_was_seen_by_no_look(days: Chronicle) -> None:
    days.person_deploys("one", web="1")
    answer = days.why(days.completes())
    assert kinds(answer)[:3] == ["commit", "manifest", "decision"]
    assert "no look at a watched branch showed it" in texts(answer, "commit")
    assert rules(answer) == ["person-asked"]


def test_a_commit_that_was_rolled_back_to_says_so(days: Chronicle) -> None:
    days.deploys("one", web="1")
    days.deploys("two", web="2")
    third = days.rollback(RollbackTarget(to_previous=True))
    answer = days.why(commit("one")[:7])
    assert third in answer.sentence
    assert [one.event.data for one in answer.steps if one.event.type == "RollbackRequested"]


def test_a_release_of_a_resumed_environment_says_what_it_waited_for_and_who_let_it_go(
    days: Chronicle,
) -> None:
    days.deploys("one", web="1")
    days.hold("release party")
    recorder = days.observed("two")
    candidate = days.rendered("two", recorder=recorder, services={"web": "2"})
    days.consider(candidate, recorder=recorder)
    days.resume()
    days.consider(candidate, recorder=days.recorder())
    answer = days.why(days.completes())
    assert rules(answer) == ["manual", "held", "resumed", "branch-shows-it"]
    assert "release party" in texts(answer, "hold")


def test_the_json_has_the_published_keys(days: Chronicle) -> None:
    release = days.deploys("one", web="1")
    shown = days.why(release).as_json({"act-author": "Ann"}.get)
    assert list(shown) == ["subject", "answer", "steps", "because_not"]
    assert shown["subject"] == {"kind": "release", "id": release, "environment": "shop/prod", "host": None}
    step = shown["steps"][0]
    assert list(step) == ["at", "kind", "rule", "text", "actor", "event"]
    assert step["actor"] == {"kind": "git", "id": "act-author", "name": "Ann"}
    assert (step["event"]["sequence"], step["event"]["type"]) == (1, "RevisionObserved")
    assert shown["steps"][-1]["actor"]["name"] is None


def test_an_answer_is_the_same_however_often_it_is_asked(days: Chronicle) -> None:
    days.deploys("one", web="1")
    days.merge("two", web="2")
    days.fails()
    assert days.why("web") == days.why("web")
