"""What a person deploys by hand, and where they are led when they do not know where to go back to."""

from __future__ import annotations

from tests.e2e.team import Team
from tests.support.images import TestImages


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
