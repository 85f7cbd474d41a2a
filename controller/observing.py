"""Asking the engines now, for a reader that wants no older answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from controller.bootstrap import open_context
from controller.placed import former_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.home import Home
    from controller.targets import Target


def refresh_observed(home: Home, target: Target, *, progress: Callable[[str], None]) -> None:
    """Ask every host of what is deployed and keep the answers in `observed.db`; nothing else changes.

    A host that does not answer is noted as unknown. Nothing is asked when nothing is deployed.
    """
    with open_context(home, progress=progress) as context:
        state = context.environment(target.project, target.name)
        manifest = former_manifest(context, state)
        if manifest is not None:
            looking = context.converger.observe(
                manifest, stopped=state.stopped_hashes, kept=state.kept_places
            )
            asyncio.run(looking)
