"""Variables of a host reach Compose in memory alone, and only what is touched can fail for want of them."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from events.kernel.errors import UserError
from projections.engine.docker import DockerEngine
from projections.engine.port import HostFile
from tests.integration.engine.conftest import Apps

VALUE = "correct-horse$battery'{}"
CONTENT = b'PW="' + VALUE.replace("$", "\\$").encode() + b'"\n'
FILE = HostFile(path="/etc/platform/env", content=CONTENT)


class Watch:
    """What the processes of this machine show of themselves while something is done."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.seen: set[bytes] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for process in Path("/proc").iterdir():
                for name in ("cmdline", "environ"):
                    try:
                        self.seen.add((process / name).read_bytes())
                    except OSError:
                        continue


def environment(value: str) -> dict[str, Any]:
    return {"environment": {"A": value}}


def test_a_value_is_in_the_container_and_in_no_argument_or_variable_of_a_process(
    docker: DockerEngine, apps: Apps
) -> None:
    app = replace(apps(web=environment("x${PW:?say}y$$")), host_file=FILE)

    async def run() -> None:
        with Watch() as watch:
            await docker.up(app, ["web"])
        assert any(b"docker-compose" in one and b"/dev/fd/" in one for one in watch.seen)
        (found,) = (await apps.found(docker)).values()
        made = await docker.makeup(found.id)
        assert made is not None
        shown = [one for one in watch.seen if VALUE.encode() in one and b"A=x" not in one]
        assert shown == []
        given = made.fields["environment"]
        assert isinstance(given, dict)
        assert given["A"] == f"x{VALUE}y$"
        prediction = await docker.predict(app, ["web"])
        assert prediction.recreated == ()
        other = replace(app, host_file=replace(FILE, content=b"PW=other\n"))
        assert len((await docker.predict(other, ["web"])).recreated) == 1

    asyncio.run(run())


def test_what_is_not_touched_needs_no_value(docker: DockerEngine, apps: Apps) -> None:
    app = apps(web=environment("1"), db=environment("${PW:?say}"))

    async def run() -> None:
        await docker.up(replace(app, host_file=replace(FILE, content=None)), ["web"])
        assert len(await apps.found(docker)) == 1
        with pytest.raises(UserError, match="compose-refused"):
            await docker.up(app, ["web"])

    asyncio.run(run())


def test_a_file_is_not_shown_by_the_words_for_it() -> None:
    assert "horse" not in repr(FILE)
