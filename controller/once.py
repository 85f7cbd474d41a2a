"""Looking at several branches once, one after the other: for `controller run --once`.

What is wrong with one branch is its own result and stops no other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.look import Outcome, look
from controller.targets import ENVIRONMENT_UNKNOWN, Target
from controller.watch_window import watched
from events.kernel.errors import StagecraftError, UserError
from projections.converge.work import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from controller.branch_keys import BranchKey
    from controller.context import Context
    from controller.repositories import WatchedBranch


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchLook:
    """What came of the look at one branch."""

    key: BranchKey
    outcomes: tuple[Outcome, ...] = ()
    error: StagecraftError | None = None  # why the branch itself could not be looked at, or was refused


async def look_at_all(
    context: Context, places: Sequence[WatchedBranch], *, config_path: str, only: Sequence[str] = ()
) -> AsyncGenerator[BranchLook]:
    """Look at each branch, and answer as soon as its environments are done; `only` as for `look`."""
    for place in places:
        try:
            outcomes = await look(context, place, config_path=config_path, only=only)
        except StagecraftError as error:
            yield BranchLook(key=place.key, error=error)
        else:
            watched_out = [await _watched(context, one) for one in outcomes]
            yield BranchLook(key=place.key, outcomes=tuple(watched_out))


async def _watched(context: Context, outcome: Outcome) -> Outcome:
    """What came of a look once the watch that it began is over: nobody else may be there to watch."""
    if outcome.status != "completed" or outcome.release is None:
        return outcome
    project, _, name = outcome.environment.partition("/")
    verdict = Verdict(status="completed", release=outcome.release)
    ended = await watched(context, Target(project=project, name=name), verdict)
    return outcome if ended == verdict else replace(outcome, status=ended.status, failure=ended.failure)


def unknown_anywhere(only: Sequence[str]) -> UserError:
    """The error for environments that no branch has."""
    return UserError(
        ENVIRONMENT_UNKNOWN,
        f"no listed branch has an environment {', '.join(only)}",
        next="stagecraft repositories list",
    )
