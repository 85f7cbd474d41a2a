"""The installed `stagecraft` command as a child process, the way a person or a CI job starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = Path(sysconfig.get_path("scripts")) / "stagecraft"
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the command ended and what it said."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:  # noqa: ANN401  # JSON has no narrower type, and each test knows what it asked for
        """The only document on stdout."""
        return json.loads(self.stdout)

    def json_lines(self) -> list[Any]:
        """The documents on stdout, one a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def expect(self, code: int = 0) -> Outcome:
        """This outcome, when it ended with `code`; an assertion that shows all it said when not."""
        assert self.code == code, (
            f"stagecraft {' '.join(self.arguments)} ended with {self.code}, not {code}\n"
            f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"
        )
        return self


@dataclass(frozen=True, slots=True)
class Stagecraft:
    """Starts the command in one folder with one environment.

    The child sees the environment of the test, which conftest has cleaned, plus `environment`.
    """

    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def run(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
        seconds: float = DEADLINE_SECONDS,
    ) -> Outcome:
        """Run to the end. Raises subprocess.TimeoutExpired, with what was said so far, after `seconds`."""
        words = tuple(str(argument) for argument in arguments)
        done = subprocess.run(
            [COMMAND, *words],
            cwd=cwd or self.cwd,
            env=self._environment(environment),
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            input=stdin,
        )
        return Outcome(arguments=words, code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def ok(self, *arguments: str | Path, seconds: float = DEADLINE_SECONDS) -> Outcome:
        """Run to the end and expect exit code 0."""
        return self.run(*arguments, seconds=seconds).expect(0)

    def start(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start it and come back at once; the caller ends it, best as `with cli.start(...) as process`."""
        return subprocess.Popen(
            [COMMAND, *(str(argument) for argument in arguments)],
            cwd=self.cwd,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        return {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **self.environment, **(more or {})}
