"""Proof by waiting: what does not come true is an error with what was seen last."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.demo.hands import git, typed
from controller.demo.interrupts import Interrupts
from controller.demo.place import new_place
from controller.demo.shop import Shop
from controller.demo.stage import Stage
from controller.holders import identify
from controller.home import Home
from events.kernel.errors import InternalError, OutsideError
from tests.support.processes import free_port


@dataclass(slots=True)
class Written:
    """A screen that keeps what it is told."""

    lines: list[str] = field(default_factory=list[str])

    def _keep(self, text: str) -> None:
        self.lines.append(text)

    act = note = command = said = proved = _keep


@pytest.fixture
def screen() -> Written:
    return Written()


@pytest.fixture
def stage(tmp_path: Path, screen: Written) -> Iterator[Stage]:
    place = new_place(Home(tmp_path / "home"), Shop(project="shop-1234", port=free_port()))
    place.controller_log.write_text("2026-11-21T06:00:00Z main is at 832d1b1bf8dd\nhalf a li")
    place.work.mkdir()
    with ExitStack() as opened:
        yield Stage(
            place=place,
            screen=screen,
            command=Path("/bin/echo"),
            environ={"PATH": "/bin", "STAGECRAFT_ENV": "other"},
            stays=False,
            verbose=False,
            interrupts=Interrupts(),
            opened=opened,
            proof_seconds=0.2,
        )


def test_what_does_not_come_true_in_time_is_an_error_with_what_was_seen(stage: Stage) -> None:
    with pytest.raises(InternalError) as caught:
        stage.answers("shop v1")
    error = caught.value
    assert (error.code, error.exit_code) == ("demo-expectation-failed", 3)
    assert "shop v1" in error.message
    assert "no answer" in error.why
    assert "main is at 832d1b1bf8dd" in error.why


def test_an_event_that_is_not_in_the_log_is_an_error(stage: Stage) -> None:
    with pytest.raises(InternalError, match="ReleaseCompleted"):
        stage.recorded("it completed", "ReleaseCompleted", after=0)


def test_a_controller_that_ended_is_not_waited_for(stage: Stage) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        identity = identify(process.pid)
        assert identity is not None
        stage.place = stage.place.with_controller(identity)
        process.kill()
    stage.proof_seconds = 60.0
    with pytest.raises(InternalError) as caught:
        stage.wait("it works", lambda: False)
    assert "the controller has ended" in caught.value.why


def test_lines_of_the_controller_are_shown_once_and_whole(stage: Stage, screen: Written) -> None:
    stage.show_controller()
    stage.show_controller()
    with stage.place.controller_log.open("a") as output:
        output.write("ne\n")
    stage.show_controller()
    assert screen.lines == ["main is at 832d1b1bf8dd", "half a line"]


def test_a_command_is_shown_as_typed_with_what_it_says(stage: Stage, screen: Written) -> None:
    stage.stagecraft("rollback", "--reason", "orders fail")
    assert screen.lines == [
        'stagecraft rollback --reason "orders fail"',
        "rollback --reason orders fail",
    ]


def test_a_command_that_fails_fails_the_demo(stage: Stage) -> None:
    stage.command = Path("/bin/false")
    with pytest.raises(InternalError) as caught:
        stage.stagecraft("status")
    assert "exit code 1" in caught.value.why


def test_a_git_that_refuses_is_an_error_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as caught:
        git("log", cwd=tmp_path)
    assert caught.value.code == "demo-git-failed"
    assert "not a git repository" in caught.value.why


def test_words_with_spaces_are_typed_in_quotes() -> None:
    assert typed("git", "commit", "-am", "Shop v1") == 'git commit -am "Shop v1"'
