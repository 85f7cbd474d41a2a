"""Names of branches: which there can be, and what is said of one that is not there.

A name may be fully qualified. Anything else that begins with `refs/` is no branch, for whoever writes
`refs/tags/v1` means a tag; a branch that is itself called so is `refs/heads/refs/tags/v1`.
"""

from __future__ import annotations

from events.kernel.errors import UserError, error_code
from events.refs import HEADS, branch_ref
from gitops.source.paths import shown

BRANCH_MISSING = error_code("branch-missing", "The watched repository has no such branch.")

_MAX_NAMED = 20
_MAX_BRANCH = 1024  # bytes; a file system takes less, a packed ref could have more


def full_name(branch: str) -> str:
    """The branch's full name. Raises UserError `branch-missing` for what cannot be one."""
    if not may_be_branch(branch):
        raise UserError(
            BRANCH_MISSING, f"{shown(branch)!r} cannot be the name of a branch", next="git branch --all"
        )
    return branch_ref(branch)


def may_be_branch(branch: str) -> bool:
    """Whether it can be what an operator calls a branch."""
    name = branch.removeprefix(HEADS)
    return is_branch_name(name) and (name != branch or not branch.startswith("refs/"))


def is_branch_name(name: str) -> bool:
    """Whether Git takes it as the name of a branch, by the rules of `git check-ref-format --branch`."""
    parts = name.split("/")
    return (
        len(name.encode()) <= _MAX_BRANCH
        and not name.startswith("-")
        and all(mark.isprintable() and mark not in " ~^:?*[\\" for mark in name)
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
        and not any(forbidden in name for forbidden in ("..", "@{"))
        and not name.endswith(".")
        and name != "@"
    )


def branch_missing(repository: str, branch: str, known: list[str]) -> UserError:
    """The error for a branch that is not among the `known` ones of a repository."""
    named = ", ".join(shown(name) for name in sorted(known)[:_MAX_NAMED])
    more = f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else ""
    return UserError(
        BRANCH_MISSING,
        f"{repository} has no branch {shown(branch)!r}; it has {named}{more}",
        next=f"git push origin {shown(branch)}",
    )
