"""What is printed: where, how clean, and what is left out."""

from __future__ import annotations

import io
import json
import sys

import pytest

from cli.console import Console, aligned, error_lines
from events.kernel.errors import InternalError, OutsideError, Where, error_code
from events.kernel.redact import REDACT

PROBE_FAILED = error_code("probe-failed", "A probe of the tests failed.")


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.line("result")
    console.json({"b": 1, "a": [True, None]})
    console.json({"b": 1}, compact=True)
    console.progress("pulling")
    console.warning("old")
    console.problem("it broke")
    printed = capsys.readouterr()
    assert printed.out == 'result\n{\n  "b": 1,\n  "a": [\n    true,\n    null\n  ]\n}\n{"b": 1}\n'
    assert printed.err == "pulling\nwarning: old\nit broke\n"


def test_quiet_leaves_results_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.line("result")
    console.progress("pulling")
    console.warning("old")
    console.problem("it broke")
    console.error(OutsideError(PROBE_FAILED, "no answer"))
    printed = capsys.readouterr()
    assert printed.out == "result\n"
    assert printed.err == "it broke\nerror: probe-failed: no answer\n"


def test_an_error_says_what_where_why_and_what_next() -> None:
    error = OutsideError(
        PROBE_FAILED,
        "no answer",
        where=Where(host="local", service="web"),
        why="first\nsecond",
        next="stagecraft status",
    )
    assert error_lines(error) == [
        "error: probe-failed: no answer",
        "  where: host local, service web",
        "  why: first\n    second",
        "  next: stagecraft status",
    ]


def test_no_control_character_and_no_secret_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    REDACT.learn("hunter2-hunter2")
    hostile = "\x1b[31mred\x07 https://me:pass@host/x hunter2-hunter2"
    console = Console()
    console.line(hostile)
    console.table(("A",), [(hostile,)])
    console.progress(hostile)
    console.problem(hostile)
    console.error(OutsideError(PROBE_FAILED, hostile, where=Where(host=hostile), why=hostile, next=hostile))
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "hunter2" not in text
        assert "pass" not in text
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "red" in text


def test_json_is_ascii_and_has_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": "\x1b[31m\u202eü"}
    Console().json(value)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "\x1b" not in printed
    assert json.loads(printed) == value


def test_columns_stand_below_one_another_without_trailing_spaces() -> None:
    assert aligned([("NAME", "STATE"), ("a", ""), ("longer", "x")]) == ["NAME    STATE", "a", "longer  x"]


def test_a_table_has_one_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("A", "B"), [("1\n2", "3")])
    assert capsys.readouterr().out == "A    B\n1 2  3\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_table_has_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    Console().table(("NAME", "STATE"), [("[bold]web[/bold]", "healthy")])
    assert "[bold]web[/bold]" in screen.getvalue()
    assert "healthy" in screen.getvalue()
    assert "\x1b[" in screen.getvalue()


def test_a_long_piece_of_work_is_told_by_tenths(capsys: pytest.CaptureFixture[str]) -> None:
    with Console().advancing("folding", unit="events") as advance:
        for done in (1, 9, 10, 11, 55, 100):
            advance(done, 100)
        advance(0, 10)
        advance(10, 10)
    with Console(quiet=True).advancing("folding", unit="events") as advance:
        advance(1, 1)
    assert capsys.readouterr().err.splitlines() == [
        "folding: 10 of 100 events",
        "folding: 55 of 100 events",
        "folding: 100 of 100 events",
        "folding: 10 of 10 events",
    ]


def test_on_a_terminal_a_long_piece_of_work_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Console().advancing("folding", unit="events") as advance:
        advance(30, 100)
    assert "folding" in stream.getvalue()
    assert "30/100" in stream.getvalue()


def test_a_dumb_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "dumb")
    Console().table(("NAME",), [("web",)])
    assert screen.getvalue() == "NAME\nweb\n"


def test_a_stream_that_cannot_show_a_letter_gets_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    Console().line("grün")
    assert written.getvalue() == b"gr\\xfcn\n"


def test_what_nobody_foresaw_becomes_an_internal_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InternalError) as caught, Console().explained():
        raise ZeroDivisionError("by nothing")
    assert caught.value.code == "internal-error"
    assert caught.value.why == "ZeroDivisionError: by nothing"
    assert capsys.readouterr().err == ""


def test_the_traceback_of_a_bug_is_shown_when_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InternalError), Console(verbose=True).explained():
        raise ZeroDivisionError("by nothing")
    assert "Traceback" in capsys.readouterr().err
    with pytest.raises(InternalError) as caught, Console(verbose=True).explained():
        raise InternalError(PROBE_FAILED, "a broken promise")
    assert caught.value.code == "probe-failed"
    assert "Traceback" in capsys.readouterr().err


def test_an_expected_error_passes_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OutsideError), Console(verbose=True).explained():
        raise OutsideError(PROBE_FAILED, "no answer")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("variables", "coloured"), [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)]
)
def test_each_source_has_a_colour_on_a_terminal_that_wants_any(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    for number in (0, 1, 10):
        Console().sourced("app-1 web.1", "\x1b[2Jpassword=hunter2", number=number)
    first, second, again = screen.getvalue().splitlines()
    assert first.endswith(" | password=***")
    assert (first == again) is True
    assert (first != second) is coloured
    assert ("\x1b[" in first) is coloured


def test_sources_are_plain_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Console().sourced("app-1 web.1 ", "up", number=3)
    assert capsys.readouterr().out == "app-1 web.1  | up\n"
