"""Running the daemon in the foreground: signals, and one line with a time for each thing that happened."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.settings import Settings
    from controller.daemon import Daemon

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_for_ever(
    settings: Settings, repo: str, *, branch: str, grace_seconds: float, controller_file: str | None
) -> int:
    """Run until a signal. Raises UserError for a file or an address that cannot be used."""
    from controller.bootstrap import open_context
    from controller.daemon import Daemon
    from controller.repositories import WatchedBranch, watched
    from controller.source import Source
    from gitops.config.controller import load_controller_file

    named = settings.home.controller_file if controller_file is None else settings.cwd / controller_file
    file = load_controller_file(named, required=controller_file is not None)
    with open_context(settings.home, progress=_timed(settings), settings=file) as context:
        repository = watched(settings.home, repo, cwd=settings.cwd)
        place = WatchedBranch(watched=repository, branch=branch, environments=settings.environments)
        daemon = Daemon(
            context=context,
            sources=[Source(context=context, place=place, config_path=settings.config)],
            settings=file,
            say=_timed(settings),
            whisper=_timed(settings) if settings.verbose else _silent,
            grace_seconds=grace_seconds,
        )
        asyncio.run(_run(daemon))
    return 0


async def _run(daemon: Daemon) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(128 + number)  # what was under way is taken up by the next start
        stopping.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    watching = ", ".join(str(watch.key) for watch in daemon.watches)
    daemon.say(f"watching {watching}, process {os.getpid()}")
    await daemon.run(stopping)


def _timed(settings: Settings) -> Callable[[str], None]:
    def say(text: str) -> None:
        settings.console.progress(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}")

    return say


def _silent(_text: str) -> None:
    """What woke the daemon interests nobody."""
