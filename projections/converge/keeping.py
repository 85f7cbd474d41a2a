"""Keeping what a container that failed a Release left behind, before the Release takes it away.

Asked of the engine in a fixed number of calls, each answer bounded before it is kept. Nothing of it decides
anything: where the engine does not tell or the disk is full, the Release goes on to its verdict without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from events.catalog import Failure
from events.kernel.errors import OutsideError
from events.kernel.redact import MASK
from projections.converge.failures import FATAL
from projections.converge.site import Equipment, Site
from projections.engine.errors import shown
from projections.engine.port import Engine
from projections.kept import KeptContainer

LOG_LINES = 1000  # the engine gives each at most 500 characters
CHANGES = 500
_TEXT_LIMIT = 2000  # characters of one text of the definition
_PLAIN = (bool, int, float)


async def keep(site: Site, failure: Failure, *, release: str) -> Failure:
    """The failure, with the place where its container's remains are kept; as it was when nothing is.

    Raises what is in `failures.FATAL`.
    """
    kept = site.equipment.kept
    if kept is None or not kept.count or failure.container is None or failure.kept:
        return failure
    try:
        remains = await _remains(site, failure, container=failure.container, release=release)
        place = await asyncio.to_thread(kept.keep, remains)
    except OutsideError as error:
        if error.code in FATAL:
            raise
        why = error.message
    except OSError as error:
        why = error.strerror or str(error)
    else:
        return failure.model_copy(update={"kept": place})
    site.tell(f"nothing of the failed container is kept: {why}", service=failure.service)
    return failure


async def sweep(equipment: Equipment) -> None:
    """Let go what is too old; what cannot be removed is told of, and tried again with the next pass."""
    if equipment.kept is None:
        return
    try:
        await asyncio.to_thread(equipment.kept.sweep, equipment.clock.now())
    except OSError as error:
        equipment.progress(f"what is kept of failed containers was not swept: {error.strerror or error}")


async def _remains(site: Site, failure: Failure, *, container: str, release: str) -> KeptContainer:
    engine = site.engine
    changes = await _changes(engine, container)
    return KeptContainer(
        project=site.owner.project,
        environment=site.owner.environment,
        release=release,
        host=site.host,
        service=failure.service or "",
        container=container,
        at=site.clock.now(),
        code=failure.code,
        message=failure.message,
        exit_code=failure.exit_code,
        health_output=failure.health_output,
        made_with=await _made_with(engine, container),
        changes=changes,
        log=await engine.logs(container, tail=LOG_LINES),
    )


async def _changes(engine: Engine, container: str) -> tuple[str, ...]:
    """What it changed in its file system.

    An engine walks through all that a container wrote, which may take longer than anybody waits: that it
    keeps silent here says nothing about the host, and what follows is asked all the same.
    """
    try:
        found = await engine.changes(container)
    except OutsideError as error:
        return (f"unknown: {error.message}",)
    left_out = (f"and {len(found) - CHANGES} more",) if len(found) > CHANGES else ()
    return (*map(shown, found[:CHANGES]), *left_out)


async def _made_with(engine: Engine, container: str) -> dict[str, Any]:
    """Its definition, field by field; empty when it is gone."""
    makeup = await engine.makeup(container)
    if makeup is None:
        return {}
    names = makeup.fields.get("environment", {})
    return cast("dict[str, Any]", _masked({**makeup.fields, "environment": dict.fromkeys(names, MASK)}))


def _masked(value: Any) -> Any:  # noqa: ANN401  # a definition has texts, numbers, lists and mappings in any depth
    """The same with every text masked and bounded."""
    if isinstance(value, dict):
        return {shown(str(name)): _masked(one) for name, one in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_masked(one) for one in cast("Sequence[object]", value)]
    if value is None or isinstance(value, _PLAIN):
        return value
    return shown(str(value), limit=_TEXT_LIMIT)
