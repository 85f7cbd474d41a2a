"""One writer of effects per environment on one machine.

The lock is `flock` on a file: the kernel lets go of it when its holder dies, however it dies, so a dead
holder is taken over at once and no lock is ever lost. What stands in the file is for people: who holds it
and since when. The file stays after release, because removing it would let two holders lock two files.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from controller.holders import this_process
from events.kernel.clock import format_utc
from events.kernel.errors import OutsideError, Where, error_code

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from io import TextIOWrapper
    from pathlib import Path

    from events.kernel.clock import Clock

LOCKED = error_code("environment-locked", "Another process of this machine is changing the environment.")

_POLL_SECONDS = 0.1
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@asynccontextmanager
async def locked(
    folder: Path,
    name: str,
    *,
    clock: Clock,
    purpose: str,
    deadline_seconds: float,
    waiting: Callable[[str], None] | None = None,
) -> AsyncGenerator[Callable[[int], None]]:
    """Hold the lock `name` (such as `hello/prod`) for the duration of the block.

    Waits for another holder up to the deadline; `waiting` is told once who that is. Yields what makes the
    file say the holder's token. Raises OutsideError `environment-locked`, naming the holder.
    """
    with _open(folder, name) as file:
        deadline = clock.monotonic() + deadline_seconds
        await _acquire(file, name, clock=clock, deadline=deadline, waiting=waiting)
        holder: dict[str, object] = {"since": format_utc(clock.now()), "purpose": purpose, **this_process()}
        _describe(file, holder)
        try:
            yield lambda token: _describe(file, {**holder, "token": token})
        finally:
            _describe(file, None)


def _open(folder: Path, name: str) -> TextIOWrapper:
    """The lock's file, made with its folder when it is missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return lock_file(folder, name).open("a+", encoding="utf-8")


async def _acquire(
    file: TextIOWrapper,
    name: str,
    *,
    clock: Clock,
    deadline: float,
    waiting: Callable[[str], None] | None,
) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if clock.monotonic() >= deadline:
                raise OutsideError(
                    LOCKED,
                    f"{name} is being changed by another process",
                    where=Where(environment=name),
                    why=_holder(file),
                    next="wait for it to finish, then try again",
                ) from error
        else:
            return
        if waiting is not None:
            waiting(f"{name}: waiting for another process: {_holder(file)}")
            waiting = None
        await clock.sleep(_POLL_SECONDS)


def _describe(file: TextIOWrapper, holder: dict[str, object] | None) -> None:
    """Replace what the file says of its holder; it is information only, so it need not be durable."""
    file.seek(0)
    file.truncate()
    if holder is not None:
        json.dump(holder, file)
    file.flush()


def _holder(file: TextIOWrapper) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"held by process {holder['pid']} since {holder['since']}: {holder['purpose']}"
    except (ValueError, KeyError, TypeError):
        return "the holder has not said who it is"


def lock_file(folder: Path, name: str) -> Path:
    """The file of the lock `name`; it need not exist."""
    return folder / f"{_file_name(name)}.lock"


def _file_name(name: str) -> str:
    """A file name for any lock name; two names never share one."""
    safe = _UNSAFE.sub("-", name)
    return safe if safe == name else f"{safe[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
