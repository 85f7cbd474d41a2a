"""References are read as Compose reads them."""

from __future__ import annotations

import pytest

from events.references import (
    UnclearReferenceError,
    all_references,
    filled,
    mapped_texts,
    missing,
    names_of,
    needing,
    parts,
    plain,
    references,
)

VALUES = {"A": "a$b", "EMPTY": ""}

FILLED = (
    ("plain", "plain"),
    ("$A", "a$b"),
    ("${A}", "a$b"),
    ("x${A}y", "xa$by"),
    ("$A.$A", "a$b.a$b"),
    ("$$A $${A}", "$A ${A}"),
    ("$$$A", "$a$b"),
    ("${NONE}", ""),
    ("${NONE:-x}", "x"),
    ("${NONE-x}", "x"),
    ("${EMPTY:-x}", "x"),
    ("${EMPTY-x}", ""),
    ("${A:-x}", "a$b"),
    ("${A:+x}", "x"),
    ("${A+x}", "x"),
    ("${EMPTY:+x}", ""),
    ("${EMPTY+x}", "x"),
    ("${NONE:+x}", ""),
    ("${A:?words}", "a$b"),
    ("${NONE:-${A}}", "a$b"),
    ("${NONE:-${ALSO:-${A}}}!", "a$b!"),
    ("${NONE:-a$$b}", "a$b"),
    ('${NONE:-{"a":1}}', '{"a":1}'),
    ("${NONE:-}", ""),
    ("5$", "5$"),
    ("${}", "${}"),
)


@pytest.mark.parametrize(("text", "expected"), FILLED)
def test_a_text_is_filled_in(text: str, expected: str) -> None:
    assert filled(text, VALUES) == expected


@pytest.mark.parametrize("text", [text for text, _expected in FILLED])
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(one if isinstance(one, str) else one.text for one in parts(text)) == text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("${NONE}", ["NONE"]),
        ("$NONE and ${A}", ["NONE"]),
        ("${EMPTY}", []),
        ("${EMPTY:?e}", ["EMPTY"]),
        ("${EMPTY?e}", []),
        ("${NONE:-x}", []),
        ("${NONE:-${OTHER}}", ["OTHER"]),
        ("${A:-${OTHER}}", []),
        ("${A:+${OTHER}}", ["OTHER"]),
        ("${NONE:+${OTHER}}", []),
        ("$$NONE", []),
    ],
)
def test_what_a_text_cannot_do_without(text: str, names: list[str]) -> None:
    assert missing(text, VALUES) == names


@pytest.mark.parametrize("text", ["${A:-{}}", "${A:-{{x}}}", "${A:-x", "${A:-${B:-x}"])
def test_braces_that_may_be_counted_in_two_ways_are_not_guessed(text: str) -> None:
    with pytest.raises(UnclearReferenceError):
        references(text)


def test_names_in_defaults_and_those_that_are_passed_on_count() -> None:
    definition = {
        "environment": {"PASSED": None, "X": "${B:-${A}}"},
        "command": ["echo", "$$NOT", "$C"],
        "ports": [{"target": 80}],
    }
    assert names_of(definition) == ("A", "B", "C", "PASSED")
    assert [one.name for one in all_references("${B:-${A}}")] == ["B", "A"]


def test_an_error_of_a_reference_can_be_taken_off_and_put_on() -> None:
    assert plain("a${X:?say}b${Y?}${Z:-z}$$") == "a${X}b${Y}${Z:-z}$$"
    assert needing("${X}$Y${Z:-z}") == (
        "${X?name the file with --env-file}${Y?name the file with --env-file}${Z:-z}"
    )
    assert mapped_texts({"a": ["x", 1, {"b": "x"}]}, str.upper) == {"a": ["X", 1, {"b": "X"}]}
