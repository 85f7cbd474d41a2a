"""A `.dockerignore` means what Docker takes it to mean."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
from docker.utils.build import PatternMatcher
from hypothesis import given
from hypothesis import strategies as st

from gitops.builds.ignore import ignored


@pytest.mark.parametrize(
    ("text", "path", "out"),
    [
        ("node_modules", "node_modules/a/b.js", True),
        ("node_modules", "app/node_modules/b.js", False),
        ("**/node_modules", "app/node_modules/b.js", True),
        ("**/node_modules", "node_modules/b.js", True),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("*/temp*", "a/temporary.txt", True),
        ("*/temp*", "a/b/temp", False),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("**", "any/thing", True),
        ("**.go", "a/b.go", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z/file", True),
        ("[ab].c", "a.c", True),
        ("[^ab].c", "c.c", True),
        ("[^ab].c", "a.c", False),
        ("\\*.c", "a.c", False),
        ("\\*.c", "*.c", True),
        ("/root.txt", "root.txt", True),
        ("./sub/../root.txt", "root.txt", True),
        ("../outside", "outside", True),
        ("# comment\n\n \nx", "x", True),
        ("#x", "#x", False),
        ("*\n!keep", "keep/this", False),
        ("*\n!keep\nkeep/secret", "keep/secret", True),
        ("*\n!keep/*.md", "keep/a.txt", True),
        (".", "x", False),
        ("!", "x", False),
        ("", "x", False),
    ],
)
def test_left_out(text: str, path: str, *, out: bool) -> None:
    assert (path in ignored(text)) is out


_PARTS = st.sampled_from(["a", "b", "ab", "c.md"])
_PATHS = st.lists(_PARTS, min_size=1, max_size=4).map("/".join)
_PATTERN_PARTS = st.lists(st.sampled_from(["a", "b", "ab", "*", "a*", "?", "*.md"]), min_size=1, max_size=3)


def _pattern(mark: str, parts: list[str]) -> str:
    return mark + "/".join(parts)


_PATTERNS = st.builds(_pattern, st.sampled_from(["", "", "!"]), _PATTERN_PARTS)


@given(patterns=st.lists(_PATTERNS, max_size=4), path=_PATHS)
def test_agrees_with_dockers_own_library(patterns: list[str], path: str) -> None:
    assert (path in ignored("\n".join(patterns))) == _by_docker(patterns, path)


def _by_docker(patterns: list[str], path: str) -> bool:
    """What the library of Docker says, which lets `*` cross folders: patterns with it are asked per depth."""
    out = False
    for pattern in patterns:
        body = pattern.removeprefix("!")
        top = "/".join(path.split("/")[: body.count("/") + 1])
        if top.count("/") == body.count("/") and cast("Any", PatternMatcher([body])).matches(top):
            out = not pattern.startswith("!")
    return out


def test_a_hostile_pattern_costs_little_time() -> None:
    rules = ignored("\n".join(["*a" * 60 + "b", "**/" * 100 + "x", "[" * 200]))
    path = "/".join(["a" * 200] * 20)
    began = time.process_time()
    assert path not in rules
    assert time.process_time() - began < 1
