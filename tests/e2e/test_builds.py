"""Services that have only `build:`: built from the commit, once for what they are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.e2e.team import Team
from tests.support.images import BUSYBOX, LABEL, TestImages
from tests.support.registry import running_registry

PROJECT_FILE = """project:
  name: {name}
{registry}environments:
  prod:
    gate: {{settle: 300ms, deadline: 15s}}
"""
COMPOSE_FILE = """services:
  web:
    build:
      context: web
      args: {{GREETING: {greeting}}}
      target: {target}
    ports: ["127.0.0.1:{port}:8080"]
    stop_grace_period: 1s
"""
DOCKERFILE = """FROM scratch AS base
COPY busybox /bin/sh
COPY busybox /bin/httpd
COPY busybox /bin/mkdir
ARG GREETING
RUN ["/bin/mkdir", "/www"]
RUN echo "$GREETING" > /www/index.html
CMD ["/bin/httpd", "-f", "-p", "8080", "-h", "/www"]
FROM base AS app
COPY version /www/version
FROM base AS broken
RUN echo about to fail; exit 3
"""


@dataclass(slots=True, kw_only=True)
class Builders:
    """The team, whose web service is built from its repository."""

    team: Team
    engine: DockerClient
    label: str
    registry: str | None = None
    greeting: str = "hello"
    target: str = "app"

    def merge(self, message: str = "change", **files: str | bytes) -> str:
        """Commit the project with its build context; `files` go over it."""
        line = "" if self.registry is None else f"  registry: {self.registry}\n"
        compose = COMPOSE_FILE.format(greeting=self.greeting, port=self.team.port, target=self.target)
        labelled = f"LABEL {self.label}\n"
        everything: dict[str, str | bytes] = {
            "stagecraft.yml": PROJECT_FILE.format(name=self.team.project.name, registry=line),
            "compose.yaml": compose,
            "web/Dockerfile": DOCKERFILE.replace("ARG GREETING\n", f"{labelled}ARG GREETING\n"),
            "web/busybox": BUSYBOX.read_bytes(),
            "web/version": "1",
            "web/.dockerignore": "notes\n",
            **files,
        }
        self.team.repository.write(everything)
        (self.team.repository.work / "web" / "busybox").chmod(0o755)
        return self.team.repository.commit({}, message)

    def built(self) -> list[dict[str, object]]:
        """The data of all ImageBuilt events."""
        return [one["data"] for one in self.team.events() if one["type"] == "ImageBuilt"]

    def allow(self, *, deadline: str = "60s") -> None:
        home = Path(self.team.cli.environment["STAGECRAFT_HOME"])
        home.mkdir(exist_ok=True)
        (home / "controller.yml").write_text(f"builds: {{allowed: true, deadline: {deadline}}}\n")


@pytest.fixture
def builders(team: Team, engine: DockerClient, images: TestImages) -> Builders:
    session = images.reference("x", "y").split("/")[1]
    made = Builders(team=team, engine=engine, label=f"{LABEL}={session}")
    made.allow()
    return made


def test_a_service_is_built_from_the_commit_and_pinned_by_its_id(builders: Builders) -> None:
    builders.merge()
    (Path(builders.team.repository.work) / "web" / "version").write_text("never committed")
    builders.team.look().expect(0)
    assert builders.team.answer() == "hello"
    (built,) = builders.built()
    pin = builders.team.release(builders.team.releases()[0]["id"])["images"]["web"]
    assert pin == {"ref": built["ref"], "pin": built["image_id"], "pin_kind": "image-id"}
    assert built["pushed"] is False


def test_only_what_it_is_made_from_builds_it_again(builders: Builders) -> None:
    builders.merge()
    builders.team.look().expect(0)
    before = builders.team.project.ids()
    builders.merge("elsewhere", **{"README.md": "new", "web/notes": "ignored by the builder"})
    builders.team.look().expect(0)
    assert len(builders.built()) == 1
    assert builders.team.project.ids() == before
    builders.greeting = "good evening"
    builders.merge("an argument")
    builders.team.look().expect(0)
    assert builders.team.answer() == "good evening"
    assert len(builders.built()) == 2
    builders.team.repository.revert()
    builders.team.look().expect(0)
    assert builders.team.answer() == "hello"
    assert len(builders.built()) == 2


def test_a_build_that_fails_says_its_last_lines_and_touches_nothing(builders: Builders) -> None:
    builders.merge()
    builders.team.look().expect(0)
    builders.target = "broken"
    builders.merge("broken")
    outcome = builders.team.look()
    assert outcome.code == 1, outcome.stderr
    assert "build-failed" in outcome.stderr
    assert "about to fail" in outcome.stderr
    assert "web" in outcome.stderr
    assert builders.team.answer() == "hello"


def test_nothing_is_built_unless_the_operator_allows_it(builders: Builders) -> None:
    (Path(builders.team.cli.environment["STAGECRAFT_HOME"]) / "controller.yml").unlink()
    builders.merge()
    outcome = builders.team.look()
    assert outcome.code == 2, outcome.stderr
    assert "build-not-allowed" in outcome.stderr
    assert builders.built() == []


def test_a_build_that_takes_too_long_is_given_up(builders: Builders) -> None:
    builders.allow(deadline="3s")
    builders.target = "broken"
    builders.merge(**{"web/Dockerfile": DOCKERFILE.replace("exit 3", "while true; do echo .; done")})
    outcome = builders.team.look()
    assert outcome.code == 2, outcome.stderr
    assert "build-timed-out" in outcome.stderr


def test_with_a_registry_it_is_pushed_and_pinned_by_what_the_registry_says(
    builders: Builders, tmp_path: Path
) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    with running_registry(folder) as registry:
        builders.registry = f"{registry.address}/shop"
        builders.merge()
        builders.team.look().expect(0)
        assert builders.team.answer() == "hello"
        (built,) = builders.built()
        assert built["pushed"] is True
        assert str(built["ref"]).startswith(f"{registry.address}/shop/web:")
        pin = builders.team.release(builders.team.releases()[0]["id"])["images"]["web"]
        assert pin["pin_kind"] == "repo-digest"
        registry.forget(builders.engine)


def test_a_plan_and_a_rendering_build_nothing_and_know_what_is_built(builders: Builders) -> None:
    builders.merge()
    work, cli = builders.team.repository.work, builders.team.cli
    plan = cli.run("plan", "--env", "prod", "--live", cwd=work).expect(0)
    assert "Images resolved at deploy: stagecraft.local/" in plan.stdout
    refused = cli.run("config", "render", "--env", "prod", cwd=work).expect(1)
    assert "image-not-built" in refused.stderr
    builders.team.look().expect(0)
    assert "nothing changes" in cli.run("plan", "--env", "prod", "--live", cwd=work).expect(0).stdout
    document = cli.run("config", "render", "--env", "prod", "--json", cwd=work).expect(0).json()
    (built,) = builders.built()
    assert document["services"]["web"]["image"] == built["image_id"]
