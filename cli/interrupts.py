"""Ctrl-C in a command that works on an environment: what is left, who goes on with it, how to see it.

The first signal ends the work as a crash would, only gentler: the child under way is asked to stop, nothing
is undone, and the Release keeps its place in the log, so that whoever comes next goes on from there. The
second one ends the process at once. (Finishing first, as the daemon does, was dropped: a person who presses
Ctrl-C waits for the prompt.)
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from controller.holders import holder_of
from controller.locks import lock_file
from events.kernel.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from cli.console import Console
    from controller.context import Context
    from controller.targets import Target
    from projections.converge.work import Verdict

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BY_SIGNAL = 128  # as shells report a process that ended by a signal: 130 and 143


def run_to_verdict(
    console: Console, context: Context, target: Target, work: Coroutine[Any, Any, Verdict]
) -> int:
    """Run `work` to the verdict of a Release, report it, and answer the exit code.

    That is 130 after Ctrl-C and 143 after SIGTERM, with words about what was left; they come before an
    OutsideError that ends the work too, because a Release keeps its place in the log when a host is away.
    """
    from cli.verdicts import report

    heard: list[signal.Signals] = []
    try:
        verdict = asyncio.run(_listening(work, heard=heard, context=context, target=target))
    except OutsideError:
        if (left := _left(context, target)) is not None:
            context.progress(left)
        raise
    if verdict is None:
        context.progress(_left(context, target) or f"{target}: nothing is under way")
        return _BY_SIGNAL + heard[0]
    return report(console, str(target), verdict)


async def _listening(
    work: Coroutine[Any, Any, Verdict], *, heard: list[signal.Signals], context: Context, target: Target
) -> Verdict | None:
    """The verdict, None when a signal came first."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)

    def hear(number: signal.Signals) -> None:
        if heard:
            os._exit(_BY_SIGNAL + number)
        heard.append(number)
        context.progress(f"{target}: ending; a second Ctrl-C ends it at once")
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, hear, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not heard:
            raise
        return None


def _left(context: Context, target: Target) -> str | None:
    """What goes on without this command, and how to see it; None when nothing is under way."""
    active = context.environment(target.project, target.name).active
    if active is None:
        return None
    holder = holder_of(lock_file(context.home.run, str(target)))
    if holder is None:
        goes_on = "a controller, or the next `stagecraft deploy`, goes on with it"
    else:
        goes_on = f"process {holder.pid} works on the environment and goes on without this command"
    return (
        f"{target}: {active.id} has no verdict yet, it is {active.status}; {goes_on}\n"
        f"  next: stagecraft releases show {active.id}"
    )
