"""Running the daemon in the foreground: signals, and one line with a time for each thing that happened."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.settings import Settings
    from cli.watched import Choice
    from controller.daemon import Daemon

_USUAL_NEW_OBJECTS = (700, 10, 10)  # the interpreter's own; `cli/main.py` sets what suits short commands
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_for_ever(settings: Settings, choice: Choice, *, grace_seconds: float) -> int:
    """Run until a signal.

    Raises OutsideError `controller-running` or `listen-failed`, UserError `webhook-secret-missing`.
    """
    from controller.api.hooks import Door
    from controller.api.secrets import hook_secrets
    from controller.api.server import listen
    from controller.bootstrap import open_context
    from controller.daemon import Daemon
    from controller.late import import_late
    from controller.seal_places import seal_places
    from controller.source import Source

    import_late()
    _keep_memory_small()
    places = seal_places(
        choice.file.seals.to,
        folder=choice.folder,
        scratch=settings.home.mirrors,
        seconds=choice.file.seals.deadline,
    )
    secrets = hook_secrets(choice.places, os.environ)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(choice.file.listen)) if secrets else None
        context = stack.enter_context(
            open_context(settings.home, progress=_timed(settings), settings=choice.file)
        )
        daemon = Daemon(
            context=context,
            sources=[
                Source(context=context, place=place, config_path=settings.config, only=choice.only)
                for place in choice.places
            ],
            settings=choice.file,
            say=_timed(settings),
            whisper=_timed(settings) if settings.verbose else _silent,
            grace_seconds=grace_seconds,
            seal_places=places,
            door=None if listening is None else Door(listening=listening, secrets=secrets),
        )
        asyncio.run(_run(daemon))
    return 0


def _keep_memory_small() -> None:
    """Look for garbage as often as is usual, and never again through all that was imported, which stays."""
    gc.freeze()
    gc.set_threshold(*_USUAL_NEW_OBJECTS)


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
