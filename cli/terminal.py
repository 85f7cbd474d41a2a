"""This process's own terminal and input, for a program elsewhere that a person speaks with.

While a terminal is raw every key goes to that program, Ctrl-C too; whatever happens, it is as before
afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from projections.engine.programs import WindowSize

_CHUNK_BYTES = 32 * 1024


def at_terminal() -> bool:
    """Whether a person sits at both ends: input and output are terminals."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def window_size() -> WindowSize:
    """The size of the terminal that output goes to."""
    from projections.engine.programs import WindowSize

    found = os.get_terminal_size(sys.stdout.fileno())
    return WindowSize(columns=found.columns, rows=found.lines)


@contextlib.contextmanager
def raw_terminal() -> Generator[None]:
    """Keys arrive one by one and nothing is echoed here."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def told_of_resizes(tell: Callable[[WindowSize], Coroutine[Any, Any, None]]) -> Generator[None]:
    """Tell whenever the terminal gets another size."""
    loop = asyncio.get_running_loop()
    telling: set[asyncio.Task[None]] = set()

    def resized() -> None:
        task = loop.create_task(tell(window_size()))
        telling.add(task)
        task.add_done_callback(telling.discard)

    loop.add_signal_handler(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        for task in telling:
            task.cancel()


def pass_input_on(write: Callable[[bytes], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
    """Hand what comes on standard input to `write`, as fast as that takes it, and then call `end`.

    A thread reads, which nothing waits for: one that reads a terminal cannot be ended.
    """
    loop = asyncio.get_running_loop()

    async def hand_over(content: bytes) -> None:
        await (write(content) if content else end())

    def read() -> None:
        with contextlib.suppress(OSError, RuntimeError):  # there is no input; nobody wants it any more
            while True:
                content = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
                asyncio.run_coroutine_threadsafe(hand_over(content), loop).result()
                if not content:
                    return

    threading.Thread(target=read, name="input", daemon=True).start()
