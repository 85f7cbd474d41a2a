"""A test sees nothing of the person who runs it, and neither does the command it starts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.conftest import FOREIGN_PREFIXES
from tests.support.cli import Outcome, Stagecraft
from tests.support.processes import free_port, wait_until

ALLOWED = {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_TERMINAL_PROMPT"}


def test_home_is_empty_but_for_the_git_identity(isolated_home: Path) -> None:
    assert Path.home() == isolated_home
    assert [path.name for path in isolated_home.iterdir()] == [".gitconfig"]


def test_no_foreign_variable_is_left() -> None:
    assert {name for name in os.environ if name.startswith(FOREIGN_PREFIXES)} == ALLOWED


def test_the_command_answers_and_its_outcome_is_kept(cli: Stagecraft) -> None:
    assert "version" in cli.ok("version", "--json").json()


def test_documents_on_lines_are_read_one_by_one() -> None:
    outcome = Outcome(arguments=(), code=0, stdout='{"position": 1}\n{"position": 2}\n', stderr="")
    assert outcome.json_lines() == [{"position": 1}, {"position": 2}]


def test_an_unexpected_code_shows_what_was_said(cli: Stagecraft) -> None:
    with pytest.raises(AssertionError, match=r"ended with 1, not 0(?s:.)*--- stderr\n.*no-such-command"):
        cli.ok("no-such-command")


def test_a_command_can_be_left_running(cli: Stagecraft) -> None:
    with cli.start("version", "--json") as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.startswith("{")


def test_a_free_port_can_be_bound() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_a_wait_in_vain_says_for_what() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.05 s in vain for the moon"):
        wait_until("the moon", lambda: False, seconds=0.05)
