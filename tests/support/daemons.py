"""`stagecraft controller run` as a child process: what it says, and an end that a test never forgets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import COMMAND, Stagecraft
from tests.support.processes import wait_until

_READY_SECONDS = 60.0
_END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """One running daemon; `said` is all it said so far."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """Standard error so far."""
        return self.output.read_text(errors="replace")

    def says(self, text: str, *, times: int = 1, seconds: float = _READY_SECONDS) -> None:
        """Wait until it said `text` so often."""
        try:
            wait_until(f"{text!r}", lambda: self.said.count(text) >= times, seconds=seconds)
        except TimeoutError as error:
            raise AssertionError(f"the daemon never said {text!r}; it said\n{self.said}") from error

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and answer its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_END_SECONDS)


@contextmanager
def running_daemon(cli: Stagecraft, *arguments: str | Path, name: str = "daemon") -> Generator[Daemon]:
    """A daemon that watches; it is gone afterwards, however the test ended."""
    output = cli.cwd / f"{name}.log"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [COMMAND, "controller", "run", *(str(one) for one in arguments)],
            cwd=cli.cwd,
            env={**os.environ, "NO_COLOR": "1", **cli.environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    daemon = Daemon(process=process, output=output)
    try:
        daemon.says("watching ")
        yield daemon
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait(_END_SECONDS)
