"""Sealing the log by time and count, beside the work and never in its way.

The log is looked at every few seconds. When something was recorded since the last seal, and that is long
enough ago or much enough, what came since is followed along the chain and the end is signed. What only speaks
of seals needs none: an idle controller appends nothing. A seal that was made goes to each place by a task of
that place alone, with a deadline and a growing pause after each failure; only the newest one goes, because it
covers all before. A failure is said once until the place works again, and recorded when it begins and when it
ends.

Nothing here can end the daemon or hold up a deploy: what goes wrong is said, and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from controller.auditing import look_through, note_problem
from controller.backoff import Backoff
from controller.context import Context
from controller.record import Record
from controller.seal_keys import SealKeys
from controller.seal_places import SealPlace
from events.broken import LogBrokenError, LogProblem
from events.catalog import decode
from events.catalog.log import (
    SealDeliveryFailed,
    SealDeliveryResumed,
    SealedState,
    SealKeyMade,
    SealMade,
)
from events.envelope import CONTROLLER, Actor
from events.kernel.clock import format_utc, parse_utc
from events.kernel.errors import StagecraftError
from events.log import Anchor, EventLog
from events.newest_seal import newest_seal
from events.recorder import Recorder
from events.rows import fits
from events.seals import Seal, parse_seal
from events.streams import LOG_STREAM
from gitops.config.seals import SealsSection

LOOK_SECONDS = 2.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 600.0
_PAGE_EVENTS = 1000
_MOST_WORDS = 300  # characters of what a place says
_SILENT = frozenset(one.__name__ for one in (SealMade, SealKeyMade, SealDeliveryFailed, SealDeliveryResumed))
"""Events that are no reason for a seal."""


@dataclass(slots=True, kw_only=True)
class Sealer:
    """Makes seals of one log; its methods block, and one thread at a time may call them."""

    log: EventLog
    keys: SealKeys
    recorder: Callable[[], Recorder]
    now: Callable[[], str]  # RFC 3339
    say: Callable[[str], None]
    suspect: Callable[[], None]  # what came since the last seal does not fit the chain
    _seen: int | None = None  # the position up to which the log was looked through for reasons
    _followed_to: Anchor | None = None  # up to here the chain was seen to fit
    _unsealed: int = 0  # events since the last seal that are reasons for one

    def waiting(self) -> int:
        """How many events were recorded since the last seal that a seal is wanted for."""
        if self._seen is None:
            last = self.newest()
            self._seen = 0 if last is None else last.position
        while page := self.log.read(after=self._seen, limit=_PAGE_EVENTS):
            self._unsealed += sum(one.type not in _SILENT for one in page)
            self._seen = page[-1].position
        return self._unsealed

    def newest(self) -> Seal | None:
        """The newest seal of this log that is recorded in it; None also where it was changed."""
        found = newest_seal(self.log)
        try:
            return None if found is None else parse_seal(found)
        except ValueError:
            return None

    def make(self) -> Seal:
        """Sign where the log stands and record it. Raises what reading, the key and appending raise."""
        recorder = self.recorder()
        key = self.keys.current(recorder, self.say)
        anchor = self._followed()
        seal = Seal(
            log_id=anchor.log_id,
            lineage=anchor.lineage,
            position=anchor.position,
            hash=anchor.hash.hex(),
            at=self.now(),
            key_id="",
            signature="",
        ).signed(key)
        recorder.append(LOG_STREAM, SealMade(seal=SealedState(**seal.as_json())))
        self._unsealed, self._seen, self._followed_to = 0, seal.position, anchor
        return seal

    def newest_or_made(self) -> Seal:
        """The newest seal where nothing was recorded since that wants another; else a new one.

        Raises as `make` does, and LogBrokenError also where nothing new is to be signed.
        """
        problem = self.log.problem()
        if problem is not None:
            raise LogBrokenError(problem)
        newest = self.newest()
        return newest if newest is not None and not self.waiting() else self.make()

    def _followed(self) -> Anchor:
        """Where the log stands, once what came since the last seal was seen to fit the chain.

        Raises LogBrokenError: nobody should sign what does not fit.
        """
        begin, end = self._followed_to or self._begin(), self.log.anchor()
        previous, after = begin.hash, begin.position
        while after < end.position and (page := self.log.rows(after=after, limit=_PAGE_EVENTS)):
            for row in page:
                if not fits(row, previous=previous):
                    self.suspect()
                    words = "it does not fit the event before it"
                    found = LogProblem(position=row.position, kind="edit", detail=words)
                    raise LogBrokenError(self.log.problem() or found)
                previous, after = row.hash or b"", row.position
                if after == end.position:
                    break
        return end

    def _begin(self) -> Anchor:
        """The newest seal as a place in the chain, or where the log begins."""
        newest, log = self.newest(), self.log.anchor(0)
        if newest is None:
            return log
        at = bytes.fromhex(newest.hash)
        return Anchor(log_id=log.log_id, lineage=log.lineage, position=newest.position, hash=at)


@dataclass(slots=True, kw_only=True)
class Sealing:
    """The tasks of a daemon that make seals and bring them to their places."""

    context: Context
    settings: SealsSection
    places: Sequence[SealPlace]
    say: Callable[[str], None]
    _sealer: Sealer = field(init=False)
    _newest: Seal | None = None
    _made: asyncio.Condition = field(default_factory=asyncio.Condition)
    _complaint: str = ""  # what was said last, until something works again

    def __post_init__(self) -> None:
        self._sealer = sealer_of(self.context, say=self.say)

    async def run(self) -> None:
        """Make and bring seals, for ever."""
        if not self.places:
            self.say("no seal leaves this machine: name a place with seals.to in controller.yml")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._make_them())
            for place in self.places:
                tasks.create_task(self._bring_them(place))

    async def _make_them(self) -> None:
        clock, looked = self.context.clock, False
        due = clock.monotonic() + self.settings.every_seconds
        while True:
            try:
                if not looked:
                    last = await asyncio.to_thread(self._sealer.newest)
                    looked, due = True, due - (0 if last is None else self._seconds_since(last))
                    await self._announce(last)
                waiting = await asyncio.to_thread(self._sealer.waiting)
                if waiting and (clock.monotonic() >= due or waiting >= self.settings.every_events):
                    await self._announce(await asyncio.to_thread(self._sealer.make))
                    due = clock.monotonic() + self.settings.every_seconds
                    self._complaint = ""
            except StagecraftError as error:
                if self._complaint != error.code:
                    self._complaint = error.code
                    self.say(
                        f"no seal could be made: {error.message}{'; ' if error.next else ''}{error.next}"
                    )
            await clock.sleep(min(LOOK_SECONDS, self.settings.every_seconds))

    def _seconds_since(self, seal: Seal) -> float:
        """How long ago a former process made it; nothing where the clock was set back."""
        try:
            return max(0.0, (self.context.clock.now() - parse_utc(seal.at)).total_seconds())
        except ValueError:
            return 0.0

    async def _announce(self, seal: Seal | None) -> None:
        async with self._made:
            self._newest = seal
            self._made.notify_all()

    async def _bring_them(self, place: SealPlace) -> None:
        """Bring the newest seal, again and again; a seal that is made meanwhile takes its turn."""
        pauses = Backoff(first_seconds=_FIRST_PAUSE_SECONDS, limit_seconds=_LONGEST_PAUSE_SECONDS)
        brought: Seal | None = None
        failing = await asyncio.to_thread(
            self._is_failing, place.name
        )  # as recorded, by a former process too
        while True:
            async with self._made:
                while self._newest is None or self._newest == brought:
                    await self._made.wait()
                seal = self._newest
            try:
                async with asyncio.timeout(self.settings.deadline):
                    await place.deliver(seal)
            except (StagecraftError, TimeoutError) as error:
                why = _words(error)
                if pauses.failures == 0:
                    self.say(f"seals do not reach the {place.name}: {why}; tried again by itself")
                if not failing:
                    failing = await self._record(SealDeliveryFailed(place=place.name, reason=why))
                await self.context.clock.sleep(pauses.failed())
                continue
            if pauses.failures:
                self.say(f"seals reach the {place.name} again")
            if failing:
                resumed = SealDeliveryResumed(place=place.name, position=seal.position)
                failing = not await self._record(resumed)
            pauses.succeeded()
            brought = seal

    def _is_failing(self, place: str) -> bool:
        """Whether the log says last of a place that seals do not reach it."""
        kinds = (SealDeliveryFailed.__name__, SealDeliveryResumed.__name__)
        found = [one for kind in kinds for one in self.context.log.read(stream=LOG_STREAM, type_name=kind)]
        for stored in sorted(found, key=lambda one: one.position, reverse=True):
            with suppress(ValueError):  # the data of a log that was changed
                event = decode(stored)
                if isinstance(event, (SealDeliveryFailed, SealDeliveryResumed)) and event.place == place:
                    return isinstance(event, SealDeliveryFailed)
        return False

    async def _record(self, event: SealDeliveryFailed | SealDeliveryResumed) -> bool:
        """Record it; whether that worked."""
        try:
            await asyncio.to_thread(self.context.recorder().append, LOG_STREAM, event)
        except StagecraftError as error:
            self.say(f"not recorded: {error.message}")
            return False
        return True


def _words(error: StagecraftError | TimeoutError) -> str:
    """What went wrong, in a line."""
    if isinstance(error, TimeoutError):
        return "no answer before the deadline"
    why = " ".join(error.why.split())[:_MOST_WORDS]
    return f"{error.message}: {why}" if why else error.message


def sealer_of(record: Record | Context, *, actor: Actor = CONTROLLER, say: Callable[[str], None]) -> Sealer:
    """What makes seals of a home's log, in the name of `actor`."""
    return Sealer(
        log=record.log,
        keys=SealKeys(folder=record.home.keys, log=record.log),
        recorder=lambda: record.recorder(actor),
        now=lambda: format_utc(record.clock.now()),
        say=say,
        suspect=lambda: note_problem(record.log, look_through(record.home)),
    )
