"""YAML is bounded before it is built."""

from __future__ import annotations

import time

import pytest
from yaml.nodes import MappingNode, ScalarNode

from gitops.yamlnodes import Mark, YamlFaultError, compose_documents, is_null, mapping_items, scalar_value


def fault_of(content: str | bytes) -> YamlFaultError:
    with pytest.raises(YamlFaultError) as caught:
        compose_documents(content if isinstance(content, bytes) else content.encode())
    return caught.value


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_an_alias_bomb_is_refused_at_once() -> None:
    started = time.monotonic()
    assert "expand to more than 100000 values" in fault_of(bomb(9)).message
    assert time.monotonic() - started < 1


def test_harmless_aliases_are_taken() -> None:
    assert len(compose_documents(bomb(3).encode())) == 1


def test_an_alias_that_contains_itself_is_refused() -> None:
    assert "contains itself" in fault_of("a: &a [*a]").message


def test_too_many_values_are_refused_before_anything_is_built() -> None:
    assert "more than 100000 values" in fault_of("[" + "1," * 100_001 + "]").message


def test_deep_nesting_is_refused_without_recursion() -> None:
    assert "nested deeper" in fault_of("[" * 5000).message


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!own", "!!binary", "!!set", "!reset"])
def test_tags_are_refused(tag: str) -> None:
    fault = fault_of(f"a:\n  b: {tag} [x]")
    assert "tag" in fault.message
    assert fault.mark == Mark(line=2, column=6)


def test_tags_of_compose_are_taken_where_they_are_named() -> None:
    assert compose_documents(b"a: !reset []", tags=["!reset"])


def test_the_tags_of_plain_values_are_taken() -> None:
    assert compose_documents(b"a: !!str 1")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\xff", b"a: \x00", b"a: [", b"a: b: c", b"\ta: 1", b"a: \xed\xa0\x80"]
)
def test_what_is_not_yaml_is_a_fault_and_no_crash(content: bytes) -> None:
    assert fault_of(content).message


def test_a_parse_error_has_its_position() -> None:
    assert fault_of("a: 1\nb: ]").mark == Mark(line=2, column=4)


def test_no_document_is_an_empty_list() -> None:
    assert compose_documents(b"") == []
    assert compose_documents(b"# nothing\n") == []


def mapping(content: str) -> MappingNode:
    node = compose_documents(content.encode())[0]
    assert isinstance(node, MappingNode)
    return node


def test_merged_keys_give_way_to_own_ones() -> None:
    root = mapping("base: &b {x: 1, y: 2}\nown: {<<: *b, x: 3}")
    own = mapping_items(root)[1][1]
    assert isinstance(own, MappingNode)
    values = {key.value: value.value for key, value in mapping_items(own)}
    assert values == {"x": "3", "y": "2"}


def test_a_merge_of_something_else_is_a_fault() -> None:
    with pytest.raises(YamlFaultError, match="mapping"):
        mapping_items(mapping("<<: 3"))


def test_a_key_that_is_a_list_is_a_fault() -> None:
    with pytest.raises(YamlFaultError, match="plain value"):
        mapping_items(mapping("? [a]\n: 1"))


def test_scalars_have_their_yaml_types() -> None:
    items = {key.value: value for key, value in mapping_items(mapping("a: 1\nb: yes\nc:\nd: x\ne: 1.5"))}
    values = {name: scalar_value(node) for name, node in items.items() if isinstance(node, ScalarNode)}
    assert values == {"a": 1, "b": True, "c": None, "d": "x", "e": 1.5}
    assert is_null(items["c"])
    assert not is_null(items["d"])


@pytest.mark.parametrize("text", ["2024-99-99", "!!int x", "!!bool x", "!!int ''"])
def test_a_value_that_its_type_does_not_have_is_a_fault(text: str) -> None:
    node = mapping_items(mapping(f"a: {text}"))[0][1]
    assert isinstance(node, ScalarNode)
    with pytest.raises(YamlFaultError):
        scalar_value(node)
