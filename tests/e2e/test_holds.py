"""What a person deploys by hand, and where they are led when they do not know where to go back to."""

from __future__ import annotations

from tests.e2e.team import Team
from tests.support.images import TestImages
from tests.support.repos import git


def test_an_older_commit_that_a_person_deploys_is_held_until_the_branch_shows_it(
    team: Team, images: TestImages
) -> None:
    team.merge("first")
    team.merge("second", web=images.web("v2"))
    outcome = team.cli.run(
        "deploy", "--env", "prod", "--rev", "HEAD~1", cwd=team.repository.work, seconds=90
    ).expect(0)
    assert "held there" in outcome.stderr
    assert "resume --env" in outcome.stderr
    assert team.answer() == "web v1"
    before = team.project.ids()
    team.look().expect(0)
    assert team.answer() == "web v1"
    assert "deployed by hand" in team.status()["hold"]["reason"]
    assert "held" in [one["rule"] for one in team.cli.ok("why", "web", "--json").json()["because_not"]]
    team.repository.revert()
    team.look().expect(0)
    assert team.status()["hold"] is None
    assert team.project.ids() == before


def test_a_rollback_without_a_target_shows_the_commands_that_take_each_good_release(
    team: Team, images: TestImages
) -> None:
    team.deploys("first")
    team.deploys("bad", web=images.web("v2"))
    before = team.events()
    refused = team.cli.run("rollback", "--env", "prod").expect(1)
    assert team.events() == before
    assert " first " in refused.stdout
    command = refused.stdout.splitlines()[-1].partition("stagecraft ")[2].split()
    team.cli.ok(*command, seconds=90)
    assert team.answer() == "web v1"


def test_a_rollback_that_pushes_its_revert_is_over_when_somebody_merges_it(
    team: Team, images: TestImages
) -> None:
    team.deploys("first")
    bad = team.deploys("bad", web=images.web("v2"))
    release = team.releases()[0]["id"]
    outcome = team.cli.run(
        "rollback", "--env", "prod", "--to-previous", "--push", "--reason", "errors",
        cwd=team.repository.work, seconds=90,
    ).expect(0)  # fmt: skip
    assert team.answer() == "web v1"
    branch = f"stagecraft/revert-{release}"
    assert f"pushed {branch} to origin" in outcome.stdout
    assert f"open a merge request from {branch} into main" in outcome.stdout
    assert team.repository.head() == bad
    before, containers = team.events(), team.project.ids()
    team.look().expect(0)
    assert team.events() == before
    git("fetch", "--quiet", "origin", cwd=team.repository.work)
    team.repository.merge(f"origin/{branch}")
    team.look().expect(0)
    assert team.status()["hold"] is None
    assert team.project.ids() == containers


def test_a_push_that_is_refused_leaves_the_rollback_as_it_is(team: Team, images: TestImages) -> None:
    team.deploys("first")
    team.deploys("bad", web=images.web("v2"))
    hook = team.repository.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'read only today' >&2\nexit 1\n")
    hook.chmod(0o755)
    outcome = team.cli.run(
        "rollback", "--env", "prod", "--to-previous", "--push", cwd=team.repository.work, seconds=90
    ).expect(2)
    assert "read only today" in outcome.stderr
    assert "the rollback stands" in outcome.stderr
    assert team.answer() == "web v1"
    assert team.releases()[0]["status"] == "completed"
    assert git("for-each-ref", "refs/heads/stagecraft", cwd=team.repository.origin) == ""
