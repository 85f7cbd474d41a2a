"""The app of the soak and its repository: good versions, bad ones, and commits that cannot be used.

Three long-running services that differ in what Docker does when they end, a one-shot before them, a named
volume, and four environments of the same files. The images of all versions are made before the script
starts, because an engine that is frozen loads none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from docker.client import DockerClient

from tests.support.images import HEALTHY, TestImages
from tests.support.repos import Repository, git

ENVIRONMENTS = ("canary", "prod", "qa", "staging")
SERVICES = ("cache", "web", "worker")  # all that run on
GOOD_VERSIONS = 6
FINAL = "final"

_PROJECT_FILE = """project:
  name: {name}
services:
  web:
    gate: {{deadline: 8s}}
environments:
"""
_ENVIRONMENT = "  {name}:\n    gate: {{settle: 300ms, deadline: 10s}}\n"
_COMPOSE_FILE = """services:
  web:
    image: {web}
    restart: unless-stopped
    stop_grace_period: 1s
    depends_on:
      migrate:
        condition: service_completed_successfully
  worker:
    image: {worker}
    stop_grace_period: 1s
    volumes:
      - data:/data
  cache:
    image: {cache}
    restart: always
    stop_grace_period: 1s
  migrate:
    image: {migrate}
    volumes:
      - data:/data
volumes:
  data: {{}}
"""
_UNUSABLE: tuple[dict[str, str], ...] = (
    {"stagecraft.yml": "project: [\n"},
    {"stagecraft.yml": "project: {name: x}\nenvironmnets: {}\n"},
    {"compose.yaml": "services:\n  web: {imago: nothing}\n"},
    {"compose.yaml": "services: [\n"},
)


@dataclass(slots=True)
class Versions:
    """The references of the images, made once."""

    web: list[str]
    worker: list[str]
    cache: list[str]
    migrate: list[str]
    crashing: str
    sick: str
    absent: str
    final: dict[str, str]  # by service


def make_versions(images: TestImages) -> Versions:
    """Make every image that the script may name."""
    numbers = range(1, GOOD_VERSIONS + 1)
    return Versions(
        web=[images.web(f"v{one}", health=HEALTHY) for one in numbers],
        worker=[images.web(f"v{one}", name="worker") for one in numbers],
        cache=[images.web(f"v{one}", name="cache") for one in (1, 2)],
        migrate=[images.job(f"v{one}") for one in (1, 2, 3)],
        crashing=images.crashing("bad"),
        sick=images.sick("sick"),
        absent=images.absent(),
        final={
            "web": images.web(FINAL, health=HEALTHY),
            "worker": images.web(FINAL, name="worker"),
            "cache": images.web(FINAL, name="cache"),
            "migrate": images.job(FINAL),
        },
    )


@dataclass(slots=True)
class App:
    """The team's side: what is merged."""

    repository: Repository
    project: str
    versions: Versions
    web: str = ""
    worker: str = ""
    cache: str = ""
    migrate: str = ""
    merged: int = 0
    _turn: int = field(default=0)

    def __post_init__(self) -> None:
        self.web, self.worker = self.versions.web[0], self.versions.worker[0]
        self.cache, self.migrate = self.versions.cache[0], self.versions.migrate[0]

    def good(self, which: int) -> str:
        """Merge another version of one or more services."""
        self._turn += 1
        good = self.versions
        self.web = good.web[self._turn % len(good.web)]
        if which % 2:
            self.worker = good.worker[self._turn % len(good.worker)]
        if which % 3 == 0:
            self.cache = good.cache[self._turn % len(good.cache)]
        if which % 5 == 0:
            self.migrate = good.migrate[self._turn % len(good.migrate)]
        return self.merge("good")

    def bad(self, image: str) -> str:
        """Merge a version that will not come up; the next good one replaces it."""
        former, self.web = self.web, image
        try:
            return self.merge("bad")
        finally:
            self.web = former

    def unusable(self, which: int) -> str:
        """Merge what cannot be rendered."""
        if which == len(_UNUSABLE):
            return self.bad(self.versions.absent)
        self.merged += 1
        return self.repository.commit({**self._files(), **_UNUSABLE[which]}, "unusable")

    @property
    def unusable_kinds(self) -> int:
        """How many kinds of unusable commits there are."""
        return len(_UNUSABLE) + 1

    def revert(self) -> None:
        """Revert the last commit, which was not the first, unless it changed nothing."""
        head, before = (self.repository.head(f"HEAD{place}^{{tree}}") for place in ("", "~1"))
        if head != before:
            self.merged += 1
            self.repository.revert()

    def rewrite(self) -> None:
        """Drop the last commit from the branch by force."""
        if self.merged > 2:  # the first one stays
            git("reset", "--quiet", "--hard", "HEAD~1", cwd=self.repository.work)
            self.repository.push("--force")
            self.merged -= 1

    def final(self) -> str:
        """Merge the version that must run in the end, everywhere.

        No service of it is as it ever was: a Release that fails at this very moment leaves a hold, which only
        a render without any of its changes passes.
        """
        final = self.versions.final
        self.web, self.worker = final["web"], final["worker"]
        self.cache, self.migrate = final["cache"], final["migrate"]
        return self.merge("final")

    def expected_images(self) -> dict[str, str]:
        """By service, what the last merge asks for."""
        return {"cache": self.cache, "web": self.web, "worker": self.worker}

    def merge(self, message: str) -> str:
        """Commit and push the files as they should be."""
        self.merged += 1
        return self.repository.commit(self._files(), message)

    def _files(self) -> dict[str, str]:
        environments = "".join(_ENVIRONMENT.format(name=name) for name in ENVIRONMENTS)
        return {
            "stagecraft.yml": _PROJECT_FILE.format(name=self.project) + environments,
            "compose.yaml": _COMPOSE_FILE.format(
                web=self.web, worker=self.worker, cache=self.cache, migrate=self.migrate
            ),
        }


def foreign_containers(client: DockerClient, image: str) -> dict[str, str]:
    """Start containers that are not the app's, `{name: id}`: nobody may touch them."""
    plain = client.containers.run(image, detach=True, name="foreign-plain", restart_policy={"Name": "always"})
    composed = client.containers.run(
        image,
        detach=True,
        name="foreign-composed",
        restart_policy={"Name": "always"},
        labels={"com.docker.compose.project": "somebody-else", "com.docker.compose.service": "web"},
    )
    return {"foreign-plain": plain.id or "", "foreign-composed": composed.id or ""}
