"""`init`: what it writes can be loaded, what exists is left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer
import yaml

from cli.init import safe_name
from gitops.compose.discover import discover
from gitops.config.load import load
from gitops.source.worktree import WorkTree
from tests.unit.cli.conftest import Call


def loaded(folder: Path, environment: str) -> str:
    """The project's name, by the loader that `plan` and `deploy` use."""
    return load(WorkTree(folder), "stagecraft.yml", environment).project.project.name


def test_the_defaults_are_the_folders_name_and_dev(call: Call, folder: Path, home: Path) -> None:
    said = call("init", "--non-interactive")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "wrote stagecraft.yml (project my-app, environment dev)",
        "wrote compose.yaml (there was no Compose file)",
        "Next: commit, then `stagecraft plan --env dev`",
    ]
    assert loaded(folder, "dev") == "my-app"
    assert discover(WorkTree(folder), "").path == "compose.yaml"
    assert list(yaml.safe_load((folder / "compose.yaml").read_text())["services"]) == ["web"]
    assert "#" in (folder / "stagecraft.yml").read_text()
    assert not home.exists()


def test_names_can_be_given(call: Call, folder: Path) -> None:
    assert call("init", "--project-name", "shop", "--env", "prod").code == 0
    assert loaded(folder, "prod") == "shop"


@pytest.mark.parametrize("argv", [("--project-name", "My App"), ("--env", "a/b"), ("--project-name", "")])
def test_a_name_that_cannot_be_one_is_refused_and_nothing_is_written(
    call: Call, folder: Path, argv: tuple[str, ...]
) -> None:
    said = call("init", *argv)
    if argv[1]:
        assert said.code == 1
        assert "name-unusable" in said.err
        assert not list(folder.iterdir())
    else:
        assert loaded(folder, "dev") == "my-app"


def test_a_project_file_that_exists_is_left_alone_unless_forced(call: Call, folder: Path) -> None:
    (folder / "stagecraft.yml").write_text("mine")
    said = call("init", "--non-interactive")
    assert said.code == 0
    assert said.out == "stagecraft.yml exists and is left alone (--force writes it anew)\n"
    assert [path.name for path in folder.iterdir()] == ["stagecraft.yml"]
    assert (folder / "stagecraft.yml").read_text() == "mine"
    assert call("init", "--non-interactive", "--force").code == 0
    assert loaded(folder, "dev") == "my-app"


@pytest.mark.parametrize("name", ["compose.yml", "docker-compose.yaml"])
def test_a_compose_file_that_exists_is_left_alone(call: Call, folder: Path, name: str) -> None:
    (folder / name).write_text("services: {}\n")
    assert call("init", "--non-interactive").code == 0
    assert (folder / name).read_text() == "services: {}\n"
    assert not (folder / "compose.yaml").exists()


def test_a_dry_run_says_the_same_and_writes_nothing(call: Call, folder: Path) -> None:
    (folder / ".git").mkdir()
    said = call("init", "--dry-run")
    assert said.out.splitlines() == [
        "would write stagecraft.yml (project my-app, environment dev)",
        "would write compose.yaml (there was no Compose file)",
        "would write .gitignore (ignores .stagecraft/)",
    ]
    assert [path.name for path in folder.iterdir()] == [".git"]


@pytest.mark.parametrize(
    ("former", "after"),
    [
        (None, ".stagecraft/\n"),
        ("*.pyc", "*.pyc\n.stagecraft/\n"),
        ("*.pyc\n", "*.pyc\n.stagecraft/\n"),
        ("/.stagecraft\n", "/.stagecraft\n"),
        (".stagecraft/", ".stagecraft/"),
    ],
)
def test_in_a_repository_the_state_is_ignored(
    call: Call, folder: Path, former: str | None, after: str
) -> None:
    (folder.parent / ".git").mkdir()
    if former is not None:
        (folder / ".gitignore").write_text(former)
    assert call("init", "--non-interactive").code == 0
    assert (folder / ".gitignore").read_text() == after


def test_the_project_file_may_stand_elsewhere(call: Call, folder: Path) -> None:
    (folder / "deploy").mkdir()
    said = call("init", "--config", "deploy/stagecraft.yml")
    assert "wrote deploy/stagecraft.yml (project deploy, environment dev)" in said.out
    assert loaded(folder / "deploy", "dev") == "deploy"


def test_a_folder_that_cannot_be_written_is_an_error(call: Call, folder: Path) -> None:
    (folder / "deploy").write_text("a file")
    said = call("init", "--config", "deploy/stagecraft.yml")
    assert said.code == 2
    assert "init-failed" in said.err


class Keyboard:
    """Answers questions as a person would; it stands in for the terminal."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def isatty(self) -> bool:
        return True

    def prompt(self, question: str, *, default: str, err: bool) -> str:
        assert err
        self.asked.append(question)
        return self._answers.pop(0) or default

    def confirm(self, question: str, *, default: bool, err: bool) -> bool:
        return self.prompt(question, default="y" if default else "n", err=err) == "y"


def at(keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", keyboard)
    monkeypatch.setattr(typer, "prompt", keyboard.prompt)
    monkeypatch.setattr(typer, "confirm", keyboard.confirm)


def test_on_a_terminal_it_asks_for_names_and_the_compose_file(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyboard = Keyboard("shop", "", "n")
    at(keyboard, monkeypatch)
    said = call("init")
    assert said.code == 0
    assert len(keyboard.asked) == 3
    assert loaded(folder, "dev") == "shop"
    assert not (folder / "compose.yaml").exists()
    assert "there is no Compose file" in said.err


def test_on_a_terminal_what_was_given_is_not_asked(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyboard = Keyboard("y")
    at(keyboard, monkeypatch)
    assert call("init", "--project-name", "shop", "--env", "prod").code == 0
    assert len(keyboard.asked) == 1
    assert loaded(folder, "prod") == "shop"
    assert (folder / "compose.yaml").exists()


def test_the_end_of_the_input_is_no_bug(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = Keyboard()

    def ended(_question: str, **_options: object) -> str:
        raise typer.Abort

    at(keyboard, monkeypatch)
    monkeypatch.setattr(typer, "prompt", ended)
    said = call("init")
    assert said.code == 1
    assert "--non-interactive" in said.err


@pytest.mark.parametrize(
    ("folder_name", "expected"),
    [
        ("My App", "my-app"),
        ("shop", "shop"),
        ("_x_", "x"),
        ("été", "t"),
        ("...", "app"),
        ("a" * 90, "a" * 63),
    ],
)
def test_a_folders_name_is_made_a_project_name(folder_name: str, expected: str) -> None:
    assert safe_name(folder_name) == expected
