"""The errors for what is not there: a repository at a path, a commit in it.

They stand apart from `git.py`, which imports GitPython: who speaks with the server of a repository, or knows
of one by the operator's list alone, opens none.
"""

from __future__ import annotations

from events.kernel.errors import UserError, Where, error_code
from gitops.source.paths import shown

REPOSITORY_MISSING = error_code("repository-missing", "There is no Git repository at the path.")
REPOSITORY_EMPTY = error_code("repository-empty", "The repository has no commit yet.")
REVISION_MISSING = error_code("revision-missing", "The repository has no such commit.")


def repository_missing(path: str, why: str = "") -> UserError:
    """The error for a path that is no repository."""
    return UserError(
        REPOSITORY_MISSING,
        f"no Git repository at {shown(path)}" + (f": {why}" if why else ""),
        where=Where(file=shown(path)),
        next="git init, or name the repository's path",
    )
