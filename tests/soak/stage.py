"""What a soak happens on: an engine of its own, the app's repository, the daemon, and commands beside it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

from docker.client import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from tests.soak.app import App, foreign_containers, make_versions
from tests.soak.measures import Sample, sample
from tests.support.cleanup import EngineProject, unique_project_name
from tests.support.cli import COMMAND, Stagecraft
from tests.support.images import TestImages
from tests.support.lab_engine import LabEngine, lab_engine
from tests.support.processes import wait_until
from tests.support.repos import Repository

COMMAND_SECONDS = 180.0
_DAEMON_END_SECONDS = 120.0
_READY_SECONDS = 60.0
_MOST_COMMANDS = 3
_SETTINGS = (
    "poll: {interval: 10s, jitter: 1s, longest: 20s, stale_after: 30s}\n"  # the pass stays at 5 minutes
)


@dataclass(slots=True)
class Keeper:
    """The daemon and its lives."""

    cli: Stagecraft
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    said_before: int = 0  # bytes, by its former lives
    lives: int = 0
    samples: list[Sample] = field(default_factory=list[Sample])

    @property
    def output(self) -> Path:
        """All that it said in all its lives."""
        return self.cli.cwd / "daemon.log"

    def start(self) -> None:
        """Start it unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        with self.output.open("ab") as sink:
            self.said_before = sink.tell()
            self.process = subprocess.Popen(
                [COMMAND, "controller", "run", *self.arguments],
                cwd=self.cli.cwd,
                env={**os.environ, "NO_COLOR": "1", **self.cli.environment},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        self.started = time.monotonic()
        self.lives += 1

    @property
    def watches(self) -> bool:
        """Whether it has come so far in this life that it says so; before that a signal just ends it."""
        return b" watching " in self.output.read_bytes()[self.said_before :]

    def end(self, number: signal.Signals) -> int:
        """Signal it and answer its exit code. Raises TimeoutExpired when it does not end."""
        process = self.process
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(_DAEMON_END_SECONDS)
        self.process = None
        return code

    def measure(self) -> None:
        """Take a sample."""
        if self.process is not None and self.process.poll() is None:
            age = time.monotonic() - self.started
            if (taken := sample(self.process.pid, age_seconds=age)) is not None:
                self.samples.append(taken)


@dataclass(slots=True)
class Stage:
    """Everything that a step may touch."""

    folder: Path
    engine: LabEngine
    cli: Stagecraft
    app: App
    keeper: Keeper
    foreign: dict[str, str]
    tell: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter[str])
    codes: Counter[str] = field(default_factory=Counter[str])  # how commands ended, by command and exit code
    healed: list[float] = field(default_factory=list[float])  # seconds
    faults: list[str] = field(default_factory=list[str])  # what must never happen
    _commands: list[tuple[str, subprocess.Popen[bytes], float]] = field(
        default_factory=list[tuple[str, "subprocess.Popen[bytes]", float]]
    )

    @contextlib.contextmanager
    def client(self) -> Generator[DockerClient]:
        """A client of the lab engine, which must answer."""
        with contextlib.closing(self.engine.client()) as client:
            yield client

    def containers(self, environment: str | None = None) -> list[Container]:
        """The app's containers, of one environment or of all; they may go at any time."""
        with self.client() as client:
            found = EngineProject(client, self.app.project).containers()
        title = environment and f"{self.app.project}/{environment}"
        return [one for one in found if title is None or _title(one) == title]

    def command(self, *arguments: str) -> subprocess.Popen[bytes] | None:
        """Start a command beside the daemon; None when enough of them wait already."""
        self.reap()
        if len(self._commands) >= _MOST_COMMANDS:
            return None
        with (self.folder / "commands.log").open("ab") as sink:
            process = subprocess.Popen(
                [COMMAND, *arguments],
                cwd=self.cli.cwd,
                env={**os.environ, "NO_COLOR": "1", **self.cli.environment},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        self._commands.append((arguments[0], process, time.monotonic()))
        return process

    def reap(self) -> None:
        """Note how commands ended; one that waits for too long is ended and is a fault."""
        waiting: list[tuple[str, subprocess.Popen[bytes], float]] = []
        for name, process, since in self._commands:
            code = process.poll()
            if code is not None:
                self._ended(name, code)
            elif time.monotonic() - since > COMMAND_SECONDS:
                process.kill()
                process.wait()
                self.faults.append(f"`{name}` was not done after {COMMAND_SECONDS:g} s")
            else:
                waiting.append((name, process, since))
        self._commands = waiting

    def finish_commands(self) -> None:
        """Wait until none runs."""

        def none_left() -> bool:
            self.reap()
            return not self._commands

        wait_until("the commands beside the daemon to end", none_left, seconds=COMMAND_SECONDS + 10)

    def end_commands(self) -> None:
        """End them at once."""
        for _, process, _ in self._commands:
            process.kill()
            process.wait()
        self._commands.clear()

    def _ended(self, name: str, code: int) -> None:
        self.codes[f"{name}: {code}"] += 1
        if code not in {0, 1, 2, -signal.SIGKILL}:
            self.faults.append(f"`{name}` ended with {code}")

    def watch_daemon(self) -> None:
        """Start the daemon again when a broken lock ended it; any other end of its own is a fault."""
        process = self.keeper.process
        code = None if process is None else process.poll()
        if code is not None:
            if code != -signal.SIGKILL:
                self.faults.append(f"the daemon ended by itself with {code}")
            self.keeper.process = None
        self.keeper.start()
        self.keeper.measure()


def _title(container: Container) -> str:
    labels = container.labels
    return f"{labels.get('stagecraft.project')}/{labels.get('stagecraft.environment')}"


@contextlib.contextmanager
def stage(folder: Path, *, tell: Callable[[str], None]) -> Generator[Stage]:
    """A stage on which nothing has happened yet; nothing is left of it but `folder`."""
    with lab_engine() as engine:
        with contextlib.closing(engine.client()) as client:
            versions = make_versions(TestImages(client))
            foreign = foreign_containers(client, versions.cache[0])
        repository = Repository.create(folder / "repository")
        environment = {"STAGECRAFT_HOME": str(folder / "home"), "DOCKER_HOST": engine.url}
        cli = Stagecraft(cwd=folder, environment=environment)
        listed = f"repositories: [{{url: {repository.origin}, allow_rewrite: true}}]\n"
        (folder / "controller.yml").write_text(_SETTINGS + listed)
        arguments = ("--repo", str(repository.origin), "--branch", "main", "--controller", "controller.yml")
        made = Stage(
            folder=folder,
            engine=engine,
            cli=cli,
            app=App(repository=repository, project=unique_project_name(), versions=versions),
            keeper=Keeper(cli=cli, arguments=arguments),
            foreign=foreign,
            tell=tell,
        )
        try:
            yield made
        finally:
            made.end_commands()
            process = made.keeper.process
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


def unless_gone(change: Callable[[], object]) -> None:
    """Do something to a container that the daemon may just be replacing."""
    with contextlib.suppress(NotFound, APIError):
        change()
