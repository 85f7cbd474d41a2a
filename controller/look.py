"""One look at a watched branch: see what Git shows, decide for each environment, converge.

Level-triggered and safe to repeat: a look that finds nothing new appends nothing and starts no Compose
process. Per environment, under its lock: finish what a crash left, consider what Git shows now, run the
Release that follows, or else make what runs agree with what is deployed. All of that may take long, so a
commit that another one followed meanwhile decides nothing any more.

Deciding alone needs no lock: `beside.py` asks for what a newer commit leads to while somebody works on the
environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from controller.awaiting import rest_seconds, words
from controller.beside import ask_first
from controller.decide.deploy import HOSTS_RULE
from controller.decide.removal import (
    TOO_MANY_RULE,
    Absence,
    decide_orphaned,
    decide_returned,
    has_something,
)
from controller.decide.state import Awaited
from controller.deciding import append_decided
from controller.expiring import expire
from controller.releasing import finish_active, heal_deployed
from controller.removing import remove_by_rule, rule_for
from controller.shown import candidate_shown, decide_shown, kept_off
from controller.targets import Target
from controller.tenures import tenure
from controller.watch_window import look_before_mending
from controller.watching import Wishes, fetch_tip, head_of, healed, note_answer, overtaken, see
from events.catalog import Failure
from events.catalog.environment import DeployDeferred
from events.kernel.clock import format_utc
from events.kernel.errors import StagecraftError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from controller.context import Context
    from controller.decide.deploy import Candidate
    from controller.decide.removal import RemovalRule
    from controller.decide.state import EnvironmentState
    from controller.repositories import WatchedBranch
    from controller.watching import Sighting
    from events.catalog import Event
    from projections.converge.work import Verdict

OutcomeStatus = Literal[
    "in-sync",
    "completed",
    "superseded",
    "deferred",
    "awaiting",
    "render-failed",
    "failed",
    "rolled_back",
    "orphaned",
    "destroyed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one look did for one environment."""

    environment: str  # `<project>/<name>`
    status: OutcomeStatus
    release: str | None = None
    detail: str = ""
    failure: Failure | None = None
    healed: bool = False  # something that ran was not what is deployed, and is again
    again_seconds: float | None = None  # when to look again though nothing happened; None: no need


async def look(
    context: Context, place: WatchedBranch, *, config_path: str, only: Sequence[str] = ()
) -> list[Outcome]:
    """Look once; `only` limits it to these names, none of which need be there.

    Raises what `watching` raises when the branch itself cannot be read or used; what goes wrong for one
    environment is its Outcome and stops no other.
    """
    tip = await fetch_tip(context, place, await head_of(place))
    note_answer(context, place)
    wishes = Wishes(environments=place.environments, only=only)
    with tip.repository:
        try:
            sighting = await see(context, tip, config_path=config_path, wishes=wishes, rules=place.rules)
        except StagecraftError as error:
            if not await healed(context, place, error):
                raise
            return await look(context, place, config_path=config_path, only=only)
        note_looks(context, sighting)
        for words in sighting.left_out_words():
            context.progress(words)
        found = [await consider(context, sighting, name) for name in sighting.environments]
        return found + [await consider_gone(context, sighting, title) for title in sighting.gone_here]


def note_looks(context: Context, sighting: Sighting) -> None:
    """Keep when Git was looked at; no event, because nothing need have changed."""
    context.observed.note_look(*sighting.titles, at=context.clock.now())


async def consider(context: Context, sighting: Sighting, name: str) -> Outcome:
    """Decide for one environment under its lock, run the Release that follows, or heal.

    Where a Release is under way already, in another process or left by a crash, what Git shows is asked for
    first: nothing waits long for what is not wanted any more.
    """
    title = f"{sighting.project}/{name}"
    asked = await ask_first(context, sighting, name)
    return await _under_lock(context, title, lambda held: _consider(held, sighting, name, asked=asked))


async def consider_gone(context: Context, sighting: Sighting, title: str) -> Outcome:
    """For an environment that the branch does not declare: say so, obey the operator's rule, or heal."""
    return await _under_lock(context, title, lambda held: consider_orphan(held, sighting, title))


async def keep(context: Context, project: str, name: str) -> Outcome:
    """As `consider` without an answer of Git: finish what was decided, then heal."""
    title = f"{project}/{name}"

    async def work(held: Context) -> Outcome:
        finished = await finish_active(held, project, name)
        if finished is not None:
            return _ended(title, finished)
        healed = await heal_deployed(held, project, name)
        return Outcome(environment=title, status="in-sync", healed=healed, detail="healed" if healed else "")

    return await _under_lock(context, title, work)


async def _under_lock(context: Context, title: str, work: Callable[[Context], Awaitable[Outcome]]) -> Outcome:
    try:
        async with tenure(context, title, purpose="a look at the watched branch") as held:
            expire(held, title)
            await look_before_mending(held, title)
            return await work(held)
    except StagecraftError as error:
        return Outcome(environment=title, status="failed", failure=Failure.from_error(error))


def _ended(title: str, verdict: Verdict) -> Outcome:
    return Outcome(environment=title, status=verdict.status, release=verdict.release, failure=verdict.failure)


