"""From a merge to running containers and back, through the installed command and the real engine."""

from __future__ import annotations

import shutil

from tests.e2e.team import Team
from tests.support.images import TestImages


def test_a_merge_ends_in_running_containers_and_a_record(team: Team) -> None:
    revision = team.deploys("first")
    assert team.answer() == "web v1"
    assert sorted(team.project.ids()) == ["web", "worker"]
    (release,) = team.releases()
    assert (release["status"], release["kind"], release["version"], release["revision"]) == (
        "completed",
        "deploy",
        revision,
        revision,
    )
    status = team.status()
    assert (status["sync"], status["health"]) == ("in-sync", "healthy")
    assert status["deployed"]["release"] == release["id"]
    assert status["git"]["revision"] == revision
    shown = {service["name"]: service for service in status["hosts"][0]["services"]}
    assert [one["id"] for one in shown["web"]["containers"]] == team.project.ids()["web"]
    phases = team.release(release["id"])["phases"]
    assert [phase["name"] for phase in phases] == [
        "build",
        "push",
        "migrate_pre",
        "rollout",
        "migrate_post",
        "finalize",
    ]
    assert {phase["status"] for phase in phases} == {"completed"}


def test_an_idle_look_appends_nothing_and_starts_no_compose(team: Team, images: TestImages) -> None:
    team.deploys()
    before = team.events()
    unused = images.web("never-used")
    assert unused not in str(before)
    team.look().expect(0)
    assert team.events() == before


def test_a_merge_replaces_the_changed_service_alone(team: Team, images: TestImages) -> None:
    team.deploys()
    before = team.project.ids()
    team.deploys(web=images.web("v2"))
    after = team.project.ids()
    assert team.answer() == "web v2"
    assert after["worker"] == before["worker"]
    assert after["web"] != before["web"]
    (exchange,) = [
        event["data"]
        for event in team.events("ServiceReplaced")
        if event["data"]["service"] == "web" and event["data"]["old_ids"]
    ]
    assert (exchange["old_ids"], exchange["new_ids"]) == (before["web"], after["web"])


def test_a_job_runs_once_for_each_of_its_hashes(team: Team, images: TestImages) -> None:
    def runs() -> int:
        return len(team.events("JobCompleted"))

    team.deploys()
    assert runs() == 1
    team.deploys(web=images.web("v2"))
    assert runs() == 1
    team.deploys(migrate=images.job("v2"))
    assert runs() == 2
    assert not [container for container in team.project.containers() if container.status == "exited"]


def test_a_revert_brings_the_recorded_manifest_back_although_the_tag_is_gone(
    team: Team, images: TestImages
) -> None:
    first_image = team.web
    team.deploys("first")
    (first,) = team.releases()
    team.deploys("second", web=images.web("v2"))
    images.remove(first_image)
    revision = team.repository.revert()
    renders = team.types().count("ManifestRendered")
    team.look().expect(0)
    revert, second, _ = team.releases()
    assert team.answer() == "web v1"
    assert (revert["kind"], revert["status"], revert["revision"]) == ("revert", "completed", revision)
    assert revert["digest"] == first["digest"]
    assert team.types().count("ManifestRendered") == renders
    shown = team.release(revert["id"])
    assert shown["images"] == team.release(first["id"])["images"]
    assert shown["reverts"] == second["id"]


def test_a_revert_runs_the_old_bytes_although_the_tag_moved(team: Team, images: TestImages) -> None:
    team.deploys("first")
    team.deploys("second", web=images.web("v2"))
    images.make(
        "web", "v1", command=["/bin/serve", "moved"], files={"bin/serve": "#!/bin/sh\nexec /bin/sleep 1000\n"}
    )
    team.repository.revert()
    team.look().expect(0)
    assert team.answer() == "web v1"


def test_a_rollback_goes_back_survives_the_next_look_and_goes_further_back(
    team: Team, images: TestImages
) -> None:
    team.deploys("first")
    team.deploys("second", web=images.web("v2"))
    team.deploys("third", web=images.web("v3"))
    team.cli.ok("rollback", "--env", "prod", "--to-previous", seconds=90)
    assert team.answer() == "web v2"
    before = team.events()
    team.look().expect(0)
    assert team.events() == before
    assert team.answer() == "web v2"
    assert team.status()["hold"] is not None
    team.cli.ok("rollback", "--env", "prod", "--to-previous", seconds=90)
    assert team.answer() == "web v1"
    assert [one["kind"] for one in team.releases()] == ["rollback", "rollback", "deploy", "deploy", "deploy"]


