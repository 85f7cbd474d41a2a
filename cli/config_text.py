"""Findings and configurations as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gitops.config.plain import is_mapping

if TYPE_CHECKING:
    from gitops.config.faults import KeyPath
    from gitops.effective import Effective
    from gitops.findings import Finding


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """One line for each, as compilers write them, and one with the sum."""
    for one in findings:
        place = ":".join(str(part) for part in (one.file, one.line, one.column) if part is not None)
        key = f" ({one.key})" if one.key else ""
        yield f"{place}: {one.severity}: {one.code}: {one.message}{key}"
    counted = Counter(str(one.severity) for one in findings)
    yield ", ".join(f"{word}: {counted[kind]}" for kind, word in _WORDS) if findings else "no findings"


_WORDS = (("error", "errors"), ("warning", "warnings"), ("info", "notes"))


def as_document(found: Effective, *, origins: bool) -> dict[str, Any]:
    """The values, or with `origins` both of them beside one another."""
    from gitops.config.faults import dotted

    if not origins:
        return found.values
    return {
        "configuration": found.values,
        "origins": {dotted(key): place for key, place in found.origins.items()},
    }


def commented_yaml(found: Effective) -> str:
    """YAML with the origin of each value behind it."""
    return "\n".join(_lines(found.values, found.origins, ()))


def _lines(values: dict[str, Any], origins: dict[KeyPath, str], key: KeyPath) -> Iterator[str]:
    indent = "  " * len(key)
    for name, value in values.items():
        at = (*key, name)
        if is_mapping(value) and value:
            yield f"{indent}{_flow(name)}:"
            yield from _lines(value, origins, at)
        else:
            comment = f"  # {origins[at]}" if at in origins else ""
            yield f"{indent}{_flow(name)}: {_flow(value)}{comment}"


def _flow(value: object) -> str:
    """A value on one line; JSON is YAML, and text that needs no quotes goes without."""
    import yaml

    if isinstance(value, str):
        plain = yaml.safe_dump(value, width=10**6, allow_unicode=True).removesuffix("\n...\n").rstrip("\n")
        return json.dumps(value) if "\n" in plain else plain
    return json.dumps(value)
