"""The names of files and trees that are being put: beside their place until they are whole.

What was put may be named by its content, so the half of a tree that nobody asks for again would lie there for
ever. Therefore the next tree that is put takes away the halves of all others too: whoever puts trees into a
folder is alone there. A file may stand among those of others; so the next one of its own name takes its
halves away, and no other's.
"""

from __future__ import annotations

import re
import secrets

_ASIDE = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}")


def aside(name: str) -> str:
    """A new name for what will be `name`."""
    return f".{name}.{secrets.token_hex(6)}"


def is_aside(name: str, *, of: str | None = None) -> bool:
    """Whether it is a name that `aside` gave, for `of` or whatever for."""
    found = _ASIDE.fullmatch(name)
    return found is not None and of in {None, found["name"]}
