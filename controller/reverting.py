"""Which commits that a branch showed before are taken back by what it shows now, as the messages say.

A message names the commit that it reverts, which need not be one that the branch ever pointed at: a merge
request brings several, and a look sees the last. What counts is the commit that brought it: the first one
shown that descends from it. It is recorded with the sighting, so a decision needs no repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.catalog import decode
from events.catalog.revision import RevisionObserved
from gitops.source.reverts import reverted_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from events.envelope import StoredEvent
    from gitops.source.git import Repository

_MOST_COMMITS = 500  # of a push, whose messages are read
_MOST_NAMED = 20  # commits that are looked for
_MOST_SHOWN = 50  # how far back they are looked for


def taken_back(
    repository: Repository, revision: str, *, ref: str, since: str | None, stored: Iterable[StoredEvent]
) -> tuple[str, ...]:
    """The commits `ref` pointed at before whose changes `revision` takes back, sorted.

    `since` is the commit that was taken last and `stored` the repository's stream. Nothing for the first
    commit that is taken, or a rewritten branch.
    """
    if since is None or since == revision or not repository.is_ancestor(since, revision):
        return ()
    said = repository.messages(revision, without=since, most=_MOST_COMMITS)
    named = sorted(reverted_by(said))[:_MOST_NAMED]
    shown = _shown(stored, ref) if named else []
    found = {_brought(repository, one, shown) for one in named}
    return tuple(sorted(one for one in found if one is not None))


def recorded_with(announced: StoredEvent) -> tuple[str, ...]:
    """What the event of a sighting says is taken back."""
    event = decode(announced)
    return event.takes_back if isinstance(event, RevisionObserved) else ()


def _shown(stored: Iterable[StoredEvent], ref: str) -> list[str]:
    """The commits that the ref pointed at, each once, oldest first."""
    events = (decode(one) for one in stored)
    shown = [one.revision for one in events if isinstance(one, RevisionObserved) and one.ref == ref]
    return list(dict.fromkeys(shown))


def _brought(repository: Repository, named: str, shown: Sequence[str]) -> str | None:
    """The first commit shown that has `named`; None when none has, or when it is too long ago to tell."""
    if named in shown:
        return named
    recent = shown[-_MOST_SHOWN:]
    found = next((one for one in recent if repository.is_ancestor(named, one)), None)
    return None if found == recent[0] and len(shown) > len(recent) else found
