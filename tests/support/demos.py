"""`stagecraft demo` as a child process, what it left behind, and an end that a test never forgets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker.client import DockerClient

from tests.support.cleanup import EngineProject
from tests.support.cli import COMMAND, Stagecraft
from tests.support.processes import wait_until

END_SECONDS = 240.0  # the whole story takes 30 s on a machine that is at rest
_NAME = re.compile(r"shop-[0-9a-f]{4}")
_HOME = re.compile(r"STAGECRAFT_HOME=(\S+)")


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """One demo, under way or ended."""

    process: subprocess.Popen[bytes]
    output: Path
    errors: Path
    engine: DockerClient
    folder: Path  # its temporary files

    @property
    def said(self) -> str:
        """Standard output so far."""
        return self.output.read_text(errors="replace")

    @property
    def complained(self) -> str:
        """Standard error so far."""
        return self.errors.read_text(errors="replace")

    @property
    def home(self) -> Path:
        """Where it lives, as it says."""
        found = _HOME.search(self.said)
        assert found is not None, self.said
        return Path(found[1])

    def says(self, text: str) -> None:
        """Wait until it said `text`."""

        def said() -> bool:
            ended = self.process.poll() is not None
            if text in self.said:
                return True
            assert not ended, f"it ended without {text!r}\n{self.said}\n{self.complained}"
            return False

        wait_until(repr(text), said, seconds=END_SECONDS)

    def end(self, number: signal.Signals | None = None) -> int:
        """Its exit code, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(END_SECONDS)

    def left(self) -> list[str]:
        """Everything in the engine and on the machine that is still there of it."""
        found = [f"process {pid}" for pid in _processes_in(self.folder)]
        found += [str(path) for path in self.folder.iterdir()]
        for image in self.engine.images.list(filters={"label": "stagecraft.demo"}):
            if str(image.labels.get("stagecraft.demo")) in self.names:
                found.append(f"image {image.tags}")
        for name in self.names:
            project = EngineProject(self.engine, name)
            found += map(repr, [*project.containers(), *project.networks(), *project.volumes()])
        return found

    @property
    def names(self) -> set[str]:
        """The names it gave itself: one, once it has made something."""
        return set(_NAME.findall(self.said + self.complained + "".join(self._tokens())))

    def _tokens(self) -> Generator[str]:
        """Names in the record, for a demo that was ended before it said one."""
        for record in self.folder.glob("*/demo/record.json"):
            yield record.read_text()


@contextmanager
def running_demo(
    cli: Stagecraft, engine: DockerClient, *arguments: str, name: str = "demo"
) -> Generator[RunningDemo]:
    """A demo that runs; whatever becomes of it and of the test, nothing of it is left afterwards."""
    folder = cli.cwd / f"{name}-tmp"
    folder.mkdir()
    output, errors = cli.cwd / f"{name}.out", cli.cwd / f"{name}.err"
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            [COMMAND, "demo", *arguments],
            cwd=cli.cwd,
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    demo = RunningDemo(process, output, errors, engine, folder)
    try:
        yield demo
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pid in _processes_in(folder):
            os.kill(pid, signal.SIGKILL)
        for project in demo.names:
            EngineProject(engine, project).remove_everything()
            for image in engine.images.list(filters={"label": f"stagecraft.demo={project}"}):
                engine.images.remove(image.id or "", force=True)


def _processes_in(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if f"{folder}/".encode() in words:
            found.append(int(entry.name))
    return found
