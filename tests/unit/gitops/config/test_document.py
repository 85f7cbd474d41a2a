"""A configuration file as data with positions."""

from __future__ import annotations

import pytest

from events.kernel.errors import UserError
from gitops.config.document import load_document
from gitops.config.faults import CONFIG_INVALID
from gitops.yamlnodes import Mark


def refusal(content: str) -> UserError:
    with pytest.raises(UserError) as caught:
        load_document("stagecraft.yml", content.encode())
    assert caught.value.code == CONFIG_INVALID
    return caught.value


def test_every_key_and_item_has_its_position() -> None:
    document = load_document("f.yml", b"a:\n  b: 1\n  c:\n    - x\n    - y: 2\n")
    assert document.data == {"a": {"b": 1, "c": ["x", {"y": 2}]}}
    assert document.marks[("a", "b")] == Mark(line=2, column=3)
    assert document.marks[("a", "c", 1)] == Mark(line=5, column=7)
    assert document.marks[("a", "c", 1, "y")] == Mark(line=5, column=7)


def test_a_fault_takes_the_position_of_the_nearest_key_above() -> None:
    document = load_document("f.yml", b"a:\n  b: {}\n")
    fault = document.fault(("a", "b", "missing", "deeper"), "m")
    assert (fault.place.line, fault.place.key) == (2, "a.b.missing.deeper")
    assert document.fault(("x",), "m").place.line is None


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"---\n", b"{}"])
def test_an_empty_file_has_no_keys(content: bytes) -> None:
    assert load_document("f.yml", content).data == {}


def test_merged_keys_are_taken() -> None:
    document = load_document("f.yml", b"x: &x {a: 1}\ny: {<<: *x, b: 2}\n")
    assert document.data["y"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("content", "message", "line", "key"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a' is given twice, first in line 1", 3, "a"),
        ("a:\n  b: 1\n  b: 2\n", "'b' is given twice, first in line 2", 3, "a.b"),
        ("1: x\n", "the key '1' is not text", 1, "1"),
        ("a: {on: x}\n", "the key 'True' is not text", 1, "a.True"),
        ("- a\n", "it must hold keys and values", 1, None),
        ("just text\n", "it must hold keys and values", 1, None),
        ("a: 1\n---\nb: 2\n", "it holds a second document", 3, None),
        ("a: [\n", "not a configuration file", 2, None),
        ("a: !!python/name:os.system x\n", "the tag", 1, None),
        ("? [x]\n: 1\n", "plain value", 1, None),
    ],
)
def test_a_broken_file_is_refused_with_its_place(
    content: str, message: str, line: int, key: str | None
) -> None:
    error = refusal(content)
    assert message in error.message
    assert (error.where.file, error.where.line, error.where.key) == ("stagecraft.yml", line, key)


def test_all_double_keys_are_named_at_once() -> None:
    error = refusal("a: 1\na: 2\nb: 1\nb: 2\n")
    assert error.message.startswith("2 rules are broken:")
    assert "stagecraft.yml:4:1, key b" in error.message
    assert error.where.line == 2