async def _consider(context: Context, sighting: Sighting, name: str, *, asked: str | None) -> Outcome:
    title = f"{sighting.project}/{name}"
    finished = await finish_active(context, sighting.project, name)
    recorder = context.recorder(
        sighting.author, correlation=sighting.correlation, causation=sighting.causation
    )
    if overtaken(context, sighting):
        return await _overtaken(context, title, finished)
    returned = partial(decide_returned, ref=sighting.ref, revision=sighting.revision)
    append_decided(context, title, returned, recorder=recorder)
    candidate = await candidate_shown(context, sighting, name, recorder=recorder)
    if isinstance(candidate, Failure | Awaited):
        return await _nothing_shown(context, title, candidate)
    decided = decide_shown(context, sighting, name, candidate=candidate, recorder=recorder)
    ended = await finish_active(context, sighting.project, name)
    if ended is not None:
        return _ended(title, ended)
    healed = await heal_deployed(context, sighting.project, name)
    kept_out = _kept_out(context, sighting, title, candidate=candidate, decided=decided, healed=healed)
    if kept_out is not None:
        return kept_out
    if finished is not None and (finished.failure is not None or finished.release == asked):
        return _ended(title, finished)
    details = [f"finished {finished.release}"] if finished is not None else []
    details += ["healed"] if healed else []
    return Outcome(environment=title, status="in-sync", healed=healed, detail=", ".join(details))


async def _overtaken(context: Context, title: str, finished: Verdict | None) -> Outcome:
    """A newer commit was seen meanwhile, and whoever saw it considers it."""
    if finished is not None:
        return _ended(title, finished)
    healed = await heal_deployed(context, *title.split("/", 1))
    return Outcome(environment=title, status="in-sync", detail="a newer commit was seen", healed=healed)


def _kept_out(
    context: Context,
    sighting: Sighting,
    title: str,
    *,
    candidate: Candidate,
    decided: tuple[Event, ...],
    healed: bool,
) -> Outcome | None:
    """The outcome for what was not let through; None: there is no such thing, or it was said before."""
    state = context.environment(*title.split("/", 1))
    target = Target(project=sighting.project, name=title.partition("/")[2])
    refusal = kept_off(context, sighting, target, candidate, state)
    if refusal is not None and state.git.deferred == HOSTS_RULE:
        failure = Failure.from_error(refusal)
        return Outcome(environment=title, status="deferred", failure=failure, healed=healed)
    deferred = next((one for one in decided if isinstance(one, DeployDeferred)), None)
    if deferred is None:
        return None
    detail = f"{deferred.rule}: {deferred.detail}"
    return Outcome(environment=title, status="deferred", detail=detail, healed=healed)


async def consider_orphan(context: Context, sighting: Sighting, title: str) -> Outcome:
    """What is due for an environment that is gone from Git, with its lock held.

    Said once, and only by a commit that declares other environments: a branch, a project file or a render
    that is missing or broken never comes here.
    """
    project, _, name = title.partition("/")
    await finish_active(context, project, name)
    recorder = context.recorder(
        sighting.author, correlation=sighting.correlation, causation=sighting.causation
    )
    absence = Absence(
        ref=sighting.ref, revision=sighting.revision, together=_gone_together(context, sighting)
    )
    append_decided(context, title, lambda state: decide_orphaned(state, absence), recorder=recorder)
    removed = await remove_by_rule(context, project, name)
    if removed is not None:
        return Outcome(environment=title, status="destroyed", detail="it is gone from the branch")
    state = context.environment(project, name)
    if not has_something(state):
        return Outcome(environment=title, status="in-sync")
    healed = await heal_deployed(context, project, name)
    detail = "" if state.orphaned is None else _orphan_words(state, rule_for(context, project, name))
    return Outcome(environment=title, status="orphaned", detail=detail, healed=healed)


def _gone_together(context: Context, sighting: Sighting) -> int:
    """How many environments are gone since this commit and not since an earlier one."""
    states = [context.environment(*title.split("/", 1)) for title in sighting.gone]
    return sum(
        state.version > 0 and (state.orphaned is None or state.orphaned.revision == sighting.revision)
        for state in states
    )


def _orphan_words(state: EnvironmentState, rule: RemovalRule) -> str:
    """Since which commit it is gone, and what is to become of it."""
    orphaned = state.orphaned
    if orphaned is None:
        return ""
    gone = f"gone from the branch since {orphaned.revision[:12]}"
    if not rule.removes:
        return f"{gone}; it is kept"
    if orphaned.deferred:
        return f"{gone}; {TOO_MANY_RULE}: a person decides"
    return f"{gone}; removed after {format_utc(orphaned.since + rule.grace)}"


async def _nothing_shown(context: Context, title: str, found: Failure | Awaited) -> Outcome:
    """The commit leads to nothing, or not yet: what is deployed is kept running."""
    healed = await heal_deployed(context, *title.split("/", 1))
    if isinstance(found, Failure):
        return Outcome(environment=title, status="render-failed", failure=found)
    return _awaiting(context, title, found, healed=healed)


def _awaiting(context: Context, title: str, awaited: Awaited, *, healed: bool) -> Outcome:
    rest = rest_seconds(since=awaited.since, until=awaited.until, now=context.clock.now())
    return Outcome(
        environment=title, status="awaiting", detail=words(awaited), healed=healed, again_seconds=rest
    )