def test_an_unrelated_merge_does_not_bring_the_bad_service_back_and_a_fix_does(
    team: Team, images: TestImages
) -> None:
    team.deploys("first")
    team.deploys("bad", web=images.web("v2"))
    team.cli.ok("rollback", "--env", "prod", "--to-previous", seconds=90)
    team.merge("unrelated", worker=images.web("v2", name="worker"))
    team.look().expect(0)
    assert team.answer() == "web v1"
    assert team.types()[-1] == "DeployDeferred"
    team.merge("fix", web=images.web("v3"))
    team.look().expect(0)
    assert team.answer() == "web v3"
    assert team.status()["hold"] is None


def test_resume_lets_what_was_held_pass(team: Team, images: TestImages) -> None:
    team.deploys("first")
    team.cli.ok("hold", "--env", "prod", "--reason", "release party")
    team.merge("second", web=images.web("v2"))
    team.look().expect(0)
    assert team.answer() == "web v1"
    assert team.status()["hold"]["reason"] == "release party"
    team.cli.ok("resume", "--env", "prod")
    team.look().expect(0)
    assert team.answer() == "web v2"


def test_a_suspended_environment_is_left_alone_until_its_suspend_ends(team: Team, images: TestImages) -> None:
    team.deploys("first")
    (web,) = team.project.ids()["web"]
    team.cli.ok("suspend", "--env", "prod", "--reason", "moving", "--until", "48h")
    team.cli.ok("hold", "--env", "prod", "--reason", "party")
    for container in team.project.containers():
        if container.id == web:
            container.remove(force=True)
    team.merge("second", web=images.web("v2"))
    team.look().expect(0)
    assert "web" not in team.project.ids()
    shown = team.status()
    assert (shown["suspended"]["reason"], shown["hold"]["reason"]) == ("moving", "party")
    assert "resume --suspend" in team.cli.run("resume", "--env", "prod").expect(1).stderr
    team.cli.ok("resume", "--env", "prod", "--suspend")
    team.look().expect(0)
    assert team.answer() == "web v1"
    team.cli.ok("resume", "--env", "prod", "--hold")
    team.look().expect(0)
    assert team.answer() == "web v2"


def test_a_person_deploys_a_commit_of_the_enclosing_repository(team: Team) -> None:
    revision = team.merge("first")
    outcome = team.cli.run("deploy", "--env", "prod", cwd=team.repository.work, seconds=90).expect(0)
    assert "completed" in outcome.stdout
    assert team.answer() == "web v1"
    assert team.releases()[0]["revision"] == revision
    again = team.cli.run("deploy", "--env", "prod", cwd=team.repository.work, seconds=90).expect(0)
    assert "completed" in again.stdout
    assert len(team.releases()) == 2


def test_a_container_that_a_person_removed_comes_back(team: Team) -> None:
    team.deploys()
    worker = team.project.ids()["worker"]
    for container in team.project.containers():
        if container.id == worker[0]:
            container.remove(force=True)
    team.look().expect(0)
    assert len(team.project.ids()["worker"]) == 1
    assert team.types()[-1] == "DriftHealed"


def test_a_service_that_left_the_project_is_removed_and_its_volume_stays(team: Team) -> None:
    team.deploys()
    compose = team.repository.work / "compose.yaml"
    text = compose.read_text()
    start, end = text.index("  worker:"), text.index("  migrate:\n    image")
    team.repository.commit({"compose.yaml": text[:start] + text[end:]}, "no worker")
    team.look().expect(0)
    assert sorted(team.project.ids()) == ["web"]
    assert len(team.project.volumes()) == 1


def test_history_and_status_come_back_equal_after_their_files_are_deleted(team: Team) -> None:
    team.deploys()
    home = team.cli.cwd / "home"
    before = team.releases(), team.cli.ok("releases", "show", team.releases()[0]["id"]).stdout
    (home / "views.db").unlink()
    after = team.releases(), team.cli.ok("releases", "show", team.releases()[0]["id"]).stdout
    assert after == before


def test_nothing_but_the_log_and_the_blobs_is_needed_to_roll_back(team: Team, images: TestImages) -> None:
    team.deploys("first")
    team.deploys("second", web=images.web("v2"))
    shutil.rmtree(team.repository.origin)
    shutil.rmtree(team.cli.cwd / "home" / "mirrors")
    team.cli.ok("rollback", "--env", "prod", "--to-previous", seconds=90)
    assert team.answer() == "web v1"


def test_a_dry_run_of_a_look_shows_the_plan_and_does_nothing(team: Team) -> None:
    team.merge("first")
    shown = team.cli.ok(
        "controller", "run", "--once", "--dry-run", "--repo", team.repository.origin, "--branch", "main"
    )
    assert "+ local/web: new" in shown.stdout
    assert team.project.containers() == []
    assert not (team.cli.cwd / "home").exists()
