"""The environments of all watched branches: what wakes them, and the work on each of them.

An environment is considered when its branch shows something new, when its containers change, when somebody
else changed it, when a failure from outside is to be tried again, and at each pass. Nothing a hint says is
believed: each look sees for itself, with the code of `--once`.

A bug in the work of one environment is said and tried again later; it stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from controller.adopted_hints import adopted_event
from controller.afterwards import Afterwards
from controller.beside import Besides
from controller.breaker import Attempts
from controller.closer import TELLING
from controller.context import Context
from controller.expiring import seconds_to_expiry
from controller.look import Outcome, consider, consider_gone, keep
from controller.neighbours import Neighbours
from controller.notify import Notice
from controller.queues import WorkQueues
from controller.source import Source
from controller.state_changes import ENDS, StateChanges
from controller.targets import Target
from controller.watch_window import Watches
from controller.watching import Sighting
from events.catalog import Failure
from events.kernel.errors import InternalError, OutsideError, StagecraftError, error_code
from events.streams import environment_stream
from projections.engine.events import NETWORK_ACTIONS
from projections.engine.watch_port import EngineEvent

WORK_BROKE = error_code("work-broke", "A bug of Stagecraft ended the work on one environment.")

_ENDS = frozenset({"die", "stop", "destroy", "pause", "oom"})
_SETTLING_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""An engine tells of an end before its listing shows it, so a look that found nothing is repeated."""


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Keeps the environments of `sources`; belongs to one event loop."""

    context: Context
    sources: Sequence[Source]
    say: Callable[[str], None]  # what happened, one line
    whisper: Callable[[str], None]  # what woke it
    tell: Callable[[Notice], None]
    queues: WorkQueues = field(init=False)
    afterwards: Afterwards = field(init=False)
    neighbours: Neighbours = field(init=False)
    besides: Besides = field(init=False)
    watches: Watches = field(init=False)
    changes: StateChanges = field(default_factory=StateChanges)
    _attempts: Attempts = field(default_factory=Attempts)
    _settling: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def __post_init__(self) -> None:
        self.queues = WorkQueues(work=self._work, clock=self.context.clock)
        self.neighbours = Neighbours(
            context=self.context,
            working=lambda: self.queues.working,
            known=self.titles,
            wake=self.queues.wake,
        )
        self.besides = Besides(context=self.context, shown=self._shown, whisper=self.whisper)
        self.watches = Watches(
            context=self.context, wake=self.queues.wake, say=self.say, failed=self._gone_back
        )
        self.afterwards = Afterwards(
            context=self.context,
            queues=self.queues,
            attempts=self._attempts,
            say=self.say,
            tell=self.tell,
        )

    def titles(self) -> list[str]:
        """The environments of all branches."""
        return [title for source in self.sources for title in source.titles()]

    def wake_all(self, reason: str) -> None:
        """Consider every environment."""
        for title in self.titles():
            self.queues.wake(title, reason)

    def news(self, title: str, reason: str) -> None:
        """A branch shows a commit; it is decided on beside work on the environment that goes on already."""
        busy = title in self.queues.working
        self.queues.wake(title, reason)
        if busy:
            self.besides.hear(title)

    def hear(self, event: EngineEvent) -> None:
        """An engine's hint: look at that environment, or at all. The first look at its branch comes first."""
        known = [title for source in self.sources if source.looked for title in source.titles()]
        if not known:
            return
        if event.action in NETWORK_ACTIONS:
            event = self._networked(event)
        elif event.container:
            event = adopted_event(self.context.log, event, known)
        if event.environment is None:
            for title in known:
                self.queues.wake_later(title, "engine", seconds=self._wait_seconds(title))
        elif event.environment in known:
            wait = self._wait_seconds(event.environment)
            reason = f"{event.service} {event.action}"
            self.whisper(f"{event.environment}: {reason}")
            self._note(event, event.environment)
            if event.action in _ENDS:
                self._settling[event.environment] = list(_SETTLING_SECONDS)
            self.queues.wake_later(event.environment, reason, seconds=max(wait, _SETTLING_SECONDS[0]))

    def _networked(self, event: EngineEvent) -> EngineEvent:
        """A container came to a network or left it; nothing when it is none that was ever seen here."""
        try:
            seen = self.context.observed.seen_in(event.container)
        except OutsideError as error:
            self.whisper(f"{event.action} of a network is not looked into: {error.message}")
            return event
        return event if seen is None else replace(event, environment=seen, container="")

    def _note(self, event: EngineEvent, title: str) -> None:
        """Have it looked at closely, or counted, as the hint says."""
        if event.action in TELLING:
            self.context.closer.ask(title, event.service)
        if event.action in ENDS and title not in self.queues.working:
            place = (title, event.host, event.service)
            self.changes.note(place, event.action, at=self.context.clock.now())

    def _tell_changes(self, title: str) -> None:
        """Record what containers did by themselves, as far as a minute is over."""
        told = self.changes.due(title, now=self.context.clock.monotonic())
        if told:
            project, _, name = title.partition("/")
            self.context.recorder().append(environment_stream(project, name), *told)

    def _wait_seconds(self, title: str) -> float:
        """How long a hint should rest: heals that fail or do not last come more and more slowly."""
        return self._attempts.wait_seconds(title, now=self.context.clock.monotonic())

    async def _work(self, title: str, reasons: tuple[str, ...]) -> None:
        """Consider one environment, whatever woke it, and see to what follows."""
        self.whisper(f"{title}: considered: {', '.join(reasons)}")
        started = self.context.clock.monotonic()
        try:
            self.afterwards.remember(title)
            await self.besides.settled(title)
            self._tell_changes(title)
            outcome = await self._consider(title)
            self.afterwards.see_to(outcome, started=started)
            self._wake_at_expiry(title)
            self.watches.see_to(Target(project=title.partition("/")[0], name=title.partition("/")[2]))
            settling = [] if outcome.healed else self._settling.pop(title, [])
            if settling:
                self._settling[title] = settling[1:]
                seconds = max(settling[0], self._wait_seconds(title))
                self.queues.wake_later(title, "settling", seconds=seconds)
        except StagecraftError as error:
            failure = Failure.from_error(error)
            self.afterwards.failed(Outcome(environment=title, status="failed", failure=failure))
        except Exception as error:  # noqa: BLE001  # a bug in one environment's work must not stop the others
            words = f"{type(error).__name__}: {error}"
            broke = InternalError(WORK_BROKE, f"the work on {title} broke", why=words)
            failure = Failure.from_error(broke)
            self.afterwards.failed(Outcome(environment=title, status="failed", failure=failure))
        finally:
            self.neighbours.worked(title)

    def _gone_back(self, title: str, release: str, failure: Failure) -> None:
        """A Release failed after it had completed: that is told like any that was taken back."""
        outcome = Outcome(environment=title, status="rolled_back", release=release, failure=failure)
        self.afterwards.failed(outcome)

    def _wake_at_expiry(self, title: str) -> None:
        """A hold or a suspend that ends by itself is ended in time; an earlier wake-up sets this again."""
        project, _, name = title.partition("/")
        seconds = seconds_to_expiry(self.context, self.context.environment(project, name))
        if seconds is not None:
            self.queues.wake_later(title, "expiry", seconds=seconds)

    async def _consider(self, title: str) -> Outcome:
        project, _, name = title.partition("/")
        with self._shown(title) as sighting:
            if sighting is not None and title in sighting.gone_here:
                return await consider_gone(self.context, sighting, title)
            if sighting is not None:
                return await consider(self.context, sighting, name)
        return await keep(self.context, project, name)

    @contextmanager
    def _shown(self, title: str) -> Generator[Sighting | None]:
        """What its branch shows; None when none has it any more, or shows nothing that can be used."""
        source = next((one for one in self.sources if title in one.titles()), None)
        if source is None:
            yield None
            return
        with source.shown(title) as sighting:
            yield sighting
