"""References in Compose files, each exchanged for a mark that Compose carries through a render unchanged.

A Compose file is edited at the places where its references stand and nowhere else, so its anchors, tags and
comments stay. (Giving the variable the mark as its value was dropped: what stands behind `:-` or `:?`
would be lost.) A mark begins with a digest of all files that are edited, so no text of a repository can hold
one; it is lower case, without a space, and ends in a dot, so that no mark is the beginning of another.

A reference that YAML spells in another way than it means, over two lines or with escapes, cannot be found
again in the file and is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from events.kernel.canonical import digest_of
from events.kernel.errors import UserError, Where, error_code
from events.references import Reference, UnclearReferenceError, all_references, parts
from gitops.compose.reads import TAGS
from gitops.source.paths import shown
from gitops.yamlnodes import compose_documents, mark_of

HOST_REFERENCE_UNCLEAR = error_code(
    "host-reference-unclear", "A reference to a variable of a host's file may be read in two ways."
)

_SPLIT = frozenset({"command", "entrypoint"})  # a text there is split into words after it was filled in
_SPLITS_WORDS = re.compile(r"[\s\"'\\]")
_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Compose file, looked through."""

    path: str
    content: str
    texts: tuple[tuple[ScalarNode, bool], ...]  # those with a dollar sign; and whether it is split into words

    def names(self) -> set[str]:
        """All variables that it refers to. Raises UserError `host-reference-unclear`."""
        return {one.name for node, _split in self.texts for one in _all(self, node)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Compose files with marks in them."""

    files: dict[str, bytes]
    marks: dict[str, Reference] = field(default_factory=dict[str, Reference])

    def in_text(self, text: str) -> list[Reference]:
        """The references whose marks stand in a text."""
        return [self.marks[mark] for mark in self._pattern.findall(text)] if self.marks else []

    def replaced(self, text: str, by: Mapping[str, str]) -> str:
        """The text with what `by` has for each mark."""
        return self._pattern.sub(lambda found: by[found[0]], text)

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(re.escape(mark) for mark in self.marks))


def look_through(path: str, content: bytes) -> Source:
    """Find the texts of a Compose file that was scanned before, so it is YAML."""
    text = content.decode(errors="replace").removeprefix("\ufeff")
    found: dict[int, tuple[ScalarNode, bool]] = {}
    for document in compose_documents(text.encode(), tags=TAGS):
        for node, split in _scalars(document, set()):
            if "$" in node.value:
                found[node.start_mark.index] = (node, split)
    return Source(path=path, content=text, texts=tuple(found[at] for at in sorted(found)))


def marked(sources: Collection[Source], names: Collection[str]) -> Marked:
    """The files with a mark for each outermost reference to one of `names`.

    Raises UserError `host-reference-unclear`.
    """
    start = f"sc{digest_of([one.content for one in sources]).removeprefix('sha256:')[:_DIGITS]}"
    files: dict[str, bytes] = {}
    marks: dict[str, Reference] = {}
    for source in sources:
        pieces: list[str] = []
        done = 0
        for node, split in source.texts:
            begin, end = node.start_mark.index, node.end_mark.index
            written = source.content[begin:end]
            wanted = [one for one in _outermost(source, node, node.value) if one.name in names]
            if not wanted:
                continue
            if wanted != [one for one in _outermost(source, node, written) if one.name in names]:
                raise _unclear(source, node, wanted[0].text, "write it on one line, without escapes")
            pieces.append(source.content[done:begin])
            for piece in parts(written):
                if isinstance(piece, str) or piece.name not in names:
                    pieces.append(piece if isinstance(piece, str) else piece.text)
                    continue
                if split and _SPLITS_WORDS.search(piece.argument):
                    raise _unclear(source, node, piece.text, "write the command as a list")
                mark = f"{start}.{len(marks)}."
                marks[mark] = piece
                pieces.append(mark)
            done = end
        if pieces:
            files[source.path] = "".join([*pieces, source.content[done:]]).encode()
    return Marked(files=files, marks=marks)


def _scalars(node: Node, seen: set[int], *, split: bool = False) -> Iterator[tuple[ScalarNode, bool]]:
    """Every plain value below a node, a shared one once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        yield node, split
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _scalars(item, seen)
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(value, seen, split=isinstance(key, ScalarNode) and key.value in _SPLIT)


def _all(source: Source, node: ScalarNode) -> list[Reference]:
    try:
        return list(all_references(node.value))
    except UnclearReferenceError as error:
        raise _unclear(source, node, node.value, "leave the braces out of its default") from error


def _outermost(source: Source, node: ScalarNode, text: str) -> list[Reference]:
    try:
        return [one for one in parts(text) if isinstance(one, Reference)]
    except UnclearReferenceError as error:
        raise _unclear(source, node, node.value, "leave the braces out of its default") from error


def _unclear(source: Source, node: ScalarNode, text: str, advice: str) -> UserError:
    at = mark_of(node)
    return UserError(
        HOST_REFERENCE_UNCLEAR,
        f"{shown(text)} cannot be left to the host's file as it is written",
        where=Where(file=shown(source.path), line=at.line, column=at.column),
        next=advice,
    )
