"""A program's output as lines, masked, each stream where it belongs."""

from __future__ import annotations

import pytest

from cli.console import Console
from cli.shown_lines import ShownLines


def test_pieces_become_masked_lines_and_streams_stay_apart(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ShownLines(Console(), "app-1 | ")
    lines.take(b"one\npass", error=False)
    lines.take(b"went wrong\n", error=True)
    lines.take(b"word=hunter2\n\x1b[31mred", error=False)
    shown = capsys.readouterr()
    assert shown.out == "app-1 | one\napp-1 | password=***\n"
    assert shown.err == "app-1 | went wrong\n"
    lines.end()
    lines.end()
    assert capsys.readouterr().out == "app-1 | red\n"


def test_a_line_that_never_ends_is_shown_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ShownLines(Console())
    for _ in range(20):
        lines.take(b"x" * 10_000, error=False)
    lines.end()
    assert [len(line) for line in capsys.readouterr().out.splitlines()] == [65536, 65536, 65536, 3392]
