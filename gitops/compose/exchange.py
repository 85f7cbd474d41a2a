"""References to other repositories, exchanged for the folders in which their files stand.

The client neither fetches nor knows that anything was fetched: where a Compose file names another repository
it reads an absolute path, which it treats as it treats a file that was laid out there. The text is exchanged
in the file as it is written, at the place where the reader found it, so nothing else of the file changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from gitops.compose.closure import Closure
from gitops.compose.reads import Reference, Scan, scan, text_of


def exchanged(file: str, content: bytes, closure: Closure, place: Callable[[str], str]) -> bytes:
    """`content` of `file` as the client reads it; `place` answers where it sees a path of the tree.

    Raises as `gitops.compose.reads.scan`, which took the file before.
    """
    places = closure.places.get(file)
    if not places:
        return content
    text = text_of(content)
    found = {one.span: one for one in _remote(scan(file, content, closure.remotes))}
    for (start, end), one in sorted(found.items(), reverse=True):
        path = place(places[one.kind, one.path]).replace("$", "$$")
        text = f"{text[:start]}{json.dumps(path)}{text[end:]}"
    return text.encode()


def _remote(found: Scan) -> Iterator[Reference]:
    for include in found.includes:
        yield from (one for one in include.paths if one.remote is not None)
    yield from (one for one in (*found.references, *found.builds) if one.remote is not None)
