"""Everything that a user can get wrong, through the installed command: refused clearly, nothing half done.

Each refusal has a stable code, an exit code that says whose matter it is, the place, the reason and a next
step, no traceback and no escape sequence. A table holds what is wrong in the repository or on the command
line; its many commands run in this process, as the console script runs them. What needs an engine, a second
process or a history stands below it, one test each, with the installed command.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker.client import DockerClient

from cli.main import run
from controller.bootstrap import open_log
from controller.home import Home
from tests.e2e.bad_input import CASES, PROJECT, Case, project_files, quoted
from tests.e2e.team import Team
from tests.support.cli import Outcome, Stagecraft
from tests.support.daemons import running_daemon
from tests.support.engine_proxy import hanging_engine, renamed_engine
from tests.support.images import TestImages
from tests.support.repos import Repository, git

LONGEST_SCREEN = 8_000  # characters: what a person sees of 10 kB of nonsense is bounded
HANG_SECONDS = 60.0  # far more than the deadline of the first question to an engine
GONE = "unix:///nonexistent/docker.sock"


@pytest.fixture
def inside(repository: Repository, tmp_path: Path) -> Stagecraft:
    """The command, run inside the working clone."""
    return Stagecraft(cwd=repository.work, environment={"STAGECRAFT_HOME": str(tmp_path / "home")})


def _refused(outcome: Outcome, code: int, *says: str) -> None:
    """The screen is what a user should read."""
    outcome.expect(code)
    for words in says:
        assert words in outcome.stderr, outcome.stderr[:2000]
    assert f"error: {says[0]}: " in outcome.stderr
    for never in ("Traceback", "internal-error", "\x1b"):
        assert never not in outcome.stdout + outcome.stderr
    assert len(outcome.stderr) < LONGEST_SCREEN


def _events(cli: Stagecraft) -> list[str]:
    return [event["type"] for event in cli.ok("events", "list", "--json").json_lines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.item} {' '.join(case.command[:2])}")
def test_bad_input_is_refused_and_nothing_is_recorded(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    git("init", "--quiet", cwd=work)
    Repository(origin=work, work=work).commit(case.files, push=False)
    monkeypatch.chdir(work)
    monkeypatch.setenv("STAGECRAFT_HOME", str(tmp_path / "home"))
    code = run(case.command)
    screen = capsys.readouterr()
    outcome = Outcome(arguments=case.command, code=code, stdout=screen.out, stderr=screen.err)
    _refused(outcome, case.exit_code, *case.says)
    assert "\n  next: " in outcome.stderr or "\n  where: " in outcome.stderr
    with open_log(Home(tmp_path / "home")) as log:
        assert log is None or log.head() == 0
    assert git("status", "--porcelain", cwd=work) == ""


def test_an_empty_repository_is_said_and_nothing_is_recorded(
    repository: Repository, inside: Stagecraft
) -> None:
    look = inside.run("controller", "run", "--once", "--repo", repository.origin)
    _refused(look, 1, "repository-empty", "has no branch", "next: git push origin main")
    _refused(inside.run("plan", "--env", "prod"), 1, "repository-empty", "next: git commit")
    _refused(inside.run("deploy", "--env", "prod"), 1, "repository-empty")
    assert _events(inside) == []


def test_outside_of_a_repository_is_said(cli: Stagecraft) -> None:
    for command in ("plan", "deploy"):
        _refused(cli.run(command, "--env", "prod"), 1, "repository-required", "next: run it inside")


def test_a_branch_that_is_lost_leaves_what_runs_and_says_so(team: Team) -> None:
    team.deploys("first")
    before, containers = team.events(), team.project.ids()
    git("update-ref", "-d", "refs/heads/main", cwd=team.repository.origin)
    _refused(team.look(), 1, "repository-empty", "has no branch", "next: git push origin main")
    git("push", "--quiet", "origin", "HEAD:refs/heads/other", cwd=team.repository.work)
    _refused(team.look(), 1, "branch-missing", "has no branch 'main'; it has other", "next: git push")
    assert team.events() == before
    assert team.project.ids() == containers
    assert team.answer() == "web v1"
    assert team.status()["sync"] == "in-sync"


def test_a_repository_that_is_rewritten_is_recorded_and_followed_where_that_is_allowed(
    team: Team, images: TestImages
) -> None:
    first = team.deploys("first")
    second = team.deploys("second", web=images.web("v2"))
    git("reset", "--quiet", "--hard", first, cwd=team.repository.work)
    team.repository.push("--force")
    _refused(team.look(), 1, "history-rewritten", f"does not follow {second[:12]}", "allow_rewrite")
    rewritten = team.events("HistoryRewritten")[-1]["data"]
    assert (rewritten["previous"], rewritten["revision"]) == (second, first)
    assert team.answer() == "web v2"
    shown = team.cli.ok("status", "--env", "prod").stdout
    assert f"refused   {first[:12]}: history-rewritten: " in shown
    team.lists("allow_rewrite: true")
    team.look().expect(0)
    assert team.answer() == "web v1"
    assert "refused" not in team.cli.ok("status", "--env", "prod").stdout


def test_an_engine_that_is_gone_is_named_with_a_way_out(team: Team) -> None:
    team.deploys("first")
    before = team.events()
    away = {"DOCKER_HOST": GONE}
    status = team.cli.run("status", "--env", "prod", "--live", environment=away).expect(0)
    assert "not reachable" in status.stdout
    assert GONE in status.stdout
    _refused(
        team.cli.run("logs", "--env", "prod", environment=away),
        2,
        "engine-unreachable",
        GONE,
        "docker version",
    )
    inside = Stagecraft(cwd=team.repository.work, environment={**team.cli.environment, **away})
    inside.ok("plan", "--env", "prod")
    deploy = inside.run("deploy", "--env", "prod")
    _refused(deploy, 2, "engine-unreachable", GONE, "next: ")
    release = team.events("DeployRequested")[-1]["data"]["release"]
    assert f"{release} has no verdict yet, it is pending; a controller, or the next" in deploy.stderr
    types = [event["type"] for event in team.events()[len(before) :]]
    assert types == ["DeployRequested", "HostUnreachable"]
    assert team.answer() == "web v1"
    team.look().expect(0)
    assert team.status()["sync"] == "in-sync"


@pytest.fixture
def hanging(tmp_path: Path) -> Generator[dict[str, str]]:
    """Variables that lead to an engine which never answers."""
    with hanging_engine(tmp_path / "hanging.sock") as address:
        yield {"DOCKER_HOST": address}


def test_an_engine_that_hangs_meets_a_deadline(team: Team, hanging: dict[str, str]) -> None:
    team.deploys("first")
    before = team.events()
    inside = Stagecraft(cwd=team.repository.work, environment={**team.cli.environment, **hanging})
    inside.ok("plan", "--env", "prod", seconds=HANG_SECONDS)
    inside.ok("status", "--env", "prod", seconds=HANG_SECONDS)
    commands = (("deploy", "--env", "prod"), ("status", "--env", "prod", "--live"), ("doctor",))

    def run(command: tuple[str, ...]) -> Outcome:
        return inside.run(*command, seconds=HANG_SECONDS)

    with ThreadPoolExecutor() as side_by_side:
        deploy, live, doctor = side_by_side.map(run, commands)
    _refused(deploy, 2, "engine-unreachable", hanging["DOCKER_HOST"], "said nothing for 10 s", "next: ")
    assert "not reachable" in live.expect(0).stdout
    assert "FAIL  engine" in doctor.expect(2).stdout
    types = [event["type"] for event in team.events()[len(before) :]]
    assert types == ["DeployRequested", "HostUnreachable"]
    assert team.answer() == "web v1"


def test_a_second_controller_is_refused_and_told_who_the_first_is(team: Team) -> None:
    team.merge()
    arguments = ("--repo", str(team.repository.origin))
    with running_daemon(team.cli, *arguments) as first:
        first.says("completed after")
        before = team.events()
        second = team.cli.run("controller", "run", *arguments, seconds=HANG_SECONDS)
        _refused(second, 2, "controller-running", f"held by process {first.process.pid}", "--home DIR")
        assert first.end() == 0
    assert team.events() == before


def test_a_home_of_another_machine_is_refused_until_it_is_rebound(
    team: Team, engine: DockerClient, tmp_path: Path
) -> None:
    team.deploys("first")
    before, containers = team.events(), team.project.ids()
    with renamed_engine(tmp_path / "other.sock", engine.info()["ID"]) as address:
        other = Stagecraft(
            cwd=team.repository.work, environment={**team.cli.environment, "DOCKER_HOST": address}
        )
        look = ("controller", "run", "--once", "--repo", str(team.repository.origin))
        team.merge(greeting="changed")
        for command in (look, ("deploy", "--env", "prod")):
            refused = other.run(*command, seconds=HANG_SECONDS)
            _refused(
                refused, 2, "host-is-another-machine", "next: ", "stagecraft hosts rebind local --reason"
            )
        assert team.project.ids() == containers
        assert "ReleaseStarted" not in team.types()[len(before) :]
        unknown = other.run("hosts", "rebind", "elsewhere", "--reason", "moved")
        _refused(unknown, 1, "host-name-unknown", "known hosts: local", "next: ")
        _refused(other.run("hosts", "rebind", "local", "--reason", " "), 1, "reason-required", "next: ")
        assert "would mean" in other.ok("hosts", "rebind", "local", "--reason", "moved", "--dry-run").stdout
        assert "HostRebound" not in team.types()
        assert "local means the engine" in other.ok("hosts", "rebind", "local", "--reason", "moved").stdout
        other.run(*look, seconds=HANG_SECONDS).expect(0)
        assert "nothing changed" in other.ok("hosts", "rebind", "local", "--reason", "again").stdout
    (rebound,) = team.events("HostRebound")
    assert rebound["data"]["reason"] == "moved"
    assert rebound["actor"]["kind"] == "cli"
    assert team.answer() == "web v1"


@contextlib.contextmanager
def _newer(file: Path) -> Generator[int]:
    """The file as a newer program would have left it, with its version."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version + 1}")
        database.commit()
    yield version + 1
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (version + 1,)
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()


