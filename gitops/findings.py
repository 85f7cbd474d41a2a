"""Warnings about the input: what a person should know although the render went on.

A finding never stops anything by itself. Its code is stable, so that a policy can later refuse on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from events.kernel.errors import Where


class FindingCode(StrEnum):
    """What was found; each value is one kind of warning."""

    COMPOSE_SEVERAL = "compose-several"  # several Compose files, the first in Compose's order is taken
    OVERRIDE_IGNORED = "override-ignored"  # a `*.override.*` file, which a person's Compose would merge
    NAME_IGNORED = "name-ignored"  # a top-level `name:`; the project's name comes from `stagecraft.yml`
    VARIABLE_UNSET = "variable-unset"  # rendered blank
    COMPOSE_WARNING = "compose-warning"  # anything else Compose said
    MOUNT_READ_ONLY = "mount-read-only"  # a committed path is mounted read-only
    MOUNT_NOT_IN_COMMIT = "mount-not-in-commit"  # a relative path that becomes a folder kept on the host
    FILE_MODE_IGNORED = "file-mode-ignored"  # uid, gid or mode of a config or secret
    DEPENDENCY_DROPPED = "dependency-dropped"  # depends_on or links to a service of another host
    ENVIRONMENT_REPLACED = "environment-replaced"  # a descriptor stands in for the inline entry
    BUILD_OPTION_IGNORED = "build-option-ignored"  # an option of `build:` about caches and names
    COMPOSE_VARIABLE_IGNORED = "compose-variable-ignored"  # COMPOSE_* in `.env`


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One warning and the place it speaks of."""

    code: FindingCode
    message: str
    file: str | None = None
    line: int | None = None  # 1-based
    column: int | None = None  # 1-based
    key: str | None = None  # dotted

    def __str__(self) -> str:
        place = str(Where(file=self.file, line=self.line, column=self.column, key=self.key))
        return f"{self.code}: {self.message}" + (f" ({place})" if place else "")
