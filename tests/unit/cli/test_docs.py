"""The reference pages say what their sources say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from cli import docs
from cli.docs_tables import schema_table
from events.catalog import event_classes
from events.kernel.errors import declared_codes


class Inner(BaseModel):
    role: Literal["app", "db"] = "app"
    many: Annotated[int, Field(gt=0)] = 2


class Outer(BaseModel):
    name: str = Field(description="What | people\ncall it.")
    services: dict[str, Inner] = Field(default_factory=dict[str, Inner], description="By name.")
    hosts: list[Inner | int] | None = None
    on: bool = Field(default=False, alias="enabled")


class Bare(BaseModel):
    pass


def test_a_schema_becomes_a_table_with_dotted_keys() -> None:
    (table,) = schema_table(Outer)
    assert table.splitlines() == [
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
        "| `name` | text | required | What \\| people call it. |",
        "| `services` | mapping of mapping |  | By name. |",
        "| `services.<name>.role` | `app` or `db` | `app` |  |",
        "| `services.<name>.many` | integer | `2` |  |",
        "| `hosts` | list of mapping or integer or nothing |  |  |",
        "| `hosts[].role` | `app` or `db` | `app` |  |",
        "| `hosts[].many` | integer | `2` |  |",
        "| `enabled` | true or false | `false` |  |",
    ]


def test_a_schema_without_keys_has_no_table() -> None:
    assert not list(schema_table(Bare))


def test_every_event_has_a_section() -> None:
    headings = [part[3:] for part in docs.event_sections() if part.startswith("## ")]
    assert sorted(headings) == list(event_classes())


def test_every_error_code_of_every_room_is_listed() -> None:
    (table,) = docs.error_sections()
    listed = [line.split("`")[1] for line in table.splitlines()[2:]]
    assert listed == sorted(declared_codes())
    assert "compose-client-missing" in listed


def test_every_command_has_a_section_and_help_is_told_once() -> None:
    sections = list(docs.command_sections())
    assert sections[0] == "## stagecraft"
    assert "## stagecraft releases list" in sections
    assert not [part for part in sections if "`--help`" in part]


def test_pages_are_written_and_stale_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "removed.md").write_text("of a page that was")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "removed.schema.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["docs", str(tmp_path)])
    assert docs.main() == 0
    pages = sorted(tmp_path.glob("*.md"))
    assert {path.name for path in pages} == {page.name for page in docs.PAGES}
    for page in pages:
        text = page.read_text()
        assert text.startswith(docs.GENERATED)
        assert text.endswith("\n")
        assert "\n\n\n" not in text


def test_a_call_without_a_folder_says_how(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["docs"])
    assert docs.main() == 1
    assert "usage" in capsys.readouterr().err
