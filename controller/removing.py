"""Taking an environment away: for a person, for the operator's rule, and to the end after a crash.

`DestroyRequested` is appended before anything is touched and says what goes. From then on nothing heals or
deploys there; whoever has the environment's lock next finishes it. `EnvironmentDestroyed` ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from controller.decide.removal import (
    RemovalRule,
    decide_destroy,
    decide_rule,
    refuse_nothing,
    rule_is_due,
)
from controller.deciding import append_decided
from controller.tenures import tenure
from events.catalog.removal import EnvironmentDestroyed
from gitops.policies import removal_of
from projections.converge.destroy import gone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.context import Context
    from controller.decide.state import EnvironmentState
    from controller.targets import Target
    from events.catalog import Event
    from events.catalog.removal import Belongings
    from events.envelope import Actor
    from events.manifest import Manifest
    from events.recorder import Recorder
    from projections.converge.destroy import Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What an environment has, and whether the log says that it was taken away."""

    hosts: tuple[Found, ...]  # sorted by name
    destroyed: bool

    @property
    def belongings(self) -> dict[str, Belongings]:
        """By host, as the log keeps it."""
        return {one.host: one.belongings for one in self.hosts}

    @property
    def volumes(self) -> tuple[str, ...]:
        """The names of all volumes, sorted."""
        return tuple(sorted(name for one in self.hosts for name in one.volumes))

    @property
    def empty(self) -> bool:
        """Whether nothing but volumes is there."""
        return not any(one.containers or one.networks for one in self.hosts)


async def survey(context: Context, target: Target) -> Survey:
    """Look at what `destroy` would take; nothing is changed.

    Raises UserError `nothing-deployed` and OutsideError `engine-unreachable`.
    """
    state = context.environment(target.project, target.name)
    refuse_nothing(state)
    return await _survey(context, state)


async def destroy(
    context: Context, target: Target, *, volumes: frozenset[str], reason: str, actor: Actor
) -> EnvironmentDestroyed | None:
    """Take the environment away, and of its volumes the named ones, which a person confirmed by themselves.

    Answers what went, None when it was away already. Raises what `survey` raises; call it again then.
    """
    async with tenure(context, str(target), purpose="destroy", draw="now") as held:
        recorder = held.recorder(actor)
        refuse_nothing(held.environment(target.project, target.name))
        before = await finish_destroy(held, target.project, target.name, recorder=recorder)
        found = await _survey(held, held.environment(target.project, target.name))
        hosts = {
            host: one.model_copy(update={"volumes": tuple(sorted(volumes & set(one.volumes)))})
            for host, one in found.belongings.items()
        }

        def decide(state: EnvironmentState) -> tuple[Event, ...]:
            return decide_destroy(state, hosts=hosts, volumes=bool(volumes), reason=reason)

        append_decided(held, str(target), decide, recorder=recorder)
        return await finish_destroy(held, target.project, target.name, recorder=recorder) or before


async def finish_destroy(
    context: Context, project: str, name: str, *, recorder: Recorder | None = None
) -> EnvironmentDestroyed | None:
    """Bring to its end what was asked for; None when nothing was. The caller holds the lock.

    Raises the first host's error; the environment then stays as it is, for the next look.
    """
    state = context.environment(project, name)
    order = state.destroying
    if order is None:
        return None
    recorder = recorder or context.recorder()
    named = {host: one.volumes for host, one in order.hosts.items()}
    left = await context.converger.destroy(manifest_of(context, state), volumes=named, recorder=recorder)
    ended = EnvironmentDestroyed(hosts=gone(order.hosts, left), kept=_kept(left))
    append_decided(context, f"{project}/{name}", lambda _: (ended,), recorder=recorder)
    return ended


async def remove_by_rule(context: Context, project: str, name: str) -> EnvironmentDestroyed | None:
    """Do what the operator's rule has for an orphaned environment; None when that is nothing.

    The caller holds the lock. Raises as `finish_destroy` does.
    """
    state, now = context.environment(project, name), context.clock.now()
    rule = rule_for(context, project, name)
    if not rule_is_due(state, rule, now=now):
        return None
    found = await _survey(context, state)

    def decide(newest: EnvironmentState) -> tuple[Event, ...]:
        return decide_rule(newest, rule, hosts=found.belongings, now=now)

    append_decided(context, f"{project}/{name}", decide, recorder=context.recorder())
    return await finish_destroy(context, project, name)


def rule_for(context: Context, project: str, name: str) -> RemovalRule:
    """The operator's rule for one environment."""
    section = removal_of(context.policy, project=project, environment=name)
    return RemovalRule(
        removes=section.orphans == "remove",
        grace=timedelta(seconds=section.grace),
        most_together=section.most_environments,
    )


def manifest_of(context: Context, state: EnvironmentState) -> Manifest:
    """The Manifest that says where the environment is: what is deployed, else what was tried last."""
    newest = next(reversed(state.releases.values()))
    return context.manifest(state.deployed_digest or newest.digest)


async def _survey(context: Context, state: EnvironmentState) -> Survey:
    hosts = await context.converger.survey(manifest_of(context, state))
    return Survey(hosts=hosts, destroyed=state.destroyed is not None)


def _kept(left: Mapping[str, Found]) -> dict[str, tuple[str, ...]]:
    """What stays, in words: what others use, and volumes that nobody named."""
    lines = {
        host: (*found.kept, *(f"volume {name}: its data is kept" for name in found.volumes))
        for host, found in left.items()
    }
    return {host: words for host, words in sorted(lines.items()) if words}
