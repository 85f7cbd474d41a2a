"""Which commits some commits take back, by the words that `git revert` leaves in a message.

    This reverts commit <40 digits>.
    This reverts commit <40 digits>, reversing changes made to <40 digits>.

A message is a claim, and what a tree holds is decided elsewhere: these words name what was meant when the
tree is not one that was there before, because the revert met a conflict or stands beside other changes. A
revert that a later one takes back takes nothing back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_REVERTS = re.compile(r"^This reverts commit ([0-9a-f]{40})\b", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A commit and its message."""

    revision: str  # 40 hex digits
    message: str


def named_in(message: str) -> tuple[str, ...]:
    """The commits that a message says it reverts, in their order."""
    return tuple(dict.fromkeys(_REVERTS.findall(message)))


def reverted_by(commits: Sequence[Said]) -> frozenset[str]:
    """What is taken back by `commits`, the newest first, and not one of them.

    Read from the newest, a revert counts unless one that counts has named it: so the revert of a revert takes
    nothing back, and a third one does again.
    """
    named: set[str] = set()
    for commit in commits:
        if commit.revision not in named:
            named.update(named_in(commit.message))
    return frozenset(named - {commit.revision for commit in commits})
