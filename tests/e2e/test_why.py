"""A bad day from its first merge to its end, and what `why` says of each of its steps."""

from __future__ import annotations

from typing import Any

from tests.e2e.team import Team
from tests.support.images import TestImages

CHAIN = ["commit", "look", "manifest", "decision", "operation", "health"]


def why(team: Team, subject: str) -> dict[str, Any]:
    """`why --json`, and that the text says the same sentence on a screen."""
    answer: dict[str, Any] = team.cli.ok("why", subject, "--json").json()
    shown = team.cli.ok("why", subject).stdout
    assert shown.splitlines()[0] == answer["answer"]
    assert len(shown.splitlines()) <= 40
    return answer


def kinds(answer: dict[str, Any]) -> list[str]:
    """The kinds of the steps, each at its first place."""
    return list(dict.fromkeys(step["kind"] for step in answer["steps"]))


def rules(answer: dict[str, Any]) -> list[str]:
    """The rules of the chain."""
    return [step["rule"] for step in answer["steps"] if step["rule"]]


def against(answer: dict[str, Any]) -> list[str]:
    """The rules of what stands against it."""
    return [step["rule"] for step in answer["because_not"]]


def assert_in_log(team: Team, answer: dict[str, Any]) -> None:
    """Each step names an event that the log has."""
    known = {(event["position"], event["id"], event["type"]) for event in team.events()}
    steps = [step["event"] for step in (*answer["steps"], *answer["because_not"])]
    assert {(event["sequence"], event["id"], event["type"]) for event in steps} <= known


def test_after_a_rollback_every_step_is_explained(team: Team, images: TestImages) -> None:
    first = team.deploys("first")
    bad = team.deploys("bad", web=images.web("v2"))
    assert kinds(why(team, "web")) == CHAIN

    team.cli.ok("rollback", "--env", "prod", "--to-previous", "--reason", "errors everywhere", seconds=90)
    assert team.answer() == "web v1"
    rollback, taken_back, good = (release["id"] for release in team.releases())
    answer = why(team, rollback)
    assert "errors everywhere" in answer["answer"]
    assert rules(answer) == ["person-asked", "fixed"]
    assert first[:12] in answer["steps"][0]["text"]
    assert good in str([step["text"] for step in answer["steps"] if step["kind"] == "decision"])
    assert_in_log(team, answer)
    assert f"taken back by {rollback}" in why(team, taken_back)["answer"]
    assert f"taken back by {rollback}" in why(team, bad[:9])["answer"]
    (container,) = team.project.ids()["web"]
    assert rollback in why(team, container[:12])["answer"]

    unrelated = team.merge("unrelated", worker=images.web("v2", name="worker"))
    team.look().expect(0)
    assert team.answer() == "web v1"
    assert team.project.ids()["web"] == [container]
    answer = why(team, unrelated)
    assert against(answer) == ["contains-held-change"]
    assert "local/web" in answer["answer"]
    assert {"EnvironmentHeld", "RollbackRequested"} <= {step["event"]["type"] for step in answer["steps"]}
    assert_in_log(team, answer)
    assert "contains-held-change" in against(why(team, "worker"))

    fix = team.merge("fix", web=images.web("v3"))
    team.look().expect(0)
    assert team.answer() == "web v3"
    answer = why(team, fix)
    assert [rule for rule in rules(answer) if rule != "job"] == ["fixed", "fixed", "branch-shows-it"]
    assert against(answer) == []
    (container,) = team.project.ids()["web"]
    answer = why(team, container)
    assert answer["subject"] == {
        "kind": "container",
        "id": container,
        "environment": f"{team.project.name}/prod",
        "host": "local",
    }
    assert fix[:12] in answer["answer"]
    assert against(answer) == []


def test_a_git_revert_ends_the_hold_without_touching_a_container_and_why_says_so(
    team: Team, images: TestImages
) -> None:
    team.deploys("first")
    team.deploys("bad", web=images.web("v2"))
    team.cli.ok("rollback", "--env", "prod", "--to-previous", seconds=90)
    before, releases = team.project.ids(), team.releases()
    assert "fixed" in against(why(team, "web"))
    revert = team.repository.revert()
    team.look().expect(0)
    assert team.project.ids() == before
    assert team.releases() == releases
    assert team.status()["hold"] is None
    answer = why(team, revert)
    assert against(answer) == ["reverted"]
    assert "needs no Release" in answer["answer"]
    assert_in_log(team, answer)
    assert against(why(team, "web")) == []


def test_what_a_failed_merge_said_last_and_what_is_mended_are_explained(
    team: Team, images: TestImages
) -> None:
    team.deploys("first")
    failed = team.merge("bad", web=images.crashing("v2", line="cannot open the database"))
    team.look().expect(1)
    answer = why(team, failed)
    assert "cannot open the database" in answer["answer"]
    assert "exit code 3" in answer["answer"]
    lost = team.project.ids()["worker"][0]
    for container in team.project.containers():
        if container.id == lost:
            container.remove(force=True)
    team.look().expect(0)
    (made,) = team.project.ids()["worker"]
    answer = why(team, made[:12])
    assert "healed" in answer["answer"]
    assert "drift" in rules(answer)
    assert "was missing later" in why(team, lost)["answer"]
    docs = team.repository.commit({"README.md": "words\n"}, "docs")
    team.look().expect(0)
    assert against(why(team, docs)) == ["same-inputs"]
    for container in team.project.containers():
        container.remove(force=True)
    assert why(team, made[:12])["answer"] == answer["answer"]


def test_why_works_without_an_engine_and_without_git(team: Team) -> None:
    team.deploys("first")
    outcome = team.cli.run(
        "why", "web", "--env", "prod", environment={"DOCKER_HOST": "unix:///nowhere.sock", "PATH": "/nowhere"}
    ).expect(0)
    assert "came because the branch shows" in outcome.stdout
