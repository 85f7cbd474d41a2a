"""`releases export`: the state file to the letter, and a file that is whole or as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from projections.views.state_file import StateFile
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

PENDING = dict.fromkeys(("build", "push", "migrate_pre", "rollout", "migrate_post", "finalize"), "pending")


def test_a_home_without_a_log_exports_an_empty_list_and_gets_no_file(call: Call, home: Path) -> None:
    assert json.loads(call("releases", "export").out) == {"releases": []}
    assert not home.exists()


def test_releases_are_exported_oldest_first_with_exactly_the_keys_of_the_form(
    call: Call, history: History
) -> None:
    first = history.deployed("a", revision="c1")
    failed = history.requested("b", revision=None, previous=first)
    history.phase_completed(failed, "build")
    history.failed(failed)
    history.environment = "dev"
    other = history.requested("b", revision="c2")
    history.environment = "prod"
    third = history.requested("b", revision="c2", previous=first)
    said = call("releases", "export")
    exported = json.loads(said.out)
    assert list(exported) == ["releases"]
    assert exported["releases"][1] == {
        "id": failed,
        "environment": "prod",
        "version": "b",
        "commit_sha": "",
        "timestamp": "2026-01-02T03:04:09.000Z",
        "phases": PENDING | {"build": "completed"},
        "previous_id": first,
    }
    assert [(one["id"], one["previous_id"]) for one in exported["releases"]] == [
        (first, ""),
        (failed, first),
        (other, ""),
        (third, failed),
    ]
    assert StateFile.decode(said.out.encode()).encode().decode() == said.out
    only = json.loads(call("releases", "export", "--env", "dev").out)
    assert [one["id"] for one in only["releases"]] == [other]


def test_environments_of_several_projects_are_told_apart(call: Call, history: History) -> None:
    history.requested("a")
    history.project = "blog"
    history.requested("b")
    exported = json.loads(call("releases", "export").out)["releases"]
    assert [(one["environment"], one["previous_id"]) for one in exported] == [
        ("shop/prod", ""),
        ("blog/prod", ""),
    ]


@pytest.mark.parametrize(("key", "value"), [("environment", ""), ("version", ""), ("id", "rel-1")])
def test_a_state_file_without_an_environment_a_version_or_an_id_is_refused(
    call: Call, history: History, key: str, value: str
) -> None:
    history.requested("a")
    exported = json.loads(call("releases", "export").out)
    exported["releases"][0][key] = value
    with pytest.raises(ValidationError):
        StateFile.decode(json.dumps(exported).encode())


def test_the_file_is_the_one_of_the_flag_then_that_of_the_variable(
    call: Call, history: History, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.requested("a")
    printed = call("releases", "export").out
    monkeypatch.setenv("STAGECRAFT_STATE_FILE", str(folder / "variable.json"))
    assert call("releases", "export", "--output", "flag.json").out == ""
    assert [path.name for path in folder.iterdir()] == ["flag.json"]
    assert (folder / "flag.json").read_text() == printed
    history.requested("b")
    assert call("releases", "export").out == ""
    assert len(json.loads((folder / "variable.json").read_text())["releases"]) == 2
    assert (folder / "flag.json").read_text() == printed


def test_a_file_that_cannot_be_written_is_an_error_and_nothing_is_left(
    call: Call, history: History, folder: Path
) -> None:
    history.requested("a")
    (folder / "taken").mkdir()
    said = call("releases", "export", "--output", "taken")
    assert said.code == 2
    assert "output-unwritable" in said.err
    assert os.listdir(folder) == ["taken"]  # noqa: PTH208  # hidden files too
    assert not list((folder / "taken").iterdir())
