"""The command called in this process, in a folder and a home of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import run
from events.sqlite import SqliteEventLog
from tests.unit.projections.views.history import History


@dataclass(frozen=True, slots=True)
class Said:
    """How a call ended and what it printed."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is called in."""
    made = tmp_path / "My App"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home that the command uses; it does not exist yet."""
    made = tmp_path / "home"
    monkeypatch.setenv("STAGECRAFT_HOME", str(made))
    return made


@pytest.fixture
def call(folder: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command in this process."""
    del folder, home  # they prepare

    def called(*argv: str) -> Said:
        code = run(argv)
        printed = capsys.readouterr()
        return Said(code=code, out=printed.out, err=printed.err)

    return called


@pytest.fixture
def history(home: Path) -> Iterator[History]:
    """Writes into the log of the home."""
    log = SqliteEventLog(home / "events.db")
    yield History(log)
    log.close()
