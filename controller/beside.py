"""Deciding what Git shows while a Release is under way, so that a wait for health can end.

Rendering and deciding touch nothing, so they need no lock: the append expects the state that was decided on,
and whoever has the lock works on what stands in the log. An image that is built for a render is no effect on
an environment either. Two come here: a look that finds a Release under
way, in another process or left by a crash, and the daemon itself when a branch shows a newer commit while its
own work on the environment goes on.

The daemon's own look waits for a decision under way before it begins (`settled`), so that no commit is
rendered twice; a decision that was not begun by then is left to that look. (Letting the work itself look at
the branch was dropped: it would have to render in the middle of a wait.)
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.awaiting import rest_seconds
from controller.decide.state import Awaited
from controller.queues import WorkQueues
from controller.shown import candidate_shown, decide_shown
from controller.watching import overtaken
from events.catalog import Failure
from events.kernel.errors import StagecraftError
from projections.converge.superseding import goes_back

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from controller.watching import Sighting

PAUSE_SECONDS = 0.3  # work that ends by itself so soon needs nobody beside it


async def ask_first(context: Context, sighting: Sighting, name: str) -> str | None:
    """Ask for what Git shows if a Release is under way, before anybody waits for it or takes it up again.

    Answers the Release that was asked for. What cannot be rendered or recorded is left to the look that
    follows.
    """
    if context.environment(sighting.project, name).running is not None:
        with suppress(StagecraftError):
            found = await decide_beside(context, sighting, name)
            return found if isinstance(found, str) else None
    return None


async def decide_beside(context: Context, sighting: Sighting, name: str) -> Awaited | str | None:
    """Ask for what Git shows, without the lock.

    Answers the Release that was asked for, or the wait for images that CI has not pushed. Whatever needs the
    lock is left to the look that follows. Raises what rendering and the log raise.
    """
    before = context.environment(sighting.project, name)
    if _is_left_alone(before) or overtaken(context, sighting):
        return None
    recorder = context.recorder(
        sighting.author, correlation=sighting.correlation, causation=sighting.causation
    )
    candidate = await candidate_shown(context, sighting, name, recorder=recorder)
    if isinstance(candidate, Awaited):
        return candidate
    if not isinstance(candidate, Failure):
        decide_shown(context, sighting, name, candidate=candidate, recorder=recorder, unless=_is_left_alone)
        active = context.environment(sighting.project, name).active
        if active is not None and active.id not in before.releases:
            context.progress(f"{sighting.project}/{name}: {active.id} is asked for beside the work under way")
            return active.id
    return None


def _is_left_alone(state: EnvironmentState) -> bool:
    """Whether Git has to wait for the end of what is under way.

    A Release that goes back from what is deployed is not ended by Git, and what Git shows is judged by what
    stands after it.
    """
    if state.destroying is not None or state.orphaned is not None:
        return True
    leaving = (one for one in state.unfinished if one.digest != state.deployed_digest)
    return any(goes_back(one.kind, brings_new=one.brings_new) for one in leaving)


@dataclass(slots=True, kw_only=True)
class Besides:
    """Decides beside the daemon's own work; belongs to one event loop."""

    context: Context
    shown: Callable[[str], AbstractContextManager[Sighting | None]]  # what its branch shows an environment
    whisper: Callable[[str], None]
    queues: WorkQueues = field(init=False)
    _news: set[str] = field(default_factory=set[str])  # environments whose work began before the news

    def __post_init__(self) -> None:
        self.queues = WorkQueues(work=self._decide, clock=self.context.clock)

    def hear(self, title: str) -> None:
        """A branch shows a newer commit while the work on one of its environments goes on."""
        self._news.add(title)
        self.queues.wake_later(title, "new commit", seconds=PAUSE_SECONDS)

    async def settled(self, title: str) -> None:
        """To be awaited before the environment is looked at: no decision is under way or comes then."""
        self._news.discard(title)
        await self.queues.ended(title)

    async def _decide(self, title: str, _reasons: tuple[str, ...]) -> None:
        if title not in self._news:
            return
        with self.shown(title) as sighting:
            if sighting is None or title in sighting.gone_here:
                return
            try:
                found = await decide_beside(self.context, sighting, title.partition("/")[2])
            except Exception as error:  # noqa: BLE001  # the look that follows meets it too, and says it
                self.whisper(f"{title}: nothing was decided beside the work: {error}")
                return
        if isinstance(found, Awaited):
            rest = rest_seconds(since=found.since, until=found.until, now=self.context.clock.now())
            self.queues.wake_later(title, "image", seconds=rest)
