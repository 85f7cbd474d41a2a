"""What is out of the ordinary in an environment by the log, a line each, for its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from projections.views.environments import Environment

_SHORT_ID = 12
_ADVICE = "            next:"


def notes(known: Environment, *, advises: bool) -> Iterable[str]:
    """What is out of the ordinary by the log."""
    if known.active is not None:
        yield f"  active    {known.active.id} {known.active.status}"
    if known.awaiting is not None:
        awaiting = known.awaiting
        images = ", ".join(awaiting["images"])
        yield f"  awaits    {images} for {awaiting['revision'][:_SHORT_ID]}, until {awaiting['until']}"
    yield from (one for one in _departures(known) if advises or not one.startswith(_ADVICE))
    if known.unpruned is not None:
        services = known.unpruned["services"]
        yield f"  left      {', '.join(services)}: more than go at once, so they run on"
        if advises:
            yield f"            next: stagecraft prune --env {known} --confirm {len(services)}"
    if known.hold is not None:
        ends = "; `stagecraft resume --hold` ends it" if advises else ""
        yield f"  held      {said(known.hold)}{_until(known.hold)}{ends}"
    if known.suspended is not None:
        ends = "; `stagecraft resume --suspend` ends it" if advises else ""
        yield f"  suspended {said(known.suspended)}{_until(known.suspended)}{ends}"
    yield from _traffic(known, advises=advises)
    if known.breaker is not None:
        rest = f"{known.breaker['attempts']} attempts, until {known.breaker['until']}"
        yield f"  rests     healing: {known.breaker['reason']} (since {known.breaker['since']}; {rest})"
        if advises:
            yield f"{_ADVICE} stagecraft resume --env {known}, or push a commit that mends it"
    if known.render_failure is not None:
        failure = known.render_failure
        begins = "render    {} failed" if failure["rule"] is None else "refused   {}"
        commit = begins.format(failure["revision"][:_SHORT_ID])
        yield f"  {commit}: {failure['code']}: {failure['message']}"


def _traffic(known: Environment, *, advises: bool) -> Iterable[str]:
    """What gets no new requests, and what is looked at because it is new."""
    for one in known.drained:
        in_maintenance = ", in maintenance" if one["mode"] == "maintenance" else ""
        ends = f"; `stagecraft undrain {one['name']}` ends it" if advises else ""
        yield f"  drained   {one['kind']} {one['name']}{in_maintenance}: {said(one)}{ends}"
    if known.watch is not None:
        services = ", ".join(known.watch["services"])
        yield f"  watched   {known.watch['release']} until {known.watch['until']}: {services}"


def _departures(known: Environment) -> Iterable[str]:
    """What is gone from Git, or from the hosts."""
    if known.orphaned is not None:
        orphan = known.orphaned
        commit = orphan["revision"][:_SHORT_ID]
        yield f"  orphaned  gone from {orphan['ref']} since {commit} ({orphan['since']})"
        if orphan["deferred"] is not None:
            yield f"            not removed by rule: {orphan['deferred']['detail']}"
        yield f"{_ADVICE} declare it again, or stagecraft destroy --env {known}"
    if known.destroying is not None:
        yield f"  going     {said(known.destroying)}"
        yield f"{_ADVICE} to go on, stagecraft destroy --env {known}"
    if known.destroyed is not None:
        volumes = sorted(name for names in known.destroyed["volumes"].values() for name in names)
        lost = f"; volumes removed: {', '.join(volumes)}" if volumes else ""
        yield f"  destroyed {said(known.destroyed)}{lost}"
        yield f"{_ADVICE} a commit that changes it, or stagecraft deploy --env {known}"


def _until(told: dict[str, object]) -> str:
    """When it ends by itself; an older fold of a suspend does not know."""
    return f", until {told['until']}" if told.get("until") else ""


def said(told: dict[str, object]) -> str:
    """Why, and since when."""
    return f"{told['reason'] or 'no reason given'} (since {told['since']})"
