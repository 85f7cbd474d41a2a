"""Deadlines for tests: nothing here waits for ever, and a wait that ends in vain says what it waited for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def wait_until(what: str, holds: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Return as soon as `holds()` is true; raise TimeoutError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now.

    The system hands them out in turn, so that two calls in a row never give the same one.
    """
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))  # noqa: S104  # an engine publishes on all addresses; so must the probe
        port: int = probe.getsockname()[1]
        return port
