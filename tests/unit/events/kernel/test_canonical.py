"""One byte form for each JSON value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kernel.canonical import canonical_json, digest_of, sha256_digest

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_read_back_has_the_same_bytes(value: Json) -> None:
    content = canonical_json(value)
    assert json.loads(content) == value
    assert canonical_json(json.loads(content)) == content


@given(st.dictionaries(st.text(), values, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, Json]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_json(turned) == canonical_json(value)
    assert digest_of(turned) == digest_of(value)


def test_there_are_no_spaces_and_no_needless_escapes() -> None:
    value = {"b": [1, 1.5, None, True], "a": 'ü/"\n\u2028'}
    assert canonical_json(value).decode() == '{"a":"ü/\\"\\n\u2028","b":[1,1.5,null,true]}'


def test_a_tuple_is_a_list() -> None:
    assert canonical_json({"a": (1, {"b": ()})}) == b'{"a":[1,{"b":[]}]}'


@pytest.mark.parametrize(
    "value", [{1: "a"}, {"a": [{None: 1}]}, {"a": ({True: 1},)}, {"a"}, b"bytes", object()]
)
def test_what_json_cannot_hold_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_has_no_bytes_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # three reasons, each in the words of the library
        canonical_json([value])


def test_a_digest_names_its_algorithm() -> None:
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha256_digest(b"") == empty
    assert digest_of({}) == sha256_digest(b"{}")
