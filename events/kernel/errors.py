"""Every error a person may read.

    StagecraftError
    ├── UserError        exit 1   the user or the configuration is at fault
    ├── OutsideError     exit 2   an engine, host, registry or Git server is at fault
    └── InternalError    exit 3   Stagecraft is at fault

An error has a stable kebab-case code, says what happened, where (file and key, host, service), why,
and which command to try next. Driver errors are translated where the driver is called and chained
with ``from``; nothing else is caught on the way up. A text that may carry a secret passes the
redactor before it becomes part of an error.

Codes are declared with `error_code`, so that the reference of all codes is generated from the code
that raises them and an undeclared code is a failure at raise time, not a typo in production.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")


class ExitCode(IntEnum):
    """What the process answers; documented supersets stand with their commands."""

    OK = 0
    USER = 1
    OUTSIDE = 2
    INTERNAL = 3


_CODES: dict[str, str] = {}


def error_code(code: str, meaning: str) -> str:
    """Declare `code` with one sentence for the reference and return it.

    Raises ValueError for a code that is not kebab-case or that was declared before with another meaning.
    """
    if not _CODE.fullmatch(code):
        raise ValueError(f"not a kebab-case error code: {code!r}")
    if _CODES.setdefault(code, meaning) != meaning:
        raise ValueError(f"error code declared twice: {code!r}")
    return code


def declared_codes() -> dict[str, str]:
    """All codes declared by the modules imported so far, with their meaning, sorted by code."""
    return dict(sorted(_CODES.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The place an error speaks of; every part is optional and shown only when set."""

    file: str | None = None
    line: int | None = None  # 1-based
    column: int | None = None  # 1-based
    key: str | None = None  # dotted, as in `services.web.role`
    environment: str | None = None  # `<project>/<name>`
    host: str | None = None
    service: str | None = None

    def __str__(self) -> str:
        parts: list[str] = []
        if self.file is not None:
            position = "".join(f":{number}" for number in (self.line, self.column) if number is not None)
            parts.append(f"{self.file}{position}")
        labelled = (
            ("key", self.key),
            ("environment", self.environment),
            ("host", self.host),
            ("service", self.service),
        )
        parts.extend(f"{label} {value}" for label, value in labelled if value is not None)
        return ", ".join(parts)


@dataclass(eq=False)
class StagecraftError(Exception):
    """Base of the tree; raise one of its three children."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    code: str
    message: str
    where: Where = field(default_factory=Where)
    why: str = ""  # the words of the engine, Git or the parser, redacted
    next: str = ""  # a command or an action that helps

    def __post_init__(self) -> None:
        if self.code not in _CODES:
            raise ValueError(f"undeclared error code: {self.code!r}")
        super().__init__(self.message)

    def __str__(self) -> str:
        place = str(self.where)
        lines = [f"{self.code}: {self.message}" + (f" ({place})" if place else "")]
        if self.why:
            lines.append(self.why)
        return "\n".join(lines)


class UserError(StagecraftError):
    """The user or the configuration is at fault; the same input fails again."""

    exit_code = ExitCode.USER


class OutsideError(StagecraftError):
    """Something outside failed; the same input may work later."""

    exit_code = ExitCode.OUTSIDE


class InternalError(StagecraftError):
    """A broken promise inside Stagecraft; always a bug."""

    exit_code = ExitCode.INTERNAL
