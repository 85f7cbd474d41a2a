"""A rendered document without anything of the machine that it was rendered on.

Paths below the folder of the render are written with `COMMIT_PREFIX`, so that later steps know them for paths
of the commit; what else would tell of this machine is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from events.kernel.errors import UserError, Where, error_code
from gitops.compose.client import Workshop
from gitops.compose.faults import COMPOSE_HOME_REFUSED, COMPOSE_PATH_REFUSED
from gitops.source.paths import PATH_ESCAPES

COMPOSE_PATH_UNSUPPORTED = error_code(
    "compose-path-unsupported",
    "A Compose key holds a path of the repository where Stagecraft cannot follow it.",
)

_OURS = "/.stagecraft/"
COMMIT_PREFIX = f"{_OURS}commit/"
"""Stands before a path of the tree in a rendered document, in place of the folder it was rendered in."""


def portable(workshop: Workshop, document: dict[str, Any]) -> dict[str, Any]:
    """The document with `COMMIT_PREFIX` in place of the folder, and nothing else of this machine.

    Raises UserError `compose-home-refused`, `path-escapes`, `compose-path-refused` or
    `compose-path-unsupported`.
    """
    return {key: _portable_value(workshop, value, key) for key, value in document.items()}


def _portable_value(workshop: Workshop, value: Any, key: str) -> Any:  # noqa: ANN401  # a JSON value
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {name: _portable_value(workshop, inner, f"{key}.{name}") for name, inner in items.items()}
    if isinstance(value, list):
        listed = enumerate(cast("Iterable[Any]", value))
        return [_portable_value(workshop, inner, f"{key}[{at}]") for at, inner in listed]
    if not isinstance(value, str):
        return value
    if value.startswith(_OURS):
        raise UserError(
            COMPOSE_PATH_REFUSED, f"paths below {_OURS} are Stagecraft's own", where=Where(key=key)
        )
    if not workshop.private(value):
        return value
    inner = workshop.inner(value)
    if inner is None:
        raise _not_portable(workshop, value, key)
    return f"{COMMIT_PREFIX}{inner}"


def _not_portable(workshop: Workshop, value: str, key: str) -> UserError:
    """Why a text cannot be recorded."""
    if workshop.at_home(value):
        return UserError(
            COMPOSE_HOME_REFUSED,
            "the home folder of whoever runs Compose is used",
            where=Where(key=key),
            next="write the path itself",
        )
    if workshop.escaping(value):
        return UserError(PATH_ESCAPES, "the path leads out of the repository", where=Where(key=key))
    return path_unsupported(key)


def path_unsupported(key: str) -> UserError:
    """The error for a path of the repository at a key where none can be used."""
    return UserError(
        COMPOSE_PATH_UNSUPPORTED, f"{key} cannot hold a path of the repository", where=Where(key=key)
    )
