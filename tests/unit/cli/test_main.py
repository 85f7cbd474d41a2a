"""How a call ends: exit codes, errors on stderr, pipes that close, keys that interrupt."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from cli import main as main_module
from cli.main import run
from events.catalog.environment import EnvironmentSuspended
from events.kernel.errors import InternalError, OutsideError, UserError, error_code
from tests.support.cli import COMMAND, Stagecraft
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

MAIN_PROBE = error_code("main-probe", "A probe of the tests of the main function.")


def test_help_lists_every_command_and_exits_0(call: Call) -> None:
    for argv in ((), ("--help",), ("-h",)):
        said = call(*argv)
        assert (said.code, said.err) == (0, "")
        for command in ("init", "plan", "deploy", "rollback", "status", "releases", "events", "version"):
            assert f"  {command} " in said.out


@pytest.mark.parametrize("argv", [("releases",), ("events",)])
def test_a_group_without_a_command_shows_its_help(call: Call, argv: tuple[str, ...]) -> None:
    said = call(*argv)
    assert said.code == 0
    assert f"Usage: stagecraft {argv[0]}" in said.out
    assert "list" in said.out


@pytest.mark.parametrize(
    "argv",
    [("init",), ("status",), ("releases", "list"), ("releases", "show"), ("events", "list"), ("version",)],
)
def test_every_command_documents_its_exit_codes(call: Call, argv: tuple[str, ...]) -> None:
    assert "Exit codes: 0" in " ".join(call(*argv, "--help").out.split())


@pytest.mark.parametrize(
    ("argv", "message", "command"),
    [
        (("nope",), "No such command", "stagecraft"),
        (("status", "--nope"), "No such option", "stagecraft status"),
        (("releases", "show"), "Missing argument", "stagecraft releases show"),
        (("events", "list", "--after", "x"), "--after", "stagecraft events list"),
        (("events", "list", "--after", "-1"), "--after", "stagecraft events list"),
        (("--dry-run=maybe", "version"), "--dry-run", "stagecraft"),
    ],
)
def test_a_usage_error_exits_1_and_names_the_help(
    call: Call, argv: tuple[str, ...], message: str, command: str
) -> None:
    said = call(*argv)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: usage-error: ")
    assert message in said.err
    assert said.err.endswith(f"  next: {command} --help\n")


@pytest.mark.parametrize(
    ("kind", "code"),
    [(UserError, 1), (OutsideError, 2), (InternalError, 3)],
    ids=["user", "outside", "internal"],
)
def test_an_error_exits_with_the_code_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: type[UserError | OutsideError | InternalError],
    code: int,
) -> None:
    def fails(*_arguments: object, **_options: object) -> None:
        raise kind(MAIN_PROBE, "it went wrong", next="try again")

    monkeypatch.setattr(main_module, "app", fails)
    assert run([]) == code
    assert capsys.readouterr().err == "error: main-probe: it went wrong\n  next: try again\n"


def test_what_nobody_foresaw_exits_3_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(main_module, "app", fails)
    assert run([]) == 3
    printed = capsys.readouterr().err
    assert printed.startswith("error: internal-error: ")
    assert "ZeroDivisionError: by nothing" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(("answer", "code"), [(10, 10), (None, 0), (0, 0)])
def test_a_command_may_answer_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, answer: int | None, code: int
) -> None:
    def answers(*_arguments: object, **_options: object) -> int | None:
        return answer

    monkeypatch.setattr(main_module, "app", answers)
    assert run([]) == code


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module, "app", interrupted)
    assert run([]) == 130


def test_a_bug_shows_its_traceback_only_when_verbose(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "events.db").write_bytes(b"")

    def broken(_path: Path) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("controller.bootstrap.SqliteEventLog", broken)
    quiet = call("events", "list")
    assert (quiet.code, "Traceback" in quiet.err) == (3, False)
    verbose = call("events", "list", "--verbose")
    assert (verbose.code, "Traceback" in verbose.err) == (3, True)


def test_the_console_script_exits_with_the_codes(cli: Stagecraft) -> None:
    assert cli.ok("version").stdout == "stagecraft 0.1.0\n"
    assert cli.run("nope").expect(1).stdout == ""
    assert cli.run("releases", "show", "rel-x").expect(1).stderr.startswith("error: release-not-found: ")
    assert cli.run("status", environment={"STAGECRAFT_DRY_RUN": "maybe"}).expect(1).stdout == ""


def test_a_log_that_cannot_be_read_exits_2(cli: Stagecraft) -> None:
    home = cli.cwd / "home"
    home.mkdir()
    (home / "events.db").write_bytes(b"not a database" * 1000)
    for argv in (("releases", "list"), ("events", "list"), ("status", "--env", "prod")):
        cli.run(*argv).expect(2)


def test_a_reader_that_closes_the_pipe_ends_it_quietly(history: History, home: Path) -> None:
    history.append("environment", *[EnvironmentSuspended(reason="moving")] * 3000)
    with subprocess.Popen(
        [COMMAND, "events", "list", "--json"],
        env={**os.environ, "STAGECRAFT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0
