"""Asking the engines now, for a reader that wants no older answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from controller.bootstrap import open_context
from controller.placed import former_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from controller.context import Context
    from controller.home import Home
    from controller.targets import Target


def refresh_observed(home: Home, targets: Sequence[Target], *, progress: Callable[[str], None]) -> None:
    """Ask every host of what is deployed and keep the answers in `observed.db`; nothing else changes.

    All hosts of all environments are asked side by side, so a host that does not answer takes its own time
    once; it is noted as unknown. Nothing is asked where nothing is deployed. Raises the first error that is
    no silence, when all were asked.
    """
    with open_context(home, progress=progress) as context:
        asyncio.run(_ask(context, targets))


async def _ask(context: Context, targets: Sequence[Target]) -> None:
    async def ask(target: Target) -> None:
        state = context.environment(target.project, target.name)
        manifest = former_manifest(context, state)
        if manifest is not None:
            await context.converger.observe(manifest, stopped=state.stopped_hashes, kept=state.kept_places)

    for answer in await asyncio.gather(*map(ask, targets), return_exceptions=True):
        if answer is not None:
            raise answer