def test_a_log_from_a_newer_version_is_refused_and_left_as_it_is(
    repository: Repository, inside: Stagecraft, tmp_path: Path
) -> None:
    repository.commit({"stagecraft.yml": "project: {name: x, nmae: y}\n"})
    look = ("controller", "run", "--once", "--repo", str(repository.origin))
    inside.run(*look).expect(1)
    recorded, home = _events(inside), tmp_path / "home"
    assert recorded
    with _newer(home / "events.db") as version:
        before = _content(home)
        for command in (
            ("status", "--env", "prod"),
            ("events", "list"),
            ("releases", "list"),
            ("deploy", "--env", "prod"),
            ("rollback", "--env", "prod", "--to-previous"),
            ("hold", "--env", "prod", "--reason", "x"),
            ("lock", "show"),
            look,
            look[:2] + look[3:],
        ):
            repository.commit(project_files(PROJECT))
            refused = inside.run(*command)
            words = ("events.db", f"has version {version}", "next: upgrade this Stagecraft")
            _refused(refused, 2, "log-too-new", *words)
        inside.run("doctor").expect(2)
        assert _content(home) == before
    assert _events(inside) == recorded


def _content(folder: Path) -> dict[str, bytes]:
    """All files below a folder, those of running processes aside."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "run" not in path.relative_to(folder).parts
    }


def test_compose_services_with_odd_names_are_deployed(team: Team) -> None:
    compose = "services:\n" + "".join(
        f"  ? {quoted(name)}\n  : {{image: '{team.worker}', stop_grace_period: 1s}}\n"
        for name in ("..", "Web", "_x_", "9" * 50)
    )
    file = f"project:\n  name: {team.project.name}\nenvironments:\n  prod:\n    gate: {{settle: 300ms}}\n"
    team.repository.commit({"stagecraft.yml": file, "compose.yaml": compose})
    team.look().expect(0)
    assert team.releases()[0]["status"] == "completed"
