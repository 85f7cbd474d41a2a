"""A Compose document as YAML that a person can read and Compose reads back to the same values.

Readers differ in which plain words are numbers or booleans (`1e3`, `0o17`, `on`), so every text that is
not plainly a word or a path is quoted. A dump by the library's own rules was dropped: it follows YAML 1.1,
and Compose does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_NOT_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_WIDTH = 1_000_000  # one line for each value: folded text is hard to search


class _Dumper(yaml.SafeDumper):
    """Quotes whatever another reader might not take as text, and never writes an anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002  # the library's own signature
        """Two equal parts are written twice."""
        return True


def _text(_dumper: _Dumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _NOT_WORDS
    return yaml.ScalarNode("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def readable_yaml(document: Mapping[str, Any]) -> str:
    """The document as YAML, keys sorted: the same document gives the same text."""
    return yaml.dump(dict(document), Dumper=_Dumper, allow_unicode=True, width=_WIDTH, sort_keys=True)
