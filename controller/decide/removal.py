"""Is an environment gone from Git, and may it be taken away?

Being gone is told once and changes nothing by itself. Taking away needs a person, or a rule of the operator
whose grace is over and whose cap the commit kept to. Volumes go for a person alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from controller.decide.rollback import NOTHING_DEPLOYED
from events.catalog.release import ReleaseCancelled
from events.catalog.removal import (
    DestroyRequested,
    EnvironmentOrphaned,
    EnvironmentReturned,
    RemovalDeferred,
)
from events.kernel.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from events.catalog.removal import Belongings

TOO_MANY_RULE = "too-many-at-once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A commit that does not declare an environment."""

    ref: str
    revision: str
    together: int  # environments that are gone since this commit, this one included


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalRule:
    """What the operator has for environments that are gone from Git."""

    removes: bool = False
    grace: timedelta = timedelta(days=1)
    most_together: int = 1


def decide_orphaned(state: EnvironmentState, absence: Absence) -> tuple[Event, ...]:
    """Say that an environment is gone; nothing for one that is told already or never came to anything."""
    if state.orphaned is not None or state.version == 0:
        return ()
    return (EnvironmentOrphaned(ref=absence.ref, revision=absence.revision, together=absence.together),)


def decide_returned(state: EnvironmentState, *, ref: str, revision: str) -> tuple[Event, ...]:
    """Say that an environment is back; nothing for one that was not gone."""
    return () if state.orphaned is None else (EnvironmentReturned(ref=ref, revision=revision),)


def decide_rule(
    state: EnvironmentState, rule: RemovalRule, *, hosts: Mapping[str, Belongings], now: datetime
) -> tuple[Event, ...]:
    """What the rule has done to an orphaned environment now; `hosts` is what it has there.

    A held or suspended environment is a person's: it is left alone.
    """
    orphaned = state.orphaned
    if orphaned is None or not rule.removes or not has_something(state):
        return ()
    if orphaned.together > rule.most_together:
        if orphaned.deferred:
            return ()
        detail = (
            f"{orphaned.together} environments went with one commit; the rule removes {rule.most_together}"
        )
        return (RemovalDeferred(rule=TOO_MANY_RULE, detail=detail),)
    if state.hold is not None or state.suspended or now < orphaned.since + rule.grace:
        return ()
    kept = {host: one.model_copy(update={"volumes": ()}) for host, one in hosts.items()}
    return (*_cancelled(state), DestroyRequested(cause="orphaned", hosts=kept))


def rule_is_due(state: EnvironmentState, rule: RemovalRule, *, now: datetime) -> bool:
    """Whether `decide_rule` has anything to say, so that hosts are asked only then."""
    return bool(decide_rule(state, rule, hosts={}, now=now))


def has_something(state: EnvironmentState) -> bool:
    """Whether anything may run: a Release was begun since the environment was last taken away."""
    return state.destroyed is None and bool(state.releases)


def refuse_nothing(state: EnvironmentState) -> None:
    """Raise UserError `nothing-deployed` for an environment that never had a Release."""
    if not state.releases:
        raise UserError(
            NOTHING_DEPLOYED,
            "nothing was ever deployed here, so there is nothing to take away",
            next="stagecraft status",
        )


def decide_destroy(
    state: EnvironmentState, *, hosts: Mapping[str, Belongings], volumes: bool, reason: str
) -> tuple[Event, ...]:
    """The events that follow from a person who takes the environment away; none when it is away already.

    `volumes`: whether the person confirmed that those in `hosts` go too. Raises UserError `nothing-deployed`.
    """
    refuse_nothing(state)
    listed = {host: one if volumes else one.model_copy(update={"volumes": ()}) for host, one in hosts.items()}
    left = any(one.containers or one.networks or one.volumes for one in listed.values())
    if state.destroyed is not None and not left:
        return ()
    confirmed = volumes and any(one.volumes for one in listed.values())
    return (
        *_cancelled(state),
        DestroyRequested(cause="person", reason=reason, volumes_confirmed=confirmed, hosts=listed),
    )


def _cancelled(state: EnvironmentState) -> tuple[Event, ...]:
    reason = "the environment is taken away"
    return tuple(ReleaseCancelled(release=one.id, reason=reason) for one in state.unfinished)
