"""The daemon's own pass over an environment that is as it should be, and how long it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from controller.context import Context
from controller.look import keep


def idle_passes(context: Context, runner: asyncio.Runner, project: str) -> Callable[[], float]:
    """Makes one pass with each call and answers its seconds; a pass that finds something to do fails."""

    def one_pass() -> float:
        began = time.perf_counter()
        outcome = runner.run(keep(context, project, "prod"))
        took = time.perf_counter() - began
        assert (outcome.status, outcome.healed) == ("in-sync", False)
        return took

    return one_pass
