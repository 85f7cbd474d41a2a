"""How the log names what is watched in a repository: `refs/heads/main`, or `refs/tags/` and a range.

A branch has its full name, so no tag can stand in for it. Tags that are watched by a range of versions share
one name, whichever of them is the newest now: the range as the operator wrote it, blanks evened out. So
another range is another watch, which begins anew, and a newer tag is news of the same one. No range can be
taken for a branch.
"""

from __future__ import annotations

from typing import Final

HEADS: Final = "refs/heads/"
TAGS: Final = "refs/tags/"


def branch_ref(branch: str) -> str:
    """The name of a branch, which may be fully qualified already."""
    return f"{HEADS}{branch.removeprefix(HEADS)}"


def tags_ref(versions: str) -> str:
    """The name of the tags in a range of versions."""
    return f"{TAGS}{' '.join(versions.split())}"


def range_of(ref: str) -> str | None:
    """The range of versions that a name is of; None for a branch."""
    return ref.removeprefix(TAGS) if ref.startswith(TAGS) else None


def shown_ref(ref: str) -> str:
    """What people call it: `main`, or `tags >=1.2 <2`."""
    versions = range_of(ref)
    return ref.removeprefix(HEADS) if versions is None else f"tags {versions}"
