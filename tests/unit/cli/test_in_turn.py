"""A command on the hosts of a role, one after the other."""

from __future__ import annotations

import asyncio

import pytest

from cli.console import Console
from cli.in_turn import run_in_turn
from events.kernel.errors import OutsideError


def test_lines_stand_behind_their_host_and_the_first_failure_is_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = {
        "app-1": ["sh", "-c", "echo one; cat"],
        "app-10": ["sh", "-c", "echo two; echo password=hunter2 >&2; exit 7"],
        "db": ["sh", "-c", "printf three; kill -9 $$"],
    }
    assert asyncio.run(run_in_turn(Console(), calls)) == 7
    shown = capsys.readouterr()
    assert shown.out == "app-1  | one\napp-10 | two\ndb     | three\n"
    assert shown.err.splitlines() == [
        "app-10 | password=***",
        "warning: app-10: exit code 7",
        "warning: db: exit code 137",
    ]


def test_a_program_that_this_machine_lacks_is_named() -> None:
    with pytest.raises(OutsideError, match="no-such-program cannot be started on this machine"):
        asyncio.run(run_in_turn(Console(), {"app-1": ["no-such-program"]}))
