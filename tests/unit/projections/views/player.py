"""Plays random steps into a plausible history, for properties of folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from tests.unit.projections.views.history import History

Step = tuple[str, str, int]  # operation, environment, number of a Manifest and a commit


class Player:
    """Makes steps into a history in which a verdict needs a Release that has none."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._open: dict[str, list[str]] = {}
        self._done: dict[str, list[str]] = {}

    def play(self, steps: Sequence[Step]) -> None:
        """Append what follows from `steps`."""
        for operation, environment, number in steps:
            self._history.environment = environment
            name, revision = f"m{number}", f"c{number}"
            if operation in _SAYINGS:
                _SAYINGS[operation](self._history, name, revision)
            elif operation in _REQUESTS:
                self._request(operation, name, revision)
            else:
                self._work(operation, name)

    def _request(self, operation: str, name: str, revision: str) -> None:
        place = self._history.environment
        done = self._done.get(place)
        former = done[-1] if done else None
        made = _REQUESTS[operation](self._history, name, revision, former)
        self._open.setdefault(place, []).append(made)

    def _work(self, operation: str, name: str) -> None:
        place = self._history.environment
        waiting = self._open.get(place)
        if not waiting:
            return
        release = waiting[0]
        _WORK[operation](self._history, release, name)
        if operation in _VERDICTS:
            waiting.pop(0)
        if operation == "completed":
            self._done.setdefault(place, []).append(release)


def _phase(history: History, release: str, name: str) -> None:
    history.phase_started(release, "rollout")
    history.phase_completed(release, "rollout", name)


_SAYINGS: dict[str, Callable[[History, str, str], None]] = {
    "observed": lambda history, _name, revision: history.observed(revision, f"shop/{history.environment}"),
    "rendered": lambda history, name, revision: history.rendered(name, revision=revision, web=name, job="j"),
    "render_failed": lambda history, _name, revision: history.render_failed(revision),
    "skipped": lambda history, name, revision: history.skipped(name, revision=revision),
    "deferred": lambda history, name, revision: history.deferred(name, revision=revision),
    "held": lambda history, name, _revision: history.held(name, "bad"),
    "cleared": lambda history, _name, revision: history.cleared("reverted", revision=revision),
    "suspended": lambda history, _name, _revision: history.suspended(),
    "resumed": lambda history, _name, _revision: history.resumed(),
    "stop": lambda history, name, _revision: history.stopped("web", name),
    "start": lambda history, _name, _revision: history.started_again("web"),
}
_REQUESTS: dict[str, Callable[[History, str, str, str | None], str]] = {
    "requested": lambda history, name, revision, former: history.requested(
        name, revision=revision, previous=former
    ),
    "asked": lambda history, name, revision, former: history.requested(
        name, revision=revision, by_person=True, previous=former
    ),
    "reverted": lambda history, name, revision, former: history.reverted(
        name, revision=revision, previous=former, reverts=former
    ),
    "rollback": lambda history, name, _revision, former: history.rollback(
        name, target=former or "rel-first", previous=former
    ),
}
_WORK: dict[str, Callable[[History, str, str], None]] = {
    "started": History.started,
    "phase": _phase,
    "replaced": lambda history, release, name: history.replaced(
        release, "web", new=f"{name.encode().hex():0<64}"
    ),
    "job": lambda history, release, _name: history.job_completed(release, "job", "j"),
    "completed": History.completed,
    "failed": History.failed,
    "rolled_back": lambda history, release, name: history.rolled_back(release, name, restored="m0"),
    "superseded": lambda history, release, _name: history.superseded(release, by="rel-later"),
}
_VERDICTS = frozenset({"completed", "failed", "rolled_back", "superseded"})

OPERATIONS = (*_SAYINGS, *_REQUESTS, *_WORK)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(["prod", "stage"]), st.integers(0, 3)), max_size=40
)
