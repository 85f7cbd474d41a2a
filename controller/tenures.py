"""Working on an environment: its lock, its token, and a context that carries both.

Everything that decides or acts for an environment does so inside `tenure`, with the context that it yields:
what is appended and done through it ends when somebody else takes the environment over.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from controller.context import LOCK_DEADLINE_SECONDS
from controller.locks import locked
from events.tokens import Tenure

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from controller.context import Context

Draw = Literal["late", "now", "vital"]


@asynccontextmanager
async def tenure(
    context: Context,
    title: str,
    *,
    purpose: str,
    draw: Draw = "late",
    deadline_seconds: float = LOCK_DEADLINE_SECONDS,
    waiting: Callable[[str], None] | None = None,
) -> AsyncGenerator[Context]:
    """Hold the lock of the environment `title` and yield the context to work with.

    The token is drawn `late`, before the first event or operation, so that an idle look writes nothing;
    work that is sure to write draws it `now`, and a way back, which must go on a full disk too, as `vital`.
    Raises OutsideError `environment-locked` after the
    deadline and LockLostError when somebody came between.
    """
    async with locked(
        context.home.run,
        title,
        clock=context.clock,
        purpose=purpose,
        deadline_seconds=deadline_seconds,
        waiting=waiting or context.progress,
    ) as name_token:
        begun = Tenure.begin(context.log, title, drawn=lambda token: name_token(token.number))
        if draw != "late":
            await asyncio.to_thread(begun.token, vital=draw == "vital")
        yield replace(context, tenure=begun)
