"""Which modules a call of the command imports, in a process of its own that nothing measures."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_TELL = """
import sys
from cli.main import run
code = run({argv!r})
sys.stderr.write("\\n" + " ".join(sorted(sys.modules)))
sys.exit(code)
"""
_SECONDS = 120.0

CLIENTS = frozenset(
    {
        *("docker", "requests", "urllib3", "h11"),  # engines
        *("httpx", "asyncssh", "git"),  # registries, hosts, repositories
        *("apscheduler", "watchfiles", "starlette", "uvicorn"),  # the controller at work
        *("rich", "plotext", "sqlite_utils", "cryptography"),  # terminals, files, seals
    }
)
"""Packages of others that are slow to import and that few commands use."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How a call ended, and what it had imported by then."""

    code: int
    modules: frozenset[str]

    @property
    def packages(self) -> frozenset[str]:
        """The modules by their top name."""
        return frozenset(one.partition(".")[0] for one in self.modules)


def imported(*argv: str, cwd: Path | None = None) -> Imported:
    """Call the command, and see."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", _TELL.format(argv=argv)],
        check=False,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        cwd=cwd,
        env=unmeasured,
    )
    return Imported(done.returncode, frozenset(done.stderr.rpartition("\n")[2].split()))
