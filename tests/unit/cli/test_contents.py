"""The table of commands: it says what the commands say, and nobody pays for what was not asked for."""

from __future__ import annotations

import pytest

from cli.contents import Entry
from cli.main import CONTENTS
from tests.support.imported import imported
from tests.unit.cli.conftest import Call


@pytest.mark.parametrize("entry", CONTENTS, ids=lambda entry: entry.name)
def test_a_summary_is_the_first_sentence_of_its_command(entry: Entry) -> None:
    assert entry.summary == entry.load().get_short_help_str(1000)


def test_help_imports_no_command() -> None:
    modules = imported("--help").modules
    assert not modules & {entry.module for entry in CONTENTS}
    assert not modules & {"pydantic", "asyncio", "rich", "sqlite3", "yaml"}


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


@pytest.mark.parametrize("weeks", ["0", "521", "1.5", "many", "9" * 30])
def test_a_number_that_is_none_or_out_of_bounds_is_refused_by_the_parser(call: Call, weeks: str) -> None:
    said = call("metrics", "--env", "prod", "--weeks", weeks)
    assert (said.code, "usage-error" in said.err, "--weeks" in said.err) == (1, True, True)


def test_text_beyond_ascii_arrives_as_it_was_given(call: Call) -> None:
    assert "Übung" in call("status", "--env", "Übung").err
