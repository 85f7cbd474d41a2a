"""YAML that every reader takes the same way."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from projections.converge.readable import readable_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    ["1e3", "0o17", "on", "No", "null", "~", "12:30", "", " x", "a: b", "#c", "*x", "1_000", ".inf", "-"],
)
def test_what_another_reader_may_take_for_something_else_is_quoted(text: str) -> None:
    assert readable_yaml({"A": text}).startswith('A: "')


@pytest.mark.parametrize("text", ["web", "/srv/data", "stop-first", "a.b_c"])
def test_plain_words_and_paths_stay_plain(text: str) -> None:
    assert readable_yaml({"A": text}) == f"A: {text}\n"


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_it_reads_back_to_the_same_values(document: dict[str, Any]) -> None:
    assert yaml.safe_load(readable_yaml(document)) == document


def test_equal_parts_are_written_twice_and_long_text_on_one_line() -> None:
    part = {"x": "long " * 100}
    text = readable_yaml({"a": part, "b": part})
    assert "&" not in text
    assert len(text.splitlines()) == 4
