"""The table of commands: it says what the commands say, and nobody pays for what was not asked for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cli.contents import Entry
from cli.main import CONTENTS
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

TELL = """
import sys
from cli.main import run
code = run({argv!r})
sys.stderr.write(" ".join(sorted(sys.modules)))
sys.exit(code)
"""


def imported(*argv: str) -> set[str]:
    """The modules that a call imports, in a process of its own that nothing measures."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", TELL.format(argv=argv)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=unmeasured,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("entry", CONTENTS, ids=lambda entry: entry.name)
def test_a_summary_is_the_first_sentence_of_its_command(entry: Entry) -> None:
    assert entry.summary == entry.load().get_short_help_str(1000)


def test_help_imports_no_command() -> None:
    modules = imported("--help")
    assert not modules & {entry.module for entry in CONTENTS}
    assert not modules & {"pydantic", "asyncio", "rich", "sqlite3", "yaml"}


def test_status_of_what_was_recorded_imports_nothing_heavy(history: History, call: Call) -> None:
    history.suspended()
    call("audit", "seal")
    call("status")  # folds the views
    modules = imported("status")
    assert "cli.status" in modules
    assert not modules & {"pydantic", "asyncio", "rich", "yaml", "docker", "git", "cryptography"}
    assert "cryptography" not in imported("status", "--env", "prod")


def test_every_command_is_listed_with_its_summary(call: Call) -> None:
    lines = " ".join(call("--help").out.split())
    for entry in CONTENTS:
        assert f" {entry.name} {entry.summary}" in lines


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", [("status",), ("releases", "list"), ("controller", "unit"), ("events",)])
def test_every_command_has_help_of_its_own(call: Call, command: tuple[str, ...], flag: str) -> None:
    said = call(*command, flag)
    assert said.code == 0
    assert said.out.startswith(f"Usage: stagecraft {' '.join(command)} [OPTIONS]")


def test_a_command_that_is_misspelt_is_guessed(call: Call) -> None:
    said = call("staus")
    assert said.code == 1
    assert "Did you mean 'status'" in said.err
