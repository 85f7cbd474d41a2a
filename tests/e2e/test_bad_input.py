"""Everything that a user can get wrong, through the installed command: refused clearly, nothing half done.

Each refusal has a stable code, an exit code that says whose matter it is, the place, the reason and a next
step, no traceback and no escape sequence. A table holds what is wrong in the repository or on the command
line; its many commands run in this process, as the console script runs them. What needs an engine, a second
process or a history stands below it, one test each, with the installed command.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from docker.client import DockerClient

from cli.main import run
from controller.bootstrap import open_log
from controller.home import Home
from tests.e2e.team import Team
from tests.support.cli import Outcome, Stagecraft
from tests.support.daemons import running_daemon
from tests.support.engine_proxy import hanging_engine, renamed_engine
from tests.support.images import TestImages
from tests.support.repos import Repository, git

PROJECT = "project:\n  name: shop\nenvironments:\n  prod: {}\n  staging: {}\n"
COMPOSE = "services:\n  web:\n    image: shop/web:v1\n"
HOSTED = "project:\n  name: shop\nhosts:\n  front: [local]\nenvironments:\n  prod: {}\n"
LONG = "x" * 10_000
RED = "a\x1b[31mred\x1b[0m"
LONGEST_SCREEN = 8_000  # characters: what a person sees of 10 kB of nonsense is bounded
GONE = "unix:///nonexistent/docker.sock"
HANG_SECONDS = 60.0  # far more than the deadline of the first question to an engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is wrong, and what its user reads."""

    item: str  # of the list of bad input
    says: tuple[str, ...]  # words on the screen, the code first
    files: Mapping[str, str | bytes | None] = field(default_factory=dict[str, "str | bytes | None"])
    command: tuple[str, ...] = ("plan", "--env", "prod")
    exit_code: int = 1


def _project(text: str) -> dict[str, str | bytes | None]:
    return {"stagecraft.yml": text, "compose.yaml": COMPOSE}


def _quoted(name: str) -> str:
    return json.dumps(name)


