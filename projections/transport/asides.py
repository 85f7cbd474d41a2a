"""The names of trees that are being put: beside their place until they are whole.

What was put is named by its content, so the half of a tree that nobody asks for again would lie there for
ever. Therefore the next tree that is put takes away the halves of all others too: whoever puts trees into a
folder is alone there.
"""

from __future__ import annotations

import re
import secrets

_ASIDE = re.compile(r"\..+\.[0-9a-f]{12}")


def aside(name: str) -> str:
    """A new name for what will be `name`."""
    return f".{name}.{secrets.token_hex(6)}"


def is_aside(name: str) -> bool:
    """Whether it is a name that `aside` gave, whatever for."""
    return _ASIDE.fullmatch(name) is not None
