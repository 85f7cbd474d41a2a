"""A team that takes a service, its files and its image from another repository, at a commit of its choice."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.team import Team
from tests.integration.gitops.githost import GitHost, serving
from tests.support.cli import Stagecraft
from tests.support.images import BUSYBOX, LABEL, TestImages
from tests.support.repos import Repository

PROJECT_FILE = (
    "project: {{name: {name}}}\nenvironments: {{prod: {{gate: {{settle: 300ms, deadline: 15s}}}}}}\n"
)
LIBRARY_FILE = """services:
  web:
    build: ./web
    volumes: ["./www:/www"]
    ports: ["127.0.0.1:${PORT}:8080"]
    stop_grace_period: 1s
"""
DOCKERFILE = """FROM scratch
COPY busybox /bin/httpd
LABEL {label}
CMD ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"]
"""
SMALL = {
    "stagecraft.yml": "project: {name: shop}\nenvironments: {prod: {}}\n",
    "theirs.yml": "services: {db: {image: 'registry.invalid/db:1', volumes: ['./conf:/conf']}}\n",
}


@dataclass(kw_only=True)
class Library:
    """The other repository and the server that has it."""

    repository: Repository
    port: int
    host: GitHost = field(repr=False)

    @property
    def prefix(self) -> str:
        """What an operator lists."""
        return f"http://127.0.0.1:{self.port}/"

    def ref(self, commit: str, path: str) -> str:
        """A file of it at a commit."""
        return f"{self.prefix}origin.git#{commit}:{path}"


@pytest.fixture
def library(tmp_path: Path) -> Generator[Library]:
    repository = Repository.create(tmp_path / "library")
    host = GitHost(root=repository.origin.parent)
    with serving(host) as port:
        yield Library(repository=repository, port=port, host=host)


def allow(home: Path, text: str) -> None:
    home.mkdir(exist_ok=True)
    (home / "controller.yml").write_text(text)


def test_a_service_of_another_repository_runs_moves_with_its_pin_and_comes_back(
    team: Team, library: Library, images: TestImages
) -> None:
    label = f"{LABEL}={images.reference('x', 'y').split('/')[1]}"
    library.repository.write(
        {
            "compose.yml": LIBRARY_FILE,
            "web/Dockerfile": DOCKERFILE.format(label=label),
            "web/busybox": BUSYBOX.read_bytes(),
        }
    )
    (library.repository.work / "web/busybox").chmod(0o755)
    first = library.repository.commit({"www/index.html": "one\n"})
    second = library.repository.commit({"www/index.html": "two\n"})

    def merge(commit: str) -> None:
        files = {
            "stagecraft.yml": PROJECT_FILE.format(name=team.project.name),
            "compose.yaml": f"include: ['{library.ref(commit, 'compose.yml')}']\n",
            ".env": f"PORT={team.port}\n",
        }
        team.repository.commit(files)

    home = Path(team.cli.environment["STAGECRAFT_HOME"])
    allow(home, "builds: {allowed: true}\n")
    merge(first)
    refused = team.look().expect(1)
    assert "compose-remote-refused" in refused.stderr
    assert f"policy.{team.project.name}.remotes in controller.yml" in refused.stderr
    assert library.host.requests == []

    allow(
        home,
        f"builds: {{allowed: true}}\npolicy: {{{team.project.name}: {{remotes: ['{library.prefix}']}}}}\n",
    )
    team.repository.commit({"README.md": "again\n"})
    team.look().expect(0)
    assert team.answer() == "one"
    merge(second)
    team.look().expect(0)
    assert team.answer() == "two"
    assert [one["type"] for one in team.events()].count("ImageBuilt") == 1

    library.host.redirect = "http://localhost:9"
    asked = len(library.host.requests)
    team.repository.revert()
    team.look().expect(0)
    assert team.answer() == "one"
    assert len(library.host.requests) == asked


def test_a_server_that_is_away_keeps_what_runs_and_is_told(team: Team, library: Library) -> None:
    team.deploys()
    allow(
        Path(team.cli.environment["STAGECRAFT_HOME"]),
        f"policy: {{{team.project.name}: {{remotes: ['{library.prefix}']}}}}\n",
    )
    library.host.redirect = "http://localhost:9"
    compose = (team.repository.work / "compose.yaml").read_text()
    ref = library.ref("1" * 40, "compose.yml")
    team.repository.commit({"compose.yaml": f"include: ['{ref}']\n{compose}"})
    told = team.look().expect(2)
    assert "git-unreachable" in told.stderr
    assert "compose.yaml:1" in told.stderr
    assert team.answer() == "web v1"


def test_a_developer_renders_with_the_operators_file(
    cli: Stagecraft, repository: Repository, library: Library, tmp_path: Path
) -> None:
    commit = library.repository.commit({**SMALL, "conf/db.conf": "x"})
    include = f"include: ['{library.ref(commit, 'theirs.yml')}']\n"
    repository.commit({"stagecraft.yml": SMALL["stagecraft.yml"], "compose.yaml": include})
    operators = tmp_path / "operators.yml"
    operators.write_text(f"policy: {{shop: {{remotes: ['{library.prefix}']}}}}\n")
    words = ("config", "render", "--env", "prod", "--no-pin", "--json")
    refused = cli.run(*words, cwd=repository.work).expect(1)
    assert "list http://127.0.0.1" in refused.stderr
    assert "under policy.shop.remotes in controller.yml" in refused.stderr
    made = cli.run(*words, "--controller", operators, cwd=repository.work).expect(0).json()
    assert set(made["services"]) == {"db"}
    plan = ("plan", "--env", "prod", "--controller", operators)
    assert "db" in cli.run(*plan, cwd=repository.work).expect(0).stdout
    library.host.redirect = "http://localhost:9"
    cli.run(*plan, cwd=repository.work).expect(0)
    cli.run("plan", "--env", "prod", cwd=repository.work).expect(1)


def test_a_home_beside_the_project_stays_out_of_git(repository: Repository, library: Library) -> None:
    commit = library.repository.commit({**SMALL, "conf/db.conf": "x"})
    include = f"include: ['{library.ref(commit, 'theirs.yml')}']\n"
    repository.commit({"stagecraft.yml": SMALL["stagecraft.yml"], "compose.yaml": include})
    operators = repository.work.parent / "operators.yml"
    operators.write_text(f"policy: {{shop: {{remotes: ['{library.prefix}']}}}}\n")
    cli = Stagecraft(cwd=repository.work)
    cli.ok("plan", "--env", "prod", "--controller", operators)
    assert (repository.work / ".stagecraft/mirrors/pinned").is_dir()
    assert "uncommitted" not in cli.ok("plan", "--env", "prod", "--controller", operators).stderr
