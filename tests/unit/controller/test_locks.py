"""The lock of an environment: one holder, no dead one, and words about who it is."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from pathlib import Path

import pytest

from controller.locks import locked
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from tests.support.processes import wait_until
from tests.support.time import FakeClock


async def _hold_while(folder: Path, name: str, *, then: str | None) -> None:
    async with locked(folder, name, clock=FakeClock(), purpose="deploy", deadline_seconds=1):
        if then is not None:
            async with locked(folder, then, clock=FakeClock(), purpose="look", deadline_seconds=1):
                pass


def test_a_second_holder_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as caught:
        asyncio.run(_hold_while(tmp_path, "shop/prod", then="shop/prod"))
    assert caught.value.code == "environment-locked"
    assert f"process {os.getpid()}" in caught.value.why
    assert "deploy" in caught.value.why


def test_other_environments_are_free(tmp_path: Path) -> None:
    asyncio.run(_hold_while(tmp_path, "shop/prod", then="shop-prod"))


def test_a_name_that_tries_to_leave_the_folder_stays_in_it(tmp_path: Path) -> None:
    asyncio.run(_hold_while(tmp_path / "run", "../../etc/" + "x" * 300, then=None))
    assert [path.parent for path in tmp_path.rglob("*.lock")] == [tmp_path / "run"]


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    async def fail() -> None:
        async with locked(tmp_path, "a/b", clock=FakeClock(), purpose="x", deadline_seconds=1):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(fail())
    asyncio.run(_hold_while(tmp_path, "a/b", then=None))


def test_a_waiting_caller_gets_the_lock_when_it_is_let_go(tmp_path: Path) -> None:
    async def both() -> list[str]:
        order: list[str] = []
        held = asyncio.Event()

        async def first() -> None:
            async with locked(tmp_path, "a/b", clock=SystemClock(), purpose="1", deadline_seconds=5):
                held.set()
                await asyncio.sleep(0.2)
                order.append("first")

        async def second() -> None:
            await held.wait()
            async with locked(tmp_path, "a/b", clock=SystemClock(), purpose="2", deadline_seconds=5):
                order.append("second")

        await asyncio.gather(first(), second())
        return order

    assert asyncio.run(both()) == ["first", "second"]


def _hold_for_ever(folder: str) -> None:
    async def hold() -> None:
        async with locked(Path(folder), "a/b", clock=SystemClock(), purpose="hang", deadline_seconds=1):
            await asyncio.sleep(60)

    asyncio.run(hold())


def test_a_killed_holder_is_taken_over_at_once(tmp_path: Path) -> None:
    holder = multiprocessing.get_context("spawn").Process(target=_hold_for_ever, args=(str(tmp_path),))
    holder.start()
    try:
        wait_until(
            "the lock is held", lambda: any("hang" in one.read_text() for one in tmp_path.glob("*.lock"))
        )
        with pytest.raises(OutsideError):
            asyncio.run(_hold_while(tmp_path, "a/b", then=None))
    finally:
        holder.kill()
        holder.join()
    asyncio.run(_hold_while(tmp_path, "a/b", then=None))


def test_a_holder_that_has_not_said_who_it_is_is_no_problem(tmp_path: Path) -> None:
    def overwrite_file() -> None:
        next(tmp_path.glob("*.lock")).write_text("{")

    async def overwrite() -> None:
        async with locked(tmp_path, "a/b", clock=FakeClock(), purpose="x", deadline_seconds=1):
            overwrite_file()
            async with locked(tmp_path, "a/b", clock=FakeClock(), purpose="y", deadline_seconds=1):
                pass

    with pytest.raises(OutsideError) as caught:
        asyncio.run(overwrite())
    assert "not said" in caught.value.why
