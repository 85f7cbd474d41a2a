"""References to variables of a host's file, which stay references in the rendered document.

An environment whose `env_file` is an absolute path has variables that only its hosts know. What the Compose
files refer to and no layer of the repository sets is such a variable. A render reads no file of a host: it
carries each reference through Compose as a mark (`gitops.compose.marks`) and writes it into the document
again, with its default or its error as written. The client that acts on the host fills it in.

Only where a service takes a text can a text be filled in later (`is_text_place`). Where each reference
stands is Compose's own answer, a load that fills nothing in, so that overlays, anchors and extended services
count as they do for Compose. A variable that is also used elsewhere (an image, a port, a number, a path) is
none of the host's at all: everything about it must be known when the Manifest is made. It comes to its
default, with a note, or is refused by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from events.kernel.errors import UserError, Where, error_code
from events.references import Reference, all_references, parts, references
from gitops.compose.marks import HOST_REFERENCE_UNCLEAR, Marked, Source, look_through, marked
from gitops.findings import Finding, FindingCode
from gitops.source.paths import shown

HOST_VARIABLE_MISPLACED = error_code(
    "host-variable-misplaced",
    "A variable that only a host's file may have is used where a Manifest needs the value itself.",
)

Ask = Callable[[Mapping[str, str | None]], Awaitable[dict[str, str | None]]]
"""Texts by name as Compose fills them in, with `$` doubled; for None the variable of that name."""

_TEXT_KEYS = frozenset({"annotations", "command", "entrypoint", "environment", "labels"})
_TEXT_KEYS_BELOW = {
    "healthcheck": frozenset({"test"}),
    "logging": frozenset({"options"}),
    "post_start": frozenset({"command", "environment"}),
    "pre_stop": frozenset({"command", "environment"}),
}
_DROPPED = frozenset({"develop"})  # never reaches a host
_SERVICE_DEPTH = 3  # services, its name, its key


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What a render knows of the variables."""

    files: Mapping[str, bytes]  # the Compose files
    supplied: Collection[str]  # set for some of the files alone
    outside: Collection[str]  # services that take no part
    host_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholders:
    """The references that are left to the host's file."""

    marked: Marked = field(default_factory=lambda: Marked(files={}))
    texts: dict[str, str] = field(default_factory=dict[str, str])  # by mark
    findings: tuple[Finding, ...] = ()

    def written(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with references in place of marks. Raises UserError `host-variable-misplaced`."""
        return self._written(document, ()) if self.texts else document

    def _written(self, value: Any, place: tuple[str, ...]) -> Any:  # noqa: ANN401  # a JSON value
        if isinstance(value, dict):
            inner = cast("dict[str, Any]", value)
            for key in inner:
                if found := self.marked.in_text(key):
                    raise misplaced(found[0].name, (*place, "(a name)"))
            return {key: self._written(one, (*place, key)) for key, one in inner.items()}
        if isinstance(value, list):
            return [
                self._written(one, (*place, str(at))) for at, one in enumerate(cast("Iterable[Any]", value))
            ]
        if not isinstance(value, str) or not (found := self.marked.in_text(value)):
            return value
        if not (is_text_place(place) or _is_dropped(place)):
            raise misplaced(found[0].name, place)
        return self.marked.replaced(value, self.texts)


async def place(
    layers: Layers,
    *,
    ask: Ask,
    put: Callable[[Mapping[str, bytes]], Awaitable[None]],
    load: Callable[[], Any],
) -> Placeholders | None:
    """Exchange the references for marks in the files that `put` writes; None when there is none.

    `load` answers the project with nothing filled in. Raises UserError `host-variable-misplaced` and
    `host-reference-unclear`.
    """
    sources = [look_through(path, content) for path, content in sorted(layers.files.items())]
    names = {name for source in sources for name in source.names()} - set(layers.supplied)
    if not names:
        return None
    set_ones = await ask(dict.fromkeys(sorted(names)))
    names = {name for name in names if set_ones.get(name) is None}
    if not names:
        return None
    first = marked(sources, names)
    await put(first.files)
    elsewhere = _elsewhere(first, await load(), layers.outside)
    for name, at in elsewhere.items():
        _refuse_without_default(name, sources, at)
    final = first
    if elsewhere:
        final = marked(sources, names - elsewhere.keys())
        originals = {path: layers.files[path] for path in first.files}
        await put({**originals, **final.files})
    return Placeholders(
        marked=final,
        texts=await _texts(final, names - elsewhere.keys(), ask),
        findings=tuple(_not_asked(name, at, layers.host_file) for name, at in sorted(elsewhere.items())),
    )


def is_text_place(place: tuple[str, ...]) -> bool:
    """Whether a text at these keys of a document reaches a container, or the engine, as it is."""
    if len(place) < _SERVICE_DEPTH or place[0] != "services":
        return False
    below = [part for part in place[3:] if not part.isdigit()]
    return place[2] in _TEXT_KEYS or (bool(below) and below[0] in _TEXT_KEYS_BELOW.get(place[2], ()))


def misplaced(name: str, place: tuple[str, ...]) -> UserError:
    """The error for a variable at keys where a value is needed."""
    at = shown(".".join(place))
    return UserError(
        HOST_VARIABLE_MISPLACED,
        f"${{{name}}} is used in {at}, where no value of a host's file can be filled in",
        where=Where(key=at, service=shown(place[1]) if place[0] == "services" and len(place) > 1 else None),
        why="what an image, a port, a number or a path is must be known before anything runs",
        next=f"give it a default, as in ${{{name}:-value}}, or set {name} in a file of the repository",
    )


def _is_dropped(place: tuple[str, ...]) -> bool:
    if place[0].startswith("x-"):
        return True
    at_service = place[0] == "services" and len(place) >= _SERVICE_DEPTH
    return at_service and (place[2].startswith("x-") or place[2] in _DROPPED)


def _elsewhere(
    files: Marked, document: Mapping[str, Any], outside: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """The first place of each variable that is used where no text is."""
    found: dict[str, tuple[str, ...]] = {}
    for place_, text in _texts_of(document, ()):
        is_outside = place_[0] == "services" and place_[1] in outside
        if is_outside or is_text_place(place_) or _is_dropped(place_):
            continue
        for outermost in files.in_text(text):
            for one in (outermost, *all_references(outermost.argument)):
                found.setdefault(one.name, place_)
    return found


def _texts_of(value: object, place_: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, inner in sorted(cast("dict[str, object]", value).items()):
            yield from _texts_of(inner, (*place_, key))
    elif isinstance(value, list):
        for at, inner in enumerate(cast("list[object]", value)):
            yield from _texts_of(inner, (*place_, str(at)))
    elif isinstance(value, str):
        yield place_, value


def _refuse_without_default(name: str, sources: Iterable[Source], at: tuple[str, ...]) -> None:
    """Raise UserError `host-variable-misplaced` when some reference to it comes to nothing by itself."""
    for source in sources:
        for node, _split in source.texts:
            if any(one.name == name and not one.has_default for one in all_references(node.value)):
                raise misplaced(name, at)


def _not_asked(name: str, at: tuple[str, ...], host_file: str) -> Finding:
    where = shown(".".join(at))
    return Finding(
        code=FindingCode.HOST_VARIABLE_NOT_ASKED,
        message=f"{host_file} is not asked for {name}, which is used in {where}: its default counts",
        key=where,
    )


async def _texts(files: Marked, names: Collection[str], ask: Ask) -> dict[str, str]:
    """What stands in the document for each mark; variables of the repository in defaults are filled in."""
    known = {
        inner.text
        for one in files.marks.values()
        for inner in _in_arguments(one, names)
        if inner.name not in names
    }
    asked = {f"TEXT_{number}": text for number, text in enumerate(sorted(known))}
    answers = await ask(asked) if asked else {}
    values = {text: answers[name] or "" for name, text in asked.items()}
    return {mark: _text(one, names, values) for mark, one in files.marks.items()}


def _in_arguments(one: Reference, names: Collection[str]) -> Iterator[Reference]:
    """The references in an argument, through those that are left to the host."""
    for inner in references(one.argument):
        yield inner
        if inner.name in names:
            yield from _in_arguments(inner, names)


def _text(one: Reference, names: Collection[str], values: Mapping[str, str]) -> str:
    """A reference as the document has it. Raises UserError `host-reference-unclear`."""
    argument = "".join(
        piece
        if isinstance(piece, str)
        else _text(piece, names, values)
        if piece.name in names
        else _without_braces(values[piece.text], one)
        for piece in parts(one.argument)
    )
    return Reference(name=one.name, operator=one.operator, argument=argument, text="").canonical


def _without_braces(value: str, one: Reference) -> str:
    if "{" in value or "}" in value:
        raise UserError(
            HOST_REFERENCE_UNCLEAR,
            f"{shown(one.text)} has a default with braces in it, which Compose would read as its end",
            next=f"set {one.name} in a file of the repository, or give it a default without braces",
        )
    return value
