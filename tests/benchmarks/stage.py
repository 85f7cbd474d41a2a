"""What benchmarks happen on: the engine, images made on the spot, folders, and the two sides that compete.

The one side is the product, as installed. The other is `docker compose` as a person would use it: the same
client that the product carries, a file in a folder, the same services.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from docker.client import DockerClient

from events.kernel.compose_client import compose_client
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.images import TestImages
from tests.support.repos import Repository

COMMAND_SECONDS = 300.0
_POLL_SECONDS = 0.005  # of HTTP: far below what is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One run's engine, images and folder; `quick` asks for few samples."""

    engine: DockerClient
    images: TestImages
    folder: Path
    quick: bool = False
    tell: Callable[[str], None] = field(default=lambda _text: None)

    def count(self, full: int, quick: int) -> int:
        """How many samples to take."""
        return quick if self.quick else full

    @contextlib.contextmanager
    def place(self, name: str) -> Generator[Place]:
        """A repository, a home and project names; the engine has nothing of them afterwards."""
        folder = self.folder / name
        folder.mkdir()
        place = Place(
            folder=folder,
            repository=Repository.create(folder / "repository"),
            cli=Stagecraft(cwd=folder, environment={"STAGECRAFT_HOME": str(folder / "home")}),
            ours=EngineProject(self.engine),
            by_hand=EngineProject(self.engine),
        )
        try:
            yield place
        finally:
            place.ours.remove_everything()
            place.by_hand.remove_everything()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where both sides work."""

    folder: Path
    repository: Repository
    cli: Stagecraft
    ours: EngineProject
    by_hand: EngineProject

    def commit(
        self, compose: str, *, environments: str = "  prod: {}\n", more: str = "", push: bool = True
    ) -> str:
        """A commit of the project with this Compose file, and `more` at the end of the project file."""
        project = f"project:\n  name: {self.ours.name}\nenvironments:\n{environments}{more}"
        return self.repository.commit({"stagecraft.yml": project, "compose.yaml": compose}, push=push)

    def compose_up(self, compose: str, *options: str) -> float:
        """Write the file and run `docker compose up -d` by hand; the seconds that the command took."""
        file = self.folder / "by-hand.yaml"
        file.write_text(compose)
        command: list[str | Path] = [
            compose_client(),
            "-f",
            file,
            "-p",
            f"{self.by_hand.name}-prod",
            "up",
            "-d",
            *options,
        ]
        return timed_process(command, environment={"DOCKER_CONFIG": str(self.folder)})


def timed_process(command: list[str | Path], *, environment: Mapping[str, str] | None = None) -> float:
    """Run to the end and answer the wall time in seconds. Raises CalledProcessError."""
    variables = {**os.environ, **(environment or {})}
    began = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=COMMAND_SECONDS,
    )
    return time.perf_counter() - began


def until_answer(port: int, text: str, *, seconds: float = COMMAND_SECONDS) -> float:
    """Ask until a server on this machine says `text`; the moment on `time.perf_counter`."""
    deadline = time.perf_counter() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                said: bytes = answer.read()
        except (OSError, HTTPException):  # nobody listens, not yet, or it ended in the middle of an answer
            said = b""
        if said.decode(errors="replace").strip() == text:
            return time.perf_counter()
        if time.perf_counter() > deadline:
            raise TimeoutError(f"port {port} never said {text!r}")
        time.sleep(_POLL_SECONDS)
