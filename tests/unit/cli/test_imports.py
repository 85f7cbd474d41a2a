"""What the commands import: whoever looks, or changes the log alone, waits for no client and no schema."""

from __future__ import annotations

import pytest

from cli.contents import Entry
from cli.main import CONTENTS
from tests.support.imported import CLIENTS, imported
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

SCHEMAS = {"pydantic", "yaml", "asyncio"}
READING = [
    ("status",),
    ("status", "--env", "prod"),
    ("status", "--env", "prod", "--at", "2"),
    ("why", "web", "--env", "prod"),
    ("releases", "list"),
    ("releases", "list", "--env", "prod", "--at", "2"),
    ("events", "list", "--after", "1", "--limit", "3"),
    ("metrics", "--env", "prod", "--weeks", "9"),
    ("lock", "show", "--env", "prod"),
    ("views", "verify"),
    ("hold", "--env", "prod", "--reason", "a fair", "--dry-run"),
]
IN_VAIN = [
    ("why", "c0ffee1"),
    ("hosts", "show", "local"),
    ("status", "--env", "nowhere"),
]
APPENDING = [
    ("hold", "--env", "prod", "--reason", "a fair", "--until", "2h"),
    ("suspend", "--env", "prod", "--reason", "a fair"),
    ("resume", "--env", "prod", "--suspend"),
]


@pytest.fixture
def deployed(history: History, call: Call) -> History:
    """A home with a deployed environment that is suspended, and views at the head of its log."""
    history.deployed("a")
    history.suspended()
    call("views", "rebuild")
    return history


@pytest.mark.parametrize("argv", READING, ids=" ".join)
def test_whoever_looks_waits_for_nothing_heavy(deployed: History, argv: tuple[str, ...]) -> None:
    del deployed
    found = imported(*argv)
    assert f"cli.{argv[0]}" in found.modules
    assert (found.code, set(found.packages & (CLIENTS | SCHEMAS))) == (0, set())
    assert not found.modules & {"gitops.config", "events.sqlite_writer", "events.chain"}


@pytest.mark.parametrize("argv", IN_VAIN, ids=" ".join)
def test_nor_does_who_looks_for_what_is_not_there(deployed: History, argv: tuple[str, ...]) -> None:
    del deployed
    found = imported(*argv)
    assert f"cli.{argv[0]}" in found.modules
    assert (found.code, set(found.packages & (CLIENTS | SCHEMAS))) == (1, set())


@pytest.mark.parametrize("argv", APPENDING, ids=" ".join)
def test_whoever_changes_the_log_alone_waits_for_no_client(deployed: History, argv: tuple[str, ...]) -> None:
    del deployed
    found = imported(*argv)
    assert (found.code, set(found.packages & (CLIENTS | {"yaml"}))) == (0, set())
    rooms = {"projections.engine.docker", "projections.converge.converger", "gitops.config", "gitops.source"}
    assert not found.modules & rooms


def test_going_back_reads_no_schema_of_a_file_that_is_not_there(deployed: History) -> None:
    del deployed
    found = imported("rollback", "--env", "prod", "--to-version", "none", "--reason", "a fair")
    assert (found.code, set(found.packages & CLIENTS)) == (1, set())
    assert "gitops.config" not in found.modules


def test_the_log_is_verified_without_the_operators_schemas(deployed: History) -> None:
    del deployed
    found = imported("audit", "verify")
    assert (found.code, set(found.packages & (CLIENTS | SCHEMAS))) == (0, {"cryptography"})


@pytest.mark.parametrize("entry", CONTENTS, ids=lambda entry: entry.name)
def test_the_help_of_a_command_imports_what_the_parser_does(entry: Entry) -> None:
    found = imported(entry.name, "--help")
    assert (found.code, set(found.packages & (CLIENTS | SCHEMAS))) == (0, set())