CASES = (
    Case(
        item="a missing stagecraft.yml",
        files={"compose.yaml": COMPOSE},
        says=("config-not-found", "config not found at stagecraft.yml", "next: stagecraft init"),
    ),
    Case(
        item="a missing stagecraft.yml, deployed",
        files={"compose.yaml": COMPOSE},
        command=("deploy", "--env", "prod"),
        says=("config-not-found", "config not found at stagecraft.yml"),
    ),
    Case(
        item="a missing stagecraft.yml, asked for its status",
        files={"compose.yaml": COMPOSE},
        command=("status",),
        says=("environment-required", "there is no project file here", "next: stagecraft init"),
    ),
    Case(
        item="a directory for stagecraft.yml",
        files={"stagecraft.yml/inside": "x\n", "compose.yaml": COMPOSE},
        says=(
            "config-not-found",
            "config not found at stagecraft.yml: it is a folder",
            "take the folder away",
        ),
    ),
    Case(
        item="a directory for stagecraft.yml, at init",
        files={"stagecraft.yml/inside": "x\n"},
        command=("init", "--non-interactive"),
        says=("not-a-file", "stagecraft.yml is a folder", "next: "),
    ),
    Case(
        item="a malformed stagecraft.yml",
        files=_project("project:\n  name: [shop\n"),
        says=("config-invalid", "not a configuration file", "where: stagecraft.yml:3:1"),
    ),
    Case(
        item="a malformed stagecraft.yml, asked for its status",
        files=_project("project:\n  name: [shop\n"),
        command=("status", "--env", "prod"),
        says=("environment-unknown", "not a configuration file", "next: correct the file"),
    ),
    Case(
        item="a stagecraft.yml that is no text",
        files={"stagecraft.yml": b"\xff\xfe\x00\x01", "compose.yaml": COMPOSE},
        says=("config-invalid", "stagecraft.yml:1:1"),
    ),
    Case(
        item="an unknown key",
        files=_project(f"{PROJECT}servces: {{}}\n"),
        says=(
            "config-invalid",
            "unknown key 'servces'; did you mean 'services'?",
            "where: stagecraft.yml:6:1",
        ),
    ),
    Case(
        item="an unknown environment",
        files=_project(PROJECT),
        command=("deploy", "--env", "prdo"),
        says=("environment-unknown", "did you mean 'prod'?", "known environments: prod, staging", "next: "),
    ),
    Case(
        item="an unknown environment, asked for its status",
        files=_project(PROJECT),
        command=("status", "--env", "prdo"),
        says=(
            "environment-unknown",
            "did you mean 'prod'?",
            "known environments: shop/prod, shop/staging",
            "next: stagecraft status",
        ),
    ),
    Case(
        item="a service without a role where hosts are given",
        files=_project(HOSTED),
        says=(
            "config-invalid",
            "service 'web': unknown role 'app' (allowed: front)",
            "key services.web.role",
        ),
    ),
    Case(
        item="a service that is not in Compose",
        files=_project(f"{PROJECT}services:\n  wbe: {{}}\n"),
        says=("config-invalid", "unknown service 'wbe'; did you mean 'web'?", "where: stagecraft.yml:7:3"),
    ),
    Case(
        item="a repository that does not exist",
        files=_project(PROJECT),
        command=("controller", "run", "--once", "--repo", "nowhere.git"),
        says=("repository-missing", "nowhere.git", "next: git init, or name the repository's path"),
    ),
    Case(
        item="a repository that is a file",
        files=_project(PROJECT),
        command=("controller", "run", "--once", "--repo", "compose.yaml"),
        says=("repository-missing", "compose.yaml"),
    ),
    Case(
        item="a repository without a name",
        files=_project(PROJECT),
        command=("controller", "run", "--once", "--repo", ""),
        says=("repository-url-refused", "it is empty"),
    ),
    Case(
        item="a server that does not answer",
        files=_project(PROJECT),
        command=("controller", "run", "--once", "--repo", "http://127.0.0.1:9/shop.git"),
        says=("git-unreachable", "http://127.0.0.1:9/shop.git", "next: git ls-remote"),
        exit_code=2,
    ),
    *(
        Case(
            item=f"an environment called {name[:12]!r}",
            files=_project(PROJECT),
            command=(*command, "--env", name),
            says=("environment-unknown", "known environments: "),
        )
        for name in ("a/b", "..", "../../etc", RED, LONG, "")
        for command in (("status",), ("deploy",), ("lock", "show"), ("hold", "--reason", "x"))
    ),
    *(
        Case(
            item=f"a project called {name[:12]!r}",
            files=_project(f"project:\n  name: {_quoted(name)}\nenvironments:\n  prod: {{}}\n"),
            says=("config-invalid", "a name has lower-case letters", "key project.name"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    *(
        Case(
            item=f"a declared environment called {name[:12]!r}",
            files=_project(f"project:\n  name: shop\nenvironments:\n  ? {_quoted(name)}\n  : {{}}\n"),
            says=("config-invalid", "a name has lower-case letters", "stagecraft.yml:4"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    *(
        Case(
            item=f"a host called {name[:12]!r}",
            files=_project(
                f"project:\n  name: shop\nhosts:\n  app: [{_quoted(name)}]\nenvironments:\n  prod: {{}}\n"
            ),
            says=("config-invalid", "a host name has letters", "key hosts.app[0]"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    *(
        Case(
            item=f"a Compose service called {name[:12]!r}",
            files={
                "stagecraft.yml": PROJECT,
                "compose.yaml": f"services:\n  ? {_quoted(name)}\n  : {{image: 'shop/web:v1'}}\n",
            },
            says=("compose-invalid", "next: docker compose config"),
        )
        for name in ("a/b", RED)
    ),
    *(
        Case(
            item=f"a version called {name[:12]!r}",
            files=_project(PROJECT),
            command=(command, "--env", "prod", "--version", name),
            says=("version-invalid", "image tag", "next: "),
        )
        for name in ("a/b", "..", RED, LONG)
        for command in ("plan", "deploy")
    ),
    *(
        Case(
            item=f"a commit called {name[:12]!r}",
            files=_project(PROJECT),
            command=("plan", "--env", "prod", "--rev", name),
            says=("revision-missing", "next: git log"),
        )
        for name in ("a//b", "...x", RED, LONG, "--output=x")
    ),
    *(
        Case(
            item=f"a branch called {name[:12]!r}",
            files=_project(PROJECT),
            command=("controller", "run", "--once", "--repo", ".", "--branch", name),
            says=("branch-missing", "next: git "),
        )
        for name in ("a/b", "..", RED, LONG, "", "-x")
    ),
    *(
        Case(
            item=f"a Release called {name[:12]!r}",
            files=_project(PROJECT),
            command=("releases", "show", "--", name),
            says=("release-not-found", "next: stagecraft releases list"),
        )
        for name in ("a/b", "..", RED, LONG)
    ),
    Case(
        item="a repository of 10 kB",
        files=_project(PROJECT),
        command=("controller", "run", "--once", "--repo", LONG),
        says=("repository-url-refused", "longer than"),
    ),
    Case(
        item="a repository with a part that is too long",
        files=_project(PROJECT),
        command=("controller", "run", "--once", "--repo", f"/tmp/{LONG[:300]}"),  # noqa: S108  # never made
        says=("repository-missing",),
    ),
    Case(
        item="a repository in colour",
        files=_project(PROJECT),
        command=("controller", "run", "--once", "--repo", RED),
        says=("repository-url-refused", "control characters"),
    ),
    Case(
        item="a home of 10 kB",
        files=_project(PROJECT),
        command=("status", "--home", LONG),
        says=("home-unusable", "next: name another with --home DIR"),
        exit_code=2,
    ),
    Case(
        item="a project file of 10 kB",
        files=_project(PROJECT),
        command=("plan", "--env", "prod", "--config", LONG),
        says=("config-not-found",),
    ),
    Case(
        item="a project file outside",
        files=_project(PROJECT),
        command=("plan", "--env", "prod", "--config", "../stagecraft.yml"),
        says=("config-outside-repository", "next: "),
    ),
)


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


def test_a_repository_that_is_rewritten_is_followed_and_recorded(team: Team, images: TestImages) -> None:
    first = team.deploys("first")
    second = team.deploys("second", web=images.web("v2"))
    git("reset", "--quiet", "--hard", first, cwd=team.repository.work)
    team.repository.push("--force")
    team.look().expect(0)
    rewritten = team.events("--type", "HistoryRewritten")[-1]["data"]
    assert (rewritten["previous"], rewritten["revision"]) == (second, first)
    assert team.answer() == "web v1"


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
    _refused(inside.run("deploy", "--env", "prod"), 2, "engine-unreachable", GONE, "next: ")
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
    (rebound,) = team.events("--type", "HostRebound")
    assert rebound["data"]["reason"] == "moved"
    assert rebound["actor"]["kind"] == "cli"
    assert team.answer() == "web v1"


@contextlib.contextmanager
def _newer(file: Path) -> Generator[None]:
    """The file as a newer program would have left it."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute(f"PRAGMA user_version = {version + 1}")
        database.commit()
    yield
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
    with _newer(home / "events.db"):
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
            repository.commit(_project(PROJECT))
            refused = inside.run(*command)
            _refused(refused, 2, "log-too-new", "events.db", "has version 2", "next: upgrade this Stagecraft")
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
        f"  ? {_quoted(name)}\n  : {{image: '{team.worker}', stop_grace_period: 1s}}\n"
        for name in ("..", "Web", "_x_", "9" * 50)
    )
    file = f"project:\n  name: {team.project.name}\nenvironments:\n  prod:\n    gate: {{settle: 300ms}}\n"
    team.repository.commit({"stagecraft.yml": file, "compose.yaml": compose})
    team.look().expect(0)
    assert team.releases()[0]["status"] == "completed"
