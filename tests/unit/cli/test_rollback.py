"""`rollback` for whoever does not know where to go: a refusal that shows the way."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History, digest


def three_releases(history: History) -> list[str]:
    """Three Releases of three commits; the newest is what is deployed."""
    history.observed("c1" * 20, "shop/prod")
    first = history.deployed("a", revision="c1" * 20)
    second = history.deployed("b", revision="c2" * 20, previous=first)
    return [first, second, history.deployed("c", revision="c3" * 20, previous=second)]


def test_without_a_target_it_refuses_and_lists_the_good_releases_with_their_commands(
    call: Call, history: History
) -> None:
    first, second, third = three_releases(history)
    before = history.log.head()
    said = call("rollback", "--env", "prod")
    assert said.code == 1
    assert "rollback-target-missing" in said.err
    lines = said.out.splitlines()
    assert lines[0] == "shop/prod can go back to, newest first:"
    assert lines[1].split() == ["RELEASE", "ID", "VERSION", "COMPLETED", "COMMIT", "COMMAND"]
    assert [line.split()[0] for line in lines[2:]] == [second, first]
    assert lines[3].endswith(f"stagecraft rollback --env shop/prod --to-release {first}")
    assert f"{'c1' * 6}  2026-01-02 03:04:09  {'c1' * 6} a change" in lines[3]
    assert third not in said.out
    assert history.log.head() == before


def test_the_command_that_it_names_is_taken(call: Call, history: History) -> None:
    first, _, _ = three_releases(history)
    command = call("rollback", "--env", "prod").out.splitlines()[-1].partition("stagecraft ")[2]
    shown = call(*command.split(), "--dry-run")
    assert shown.code == 0
    assert f"Target: {first}" in shown.out
    assert digest("a") in shown.out


def test_without_an_earlier_good_release_it_says_so(call: Call, history: History) -> None:
    history.deployed("a")
    said = call("rollback", "--env", "prod")
    assert said.code == 1
    assert said.out == "shop/prod has no earlier good Release\n"
    assert "rollback-target-missing" in said.err


def test_without_an_environment_there_is_nothing_to_list(call: Call, history: History) -> None:
    three_releases(history)
    said = call("rollback")
    assert (said.code, said.out) == (1, "")
    assert "rollback-target-missing" in said.err


def test_of_an_unknown_environment_there_is_nothing_to_list(call: Call, home: Path) -> None:
    said = call("rollback", "--env", "prod")
    assert (said.code, said.out) == (1, "")
    assert "rollback-target-missing" in said.err
    assert not home.exists()
