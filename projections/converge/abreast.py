"""Work on several hosts side by side, each to its own end.

What fails on one host never cuts short what goes on at another: an exchange that is ended in the middle
leaves more to mend than it saves. (A TaskGroup was dropped for that: it cancels the others.) With one host
nothing is beside it, and the work runs in the caller's own task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from events.kernel.errors import StagecraftError

T = TypeVar("T")


async def abreast(
    hosts: Iterable[str], work: Callable[[str], Awaitable[T]]
) -> tuple[dict[str, T], dict[str, StagecraftError]]:
    """By host, what the work answered, and the errors of the tree that it ended with; sorted by name.

    What is not of that tree (a newer Release that ends a wait, a bug) is raised, the first host's, when all
    have ended.
    """
    names = sorted(hosts)
    if len(names) == 1:
        ended: list[T | BaseException] = [await _caught(work(names[0]))]
    else:
        ended = list(await asyncio.gather(*(_caught(work(name)) for name in names), return_exceptions=True))
    done: dict[str, T] = {}
    failed: dict[str, StagecraftError] = {}
    for name, one in zip(names, ended, strict=True):
        if isinstance(one, StagecraftError):
            failed[name] = one
        elif isinstance(one, BaseException):
            raise one
        else:
            done[name] = one
    return done, failed


async def _caught(work: Awaitable[T]) -> T | StagecraftError:
    try:
        return await work
    except StagecraftError as error:
        return error
