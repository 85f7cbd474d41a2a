"""References to variables in a text of a Compose document: `$NAME`, `${NAME}`, `${NAME:-text}` and the like.

Compose alone interpolates. This is read where Stagecraft has to know which variables a text waits for: while
rendering, to leave those of a host's file in the document, and on the way to the host, to refuse a name that
the file lacks before anything is touched. The grammar is Compose's: `$$` is a dollar sign, a reference may
stand in the text behind an operator, and that text ends at the brace that closes it. Where counting braces
may be read in two ways the text is refused by whoever asks (`UnclearReferenceError`), never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_OPERATOR = re.compile(r":?[-?+]")


class UnclearReferenceError(ValueError):
    """A text holds a reference that two readers may end at different places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One reference; in its argument there may be more."""

    name: str
    operator: str = ""  # one of `:-`, `-`, `:?`, `?`, `:+`, `+`, or none
    argument: str = ""  # what stands behind the operator, as written
    text: str  # the whole of it, as written

    @property
    def has_default(self) -> bool:
        """Whether it comes to something without the variable."""
        return self.operator.lstrip(":") in {"-", "+"}

    @property
    def canonical(self) -> str:
        """The same with braces."""
        return f"${{{self.name}{self.operator}{self.argument}}}"

    def plain(self) -> Reference:
        """The same without an error of its own: `${NAME:?words}` as `${NAME}`."""
        if not self.operator.endswith("?"):
            return self
        return Reference(name=self.name, text=f"${{{self.name}}}")


def parts(text: str) -> list[str | Reference]:
    """The text in pieces: literal ones as written, with `$$` kept, and references.

    Raises UnclearReferenceError.
    """
    found: list[str | Reference] = []
    literal, at = "", 0
    while (sign := text.find("$", at)) >= 0:
        literal += text[at:sign]
        reference = _reference(text, sign)
        if reference is None:
            at = sign + (2 if text.startswith("$$", sign) else 1)
            literal += text[sign:at]
            continue
        found += [*([literal] if literal else []), reference]
        literal, at = "", sign + len(reference.text)
    literal += text[at:]
    return [*found, *([literal] if literal else [])]


def references(text: str) -> list[Reference]:
    """The outermost references of a text, in order. Raises UnclearReferenceError."""
    return [one for one in parts(text) if isinstance(one, Reference)]


def all_references(text: str) -> Iterator[Reference]:
    """The references of a text and those in their arguments. Raises UnclearReferenceError."""
    for one in references(text):
        yield one
        yield from all_references(one.argument)


def missing(text: str, values: Mapping[str, str]) -> list[str]:
    """The names without which the text cannot be filled in: not in `values` and without a default."""
    return [
        name
        for one in references(text)
        for name in _missing(one, values, is_set=_is_set(one, values.get(one.name)))
    ]


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text as Compose would interpolate it, `$$` undone; a name without a value is blank."""
    return "".join(
        one.replace("$$", "$") if isinstance(one, str) else _filled(one, values) for one in parts(text)
    )


def plain(text: str) -> str:
    """The text with every reference that would be an error of Compose's without one."""
    return "".join(one if isinstance(one, str) else one.plain().text for one in parts(text))


def needing(text: str) -> str:
    """The text with an error for each variable that must not be blank because it was forgotten."""
    return "".join(one if isinstance(one, str) else _needing(one) for one in parts(text))


def mapped_texts(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401  # a JSON value
    """A JSON value with every text changed, keys aside."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            key: mapped_texts(inner, change) for key, inner in cast("Mapping[str, object]", value).items()
        }
    if isinstance(value, list):
        return [mapped_texts(inner, change) for inner in cast("list[object]", value)]
    return value


def texts_of(value: object) -> Iterator[str]:
    """Every text in a JSON value, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in cast("dict[str, object]", value).values():
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from texts_of(inner)


def passed_on(definition: Mapping[str, Any]) -> list[str]:
    """The variables that a service takes as they are, or does without: `environment: [NAME]`."""
    given: Mapping[str, object] = definition.get("environment") or {}
    return sorted(name for name, value in given.items() if value is None)


def names_of(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """All variables that a service of a final document refers to, sorted."""
    found = {one.name for text in texts_of(dict(definition)) for one in all_references(text)}
    return tuple(sorted({*found, *passed_on(definition)}))


def _needing(one: Reference) -> str:
    return one.text if one.operator else f"${{{one.name}?name the file with --env-file}}"


def _missing(one: Reference, values: Mapping[str, str], *, is_set: bool) -> list[str]:
    if one.operator in {"", "?", ":?"}:
        return [] if is_set else [one.name]
    takes_argument = is_set if one.operator.endswith("+") else not is_set
    return missing(one.argument, values) if takes_argument else []


def _filled(one: Reference, values: Mapping[str, str]) -> str:
    value = values.get(one.name)
    is_set = _is_set(one, value)
    if one.operator.endswith("+"):
        return filled(one.argument, values) if is_set else ""
    if one.operator.endswith("-") and not is_set:
        return filled(one.argument, values)
    return value or ""


def _is_set(one: Reference, value: str | None) -> bool:
    """Whether a value counts; with a colon an empty one does not."""
    return bool(value) if one.operator.startswith(":") else value is not None


def _reference(text: str, sign: int) -> Reference | None:
    """The reference that starts at a dollar sign; None for a doubled or a lone one."""
    if named := _NAME.match(text, sign + 1):
        return Reference(name=named[0], text=text[sign : named.end()])
    if not text.startswith("{", sign + 1):
        return None
    named = _NAME.match(text, sign + 2)
    if named is None:
        return None
    if text.startswith("}", named.end()):
        return Reference(name=named[0], text=text[sign : named.end() + 1])
    operator = _OPERATOR.match(text, named.end())
    if operator is None:
        return None
    end = _closing(text, sign + 1)
    return Reference(
        name=named[0],
        operator=operator[0],
        argument=text[operator.end() : end],
        text=text[sign : end + 1],
    )


def _closing(text: str, opening: int) -> int:
    """Where the brace at `opening` is closed. Raises UnclearReferenceError.

    Compose skips the character behind each brace that opens; where that matters nobody should have to know.
    """
    depth = 0
    for at in range(opening, len(text)):
        if text[at] == "{":
            if text[at + 1 : at + 2] in {"{", "}"}:
                break
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    raise UnclearReferenceError
