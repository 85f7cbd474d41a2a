"""The names of branches in the log, and which environments the branches of the operator's list want.

`controller.repositories` has what is watched of a repository, and how; who only reads what the log says of
branches needs none of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from events.refs import shown_ref


class BranchKey(NamedTuple):
    """Which branch of which repository, as the log names both."""

    slug: str
    ref: str  # as in `events.refs`

    @property
    def shown(self) -> str:
        """The branch or the range of versions, as people call it."""
        return shown_ref(self.ref)

    def __str__(self) -> str:
        return f"{self.shown} of {self.slug}"


Rivals = Mapping[BranchKey, tuple[str, ...]]
"""The branches that may own an environment, and which each wants, as `prod` or `shop/prod`; empty: all."""


def means(wish: str, title: str) -> bool:
    """Whether `prod` or `shop/prod` means the environment `title`."""
    return wish in {title, title.partition("/")[2]}
