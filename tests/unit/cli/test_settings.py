"""Global flags: both positions, precedence, variables that cannot be understood."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from cli.settings import GlobalFlags, Settings, group, normalised, resolve, with_settings
from events.kernel.errors import UserError


class Probe:
    """An application with one command at the root and one in a group, which note their settings."""

    def __init__(self) -> None:
        self.seen: list[Settings] = []
        self.own: list[tuple[str, bool]] = []
        self.app = group("Probe.", root=True)
        inner = group("Inner.")
        self.app.add_typer(inner, name="inner")
        for where in (self.app, inner):
            where.command("look")(self.command())

    def command(self) -> Callable[..., int]:
        @with_settings("env")
        def look(
            settings: Settings, *, note: str = typer.Option(""), flag: bool = typer.Option(False, "--flag")
        ) -> int:
            self.seen.append(settings)
            self.own.append((note, flag))
            return 7

        return look

    def run(self, *argv: str) -> Settings:
        assert self.app(normalised(argv), prog_name="probe", standalone_mode=False) == 7
        return self.seen[-1]


@pytest.fixture
def probe(folder: Path, home: Path) -> Probe:
    del folder, home  # they prepare
    return Probe()


@pytest.mark.parametrize(
    "argv",
    [
        ("--env", "prod", "-v", "--dry-run", "-q", "-c", "x.yml", "look"),
        ("look", "--env", "prod", "-v", "--dry-run", "-q", "-c", "x.yml"),
        ("-e", "prod", "inner", "-v", "--dry-run", "look", "-q", "--config", "x.yml"),
        ("inner", "look", "-vq", "-e", "prod", "--dry-run=true", "--config=x.yml"),
    ],
)
def test_global_flags_work_at_every_position(probe: Probe, argv: tuple[str, ...]) -> None:
    found = probe.run(*argv)
    assert (found.environments, found.verbose, found.dry_run, found.quiet, found.config) == (
        ("prod",),
        True,
        True,
        True,
        "x.yml",
    )
    assert found.console.quiet
    assert found.console.verbose


def test_without_flags_and_variables_there_are_the_defaults(probe: Probe, home: Path) -> None:
    found = probe.run("look")
    assert (found.environments, found.verbose, found.dry_run, found.quiet) == ((), False, False, False)
    assert found.config == "stagecraft.yml"
    assert found.home.root == home
    assert found.environment is None


def test_the_position_nearest_to_the_command_wins(probe: Probe) -> None:
    found = probe.run("--env", "a", "--env", "b", "--dry-run", "-c", "far", "look", "-e", "c", "--no-dry-run")
    assert (found.environments, found.dry_run, found.config) == (("c",), False, "far")


def test_an_environment_may_be_named_several_times(probe: Probe) -> None:
    assert probe.run("look", "-e", "a", "-e", "b").environments == ("a", "b")


def test_a_command_about_one_environment_refuses_several(probe: Probe) -> None:
    found = probe.run("look", "-e", "a", "-e", "b")
    with pytest.raises(UserError) as caught:
        _ = found.environment
    assert caught.value.code == "environment-not-single"


def test_a_command_that_needs_an_environment_has_no_default(probe: Probe) -> None:
    with pytest.raises(UserError) as caught:
        probe.run("look").required_environment()
    assert caught.value.code == "environment-required"
    assert probe.run("look", "-e", "a").required_environment() == "a"


def test_a_flags_word_as_another_options_value_stays_there(probe: Probe) -> None:
    assert not probe.run("look", "--note=--verbose", "--flag").verbose
    assert probe.own[-1] == ("--verbose", True)
    probe.run("look", "--note", "-v")
    assert probe.own[-1] == ("-v", False)
    assert not probe.seen[-1].verbose


@pytest.mark.parametrize(
    ("argv", "variable", "expected"),
    [
        ((), None, False),
        ((), "", False),
        ((), "true", True),
        ((), "YES", True),
        ((), "1", True),
        ((), "on", True),
        ((), "False", False),
        ((), "0", False),
        ((), "no", False),
        (("--dry-run",), "false", True),
        (("--no-dry-run",), "true", False),
        (("--dry-run=false",), "true", False),
        (("--dry-run=TRUE",), None, True),
        (("--dry-run",), "nonsense", True),
    ],
)
def test_a_flag_wins_over_its_variable(
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    variable: str | None,
    *,
    expected: bool,
) -> None:
    if variable is not None:
        monkeypatch.setenv("STAGECRAFT_DRY_RUN", variable)
    assert probe.run("look", *argv).dry_run is expected


@pytest.mark.parametrize("name", ["STAGECRAFT_DRY_RUN", "STAGECRAFT_VERBOSE", "STAGECRAFT_QUIET"])
def test_a_variable_that_is_neither_true_nor_false_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        resolve(GlobalFlags(), environ={name: "maybe"}, cwd=tmp_path)
    assert caught.value.code == "variable-unusable"
    assert caught.value.where.key == name
    assert "'maybe'" in caught.value.why


def test_variables_stand_in_for_flags(tmp_path: Path) -> None:
    environ = {"STAGECRAFT_ENV": "prod", "STAGECRAFT_CONFIG": "x.yml", "STAGECRAFT_HOME": "state"}
    found = resolve(GlobalFlags(), environ=environ, cwd=tmp_path)
    assert (found.environments, found.config) == (("prod",), "x.yml")
    assert found.home.root == tmp_path / "state"
    flags = GlobalFlags(home="other", config="y.yml", env=("a",))
    flagged = resolve(flags, environ=environ, cwd=tmp_path)
    assert (flagged.environments, flagged.config) == (("a",), "y.yml")
    assert flagged.home.root == tmp_path / "other"


def test_settings_never_show_the_environment(tmp_path: Path) -> None:
    found = resolve(GlobalFlags(), environ={"TOKEN": "hunter2"}, cwd=tmp_path)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--quiet=off"], ["--no-quiet"]),
        (["--verbose=yes"], ["--verbose"]),
        (["--dry-run=maybe"], ["--dry-run=maybe"]),
        (["--dry-run-all=true"], ["--dry-run-all=true"]),
        (["a", "--", "--dry-run=true"], ["a", "--", "--dry-run=true"]),
    ],
)
def test_an_assigned_switch_is_spelled_out_up_to_two_dashes(given: list[str], expected: list[str]) -> None:
    assert normalised(given) == expected


def test_help_names_the_flags_that_a_command_shows_and_the_root_all(
    probe: Probe, capsys: pytest.CaptureFixture[str]
) -> None:
    probe.app(["look", "--help"], standalone_mode=False)
    own = capsys.readouterr().out
    assert "--env" in own
    assert "--dry-run" not in own
    probe.app([], standalone_mode=False)
    root = capsys.readouterr().out
    assert all(flag in root for flag in ("--home", "--config", "--env", "--verbose", "--quiet", "--dry-run"))


def test_a_group_can_do_something_alone_with_options_of_its_own(folder: Path, home: Path) -> None:
    del folder, home
    seen: list[tuple[bool, bool]] = []

    def alone(settings: Settings, *, keep: bool = typer.Option(False, "--keep")) -> int:
        seen.append((keep, settings.dry_run))
        return 5

    @with_settings()
    def down(settings: Settings) -> int:
        return 6 if settings.dry_run else 4

    app = group("Probe.", root=True)
    inner = group("Inner.", alone=alone)
    inner.command("down")(down)
    app.add_typer(inner, name="inner")

    def run(*argv: str) -> object:
        return app(normalised(argv), prog_name="probe", standalone_mode=False)

    assert run("inner", "--keep", "--dry-run") == 5
    assert run("--dry-run", "inner") == 5
    assert run("inner", "--dry-run", "down") == 6
    assert seen == [(True, True), (False, True)]
