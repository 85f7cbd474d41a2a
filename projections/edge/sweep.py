"""Which file keeps a gateway from taking any change, when it takes none.

Traefik reads its whole folder at once: one file that is no YAML, or has a key that it does not know, and no
file's change is taken any more; started anew in that state it knows no route at all. It says so in its log
alone. So that is read, and each foreign file that can be seen is read as YAML here, too: the log may go
elsewhere, or be as old as the mistake. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

import yaml

from projections.edge.folder import FOLDER, foreign_of, may_be_foreign
from projections.engine.errors import shown

# What Traefik knows at the top of a file and, in any case, one step below.
_KNOWN: Mapping[str, frozenset[str]] = {
    "http": frozenset({"routers", "services", "middlewares", "models", "serverstransports"}),
    "tcp": frozenset({"routers", "services", "middlewares", "models", "serverstransports"}),
    "udp": frozenset({"routers", "services"}),
    "tls": frozenset({"certificates", "options", "stores"}),
}
_NAMED = re.compile(r"(?P<path>/[^\s\"'\\:,]*\.(?:ya?ml|toml))\b")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"\b(ERR|ERROR|error|level=error)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFile:
    """A file that is not ours and cannot be read."""

    name: str  # its path in the folder, or in the gateway's container
    why: str


def bad_file(files: Mapping[str, bytes | None], log: Iterable[str]) -> BadFile | None:
    """The file to blame, if there is one.

    `files` are those of the folder by path, `log` is what the gateway said last, oldest first.
    """
    for name in foreign_of(files):
        if (why := unreadable(name, files[name])) is not None:
            return BadFile(name=name, why=why)
    for line in reversed([_COLOURS.sub("", line) for line in log]):
        found = _NAMED.search(line) if _ERROR.search(line) else None
        if found is not None and _is_there(found["path"], files):
            return BadFile(name=found["path"], why=shown(line))
    return None


def unreadable(name: str, content: bytes | None) -> str | None:
    """Why Traefik cannot read a file, as far as that is easy to tell; None: nothing is known against it."""
    if content is None:
        return "it cannot be read"
    if name.endswith(".toml") or b"{{" in content:
        return None
    try:
        found: object = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:
        return shown(" ".join(str(error).split()))
    if not isinstance(found, dict):
        return None if found is None else "it is no mapping"
    return _unknown(cast("Mapping[object, object]", found))


def _unknown(found: Mapping[object, object]) -> str | None:
    """A key that Traefik refuses, one step below the top; at the top it skips what it does not know."""
    for key, below in found.items():
        known = _KNOWN.get(str(key))
        if known is None or below is None:
            continue
        if not isinstance(below, dict):
            return f"{key} is no mapping"
        for inner in cast("Mapping[object, object]", below):
            if str(inner).lower() not in known:
                return f"it has the key {key}.{inner}, which is unknown"
    return None


def _is_there(path: str, files: Mapping[str, bytes | None]) -> bool:
    """Whether a file that the log names is foreign, and there: what was taken away explains nothing.

    What is mounted below the folder in the gateway's container cannot be seen in the folder itself.
    """
    pure = PurePosixPath(path)
    below = pure.parent.name != FOLDER.name
    return may_be_foreign(pure.name) and (below or pure.name in files)
