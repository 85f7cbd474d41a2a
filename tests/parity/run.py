"""All Compose files of a folder, several at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.parity.apps import Stage, find_apps
from tests.parity.compare import Result, compare


async def run(corpus: Path, folder: Path, *, jobs: int) -> list[Result]:
    """The results of all apps below `corpus`, in the order of their paths; `folder` takes the copy."""
    stage = await asyncio.to_thread(Stage, corpus, folder)
    free = asyncio.Semaphore(jobs)

    async def one(path: str) -> list[Result]:
        async with free:
            return await compare(stage, apps[path])

    apps = {app.path: app for app in find_apps(stage.root)}
    found = await asyncio.gather(*(one(path) for path in apps))
    return [result for results in found for result in results]
