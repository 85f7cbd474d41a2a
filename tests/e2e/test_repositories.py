"""Several repositories and branches in `controller.yml`, on the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.team import Team
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.daemons import running_daemon
from tests.support.images import TestImages
from tests.support.processes import wait_until
from tests.support.repos import Repository

PROJECT = "project: {{name: {name}}}\nenvironments:\n{environments}"
ENVIRONMENT = "  {name}: {{gate: {{settle: 300ms, deadline: 15s}}}}\n"
COMPOSE = "services: {{worker: {{image: {image}, stop_grace_period: 1s}}}}\n"
SETTINGS = "poll: {{interval: 300ms, jitter: 50ms, longest: 1s}}\nrepositories:\n{entries}"


def merge(repository: Repository, project: EngineProject, image: str, *environments: str) -> str:
    """Commit a worker of this image in these environments."""
    listed = "".join(ENVIRONMENT.format(name=name) for name in environments)
    return repository.commit(
        {
            "stagecraft.yml": PROJECT.format(name=project.name, environments=listed),
            "compose.yaml": COMPOSE.format(image=image),
        }
    )


def runs(project: EngineProject, environment: str) -> list[str]:
    """The images that run in an environment."""
    found = [
        one
        for one in project.containers()
        if one.labels.get("stagecraft.environment") == environment and one.status == "running"
    ]
    return [str(one.attrs["Config"]["Image"]).rpartition("/")[2] for one in found]


def listing(folder: Path, *entries: str) -> Path:
    """A `controller.yml` with these entries, and its path."""
    path = folder / "controller.yml"
    path.write_text(SETTINGS.format(entries="".join(f"  - {{{entry}}}\n" for entry in entries)))
    return path


@pytest.fixture
def second(tmp_path: Path) -> Repository:
    """Another repository."""
    return Repository.create(tmp_path / "second")


def deployed(cli: Stagecraft, title: str) -> str | None:
    """The commit that the log says is deployed."""
    found: str | None = cli.ok("status", "--env", title, "--json").json()["deployed"]["revision"]
    return found


def test_a_repository_that_fails_delays_no_other_and_is_deployed_when_it_comes(
    repository: Repository,
    second: Repository,
    cli: Stagecraft,
    engine_project: EngineProject,
    images: TestImages,
) -> None:
    first_image, next_image = images.web("v1", name="worker"), images.web("v2", name="worker")
    away = second.origin.with_name("away.git")
    later = merge(second, engine_project, first_image, "staging")
    second.origin.rename(away)
    merge(repository, engine_project, first_image, "prod")
    settings = listing(cli.cwd, f"url: {second.origin}", f"url: {repository.origin}")
    with running_daemon(cli, "--controller", settings) as daemon:
        daemon.says("no Git repository at")
        daemon.says("completed after", seconds=60)
        newest = merge(repository, engine_project, next_image, "prod")
        daemon.says("completed after", times=2, seconds=60)
        broken, working = cli.ok("repositories", "list", "--json", "--controller", settings).json()
        assert (broken["freshness_seconds"], broken["last_seen_revision"]) == (None, None)
        assert (broken["environments"], broken["branch"]) == ([], "main")
        title = f"{engine_project.name}/prod"
        assert (working["environments"], working["last_seen_revision"]) == ([title], newest)
        assert 0 <= working["freshness_seconds"] < 60
        assert (broken["url"], working["url"]) == (str(second.origin), str(repository.origin))
        away.rename(second.origin)
        daemon.says("the repository answers again")
        daemon.says("completed after", times=3, seconds=60)
        assert daemon.end() == 0
    assert deployed(cli, f"{engine_project.name}/staging") == later
    assert deployed(cli, title) == newest


def test_branches_of_one_repository_have_environments_of_their_own(
    repository: Repository, cli: Stagecraft, engine_project: EngineProject, images: TestImages
) -> None:
    one, other = images.web("v1", name="worker"), images.web("v2", name="worker")
    main = merge(repository, engine_project, one, "prod", "staging")
    repository.branch("next")
    ahead = merge(repository, engine_project, other, "prod", "staging")
    url = f"url: {repository.origin}"
    settings = listing(
        cli.cwd, f"{url}, environments: [prod]", f"{url}, branch: next, environments: [staging]"
    )
    name = engine_project.name
    with running_daemon(cli, "--controller", settings) as daemon:
        daemon.says("completed after", times=2, seconds=60)
        rows = cli.ok("repositories", "list", "--json", "--controller", settings).json()
        assert [(row["branch"], row["environments"]) for row in rows] == [
            ("main", [f"{name}/prod"]),
            ("next", [f"{name}/staging"]),
        ]
        assert (deployed(cli, f"{name}/prod"), deployed(cli, f"{name}/staging")) == (main, ahead)
        newer = repository.commit({"compose.yaml": COMPOSE.format(image=one)})
        daemon.says("completed after", times=3, seconds=60)
        wait_until("the push to next", lambda: deployed(cli, f"{name}/staging") == newer, seconds=60)
        assert deployed(cli, f"{name}/prod") == main
        assert daemon.end() == 0


def test_once_looks_at_every_branch_and_its_exit_code_tells_of_the_worst(
    repository: Repository, cli: Stagecraft, engine_project: EngineProject, images: TestImages
) -> None:
    image = images.web("v1", name="worker")
    merge(repository, engine_project, image, "prod")
    repository.branch("broken")
    repository.commit({"stagecraft.yml": "project: ["})
    repository.switch("main")
    url = f"url: {repository.origin}"
    settings = listing(cli.cwd, f"{url}, branch: broken", f"{url}, branch: gone", url)
    found = cli.run("controller", "run", "--once", "--controller", settings, seconds=90).expect(1)
    assert "config-invalid" in found.stderr
    assert "branch-missing" in found.stderr
    assert f"{engine_project.name}/prod: rel-" in found.stdout
    assert len(runs(engine_project, "prod")) == 1
    cli.run("controller", "run", "--once", "--controller", settings, "--env", "nowhere", seconds=90).expect(1)


def test_a_second_branch_for_an_environment_is_told_and_left_out(
    team: Team, cli: Stagecraft, images: TestImages
) -> None:
    main = team.deploys("first")
    team.repository.branch("next")
    team.merge("ahead", web=images.web("v2"))
    url = f"url: {team.repository.origin}"
    settings = listing(cli.cwd, url, f"{url}, branch: next")
    for _ in range(2):
        cli.run("controller", "run", "--once", "--controller", settings, seconds=90).expect(0)
    assert team.answer() == "web v1"
    (told,) = team.events("EnvironmentLeftOut")
    assert (told["data"]["ref"], told["data"]["owner_ref"]) == ("refs/heads/next", "refs/heads/main")
    assert team.status()["git"]["revision"] == main


def test_a_list_that_names_a_branch_twice_is_refused_with_its_place(cli: Stagecraft) -> None:
    settings = listing(cli.cwd, "url: /srv/a.git", "url: /srv/b.git", "url: /srv/./a.git, branch: main")
    for command in (("controller", "run", "--once"), ("config", "check")):
        refused = cli.run(*command, "--controller", settings).expect(1)
        said = refused.stdout + refused.stderr
        assert "controller.yml:5:" in said
        assert "listed already, in repositories[0]" in said


def test_with_nothing_to_watch_it_says_what_to_do(cli: Stagecraft) -> None:
    refused = cli.run("controller", "run", "--once").expect(1)
    assert "repositories-none" in refused.stderr
    assert "--repo URL" in refused.stderr
    assert cli.ok("repositories", "list", "--json").json() == []
