"""An environment that is taken away, through the installed command and the real engine."""

from __future__ import annotations

from tests.e2e.team import Team
from tests.support.images import TestImages


def test_destroy_shows_then_takes_all_but_the_volumes(team: Team) -> None:
    team.deploys()
    title = f"{team.project.name}/prod"
    before = team.events()
    shown = team.cli.ok("destroy", "--env", "prod", "--dry-run", "--json").json()
    assert sorted(one["service"] for one in shown["hosts"]["local"]["containers"]) == ["web", "worker"]
    unconfirmed = team.cli.run("destroy", "--env", "prod").expect(1)
    assert "confirmation-required" in unconfirmed.stderr
    assert team.events() == before
    answer = team.cli.ok("destroy", "--env", "prod", "--yes", "--json", "--reason", "over").json()
    assert answer["environment"] == title
    assert answer["hosts"]["local"]["networks"] == [f"{team.project.name}-prod_default"]
    assert answer["hosts"]["local"]["volumes"] == []
    assert team.project.containers() == []
    assert team.project.networks() == []
    assert [volume.name for volume in team.project.volumes()] == [f"{team.project.name}-prod_data"]
    status = team.status()
    assert status["destroyed"]["reason"] == "over"
    assert (status["sync"], status["deployed"]["release"]) == ("in-sync", None)
    assert f"{title}: in-sync, destroyed" in team.cli.ok("status", "--env", "prod").stdout


def test_git_brings_it_back_only_with_a_change_and_its_data_is_there(team: Team, images: TestImages) -> None:
    team.deploys()
    team.cli.ok("destroy", "--env", "prod", "--yes")
    team.look().expect(0)
    team.look().expect(0)
    assert team.project.containers() == []
    (volume,) = team.project.volumes()
    made = volume.attrs["CreatedAt"]
    team.deploys(web=images.web("v2"))
    assert team.answer() == "web v2"
    assert [volume.attrs["CreatedAt"] for volume in team.project.volumes()] == [made]


def test_volumes_go_only_with_a_confirmation_of_their_own(team: Team) -> None:
    team.deploys()
    refused = team.cli.run("destroy", "--env", "prod", "--volumes", "--yes").expect(1)
    assert "--yes-volumes" in refused.stderr
    assert len(team.project.containers()) == 2
    team.cli.ok("destroy", "--env", "prod", "--volumes", "--yes", "--yes-volumes")
    assert team.project.volumes() == []
    (asked,) = team.events("DestroyRequested")
    assert asked["data"]["volumes_confirmed"] is True
    (ended,) = team.events("EnvironmentDestroyed")
    assert ended["data"]["hosts"]["local"]["volumes"] == [f"{team.project.name}-prod_data"]
    assert "taken away before" in team.cli.ok("destroy", "--env", "prod").stdout


def test_what_is_gone_from_git_is_kept_until_a_rule_takes_it_and_its_data_stays(team: Team) -> None:
    team.deploys()
    before = team.project.ids()
    controller = team.cli.cwd / "controller.yml"
    controller.write_text(f"policy: {{{team.project.name}: {{removal: {{orphans: remove, grace: 1s}}}}}}\n")
    elsewhere = f"project: {{name: {team.project.name}}}\nenvironments: {{other: {{}}}}\n"
    team.repository.commit(
        {"stagecraft.yml": elsewhere, "compose.yaml": f"services: {{web: {{image: '{team.web}'}}}}\n"}
    )
    look = ("controller", "run", "--once", "--repo", team.repository.origin, "--env", "prod")
    assert "orphaned" in team.cli.run(*look, seconds=90).expect(0).stdout
    assert team.project.ids() == before
    assert team.status()["orphaned"]["together"] == 1
    assert "destroyed" in team.cli.run(*look, "--controller", controller, seconds=90).expect(0).stdout
    assert team.project.containers() == []
    assert len(team.project.volumes()) == 1
