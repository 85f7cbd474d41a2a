"""The holder of a lock: named for ever, ended only when it is the very process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller import holders
from controller.holders import end_holder, holder_of, this_process
from controller.locks import lock_file
from events.kernel.errors import OutsideError, UserError
from tests.support.processes import wait_until

NAME = "shop/prod"
HOLD = """
import asyncio, subprocess, sys
from pathlib import Path
from controller.locks import locked
from events.kernel.clock import SystemClock

async def hold():
    folder, name = Path(sys.argv[1]), sys.argv[2]
    async with locked(folder, name, clock=SystemClock(), purpose="deploy", deadline_seconds=1):
        child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", "sleep", "60"])
        while Path(f"/proc/{child.pid}/comm").read_text().strip() != "sleep":
            await asyncio.sleep(0.01)  # from then on it ends with us
        print(child.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(hold())
"""


@dataclass(frozen=True, slots=True)
class Hanging:
    """A process that holds the lock and has a child."""

    process: subprocess.Popen[str]
    child: int
    file: Path

    def rewrite(self, **changes: object) -> None:
        """Change what the file says of the holder, as if it were another one's."""
        told = json.loads(self.file.read_text())
        self.file.write_text(json.dumps({**told, **changes}))


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    argv = [sys.executable, "-c", HOLD, str(tmp_path), NAME]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            child = int(process.stdout.readline())
            yield Hanging(process, child, lock_file(tmp_path, NAME))
        finally:
            process.kill()


def test_a_free_lock_has_no_holder(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "none.lock") is None
    left = tmp_path / "left.lock"
    left.write_text(json.dumps({"pid": 1, "since": "x", "purpose": "dead"}))
    assert holder_of(left) is None
    with pytest.raises(UserError) as caught:
        end_holder(left, NAME)
    assert caught.value.code == "lock-not-held"


def test_a_holder_says_who_it_is_and_how_it_does(hanging: Hanging) -> None:
    holder = holder_of(hanging.file)
    assert holder is not None
    assert (holder.pid, holder.purpose, holder.alive, holder.state) == (
        hanging.process.pid,
        "deploy",
        True,
        "running",
    )
    hanging.process.send_signal(signal.SIGSTOP)
    wait_until("it is stopped", lambda: holder.state == "stopped")
    assert holder.alive


def test_a_stopped_holder_is_ended_with_its_children(hanging: Hanging) -> None:
    hanging.process.send_signal(signal.SIGSTOP)
    ended = end_holder(hanging.file, NAME)
    assert hanging.process.wait(5) == -signal.SIGKILL
    assert [child.pid for child in ended.children] == [hanging.child]
    assert ended.survivors() == ()
    assert holder_of(hanging.file) is None
    assert ended.holder.state == "gone"


@pytest.mark.parametrize(
    "changes", [{"start": 1}, {"boot": "another"}, {"pid": 2**22 - 1}, {"start": None}, {"pid": -1}]
)
def test_a_process_that_does_not_match_in_all_is_never_signalled(
    hanging: Hanging, changes: dict[str, object]
) -> None:
    hanging.rewrite(**changes)
    with pytest.raises(OutsideError) as caught:
        end_holder(hanging.file, NAME)
    assert caught.value.code == "lock-holder-unknown"
    assert hanging.process.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "7"}'])
def test_a_holder_that_does_not_say_who_it_is_is_unknown(hanging: Hanging, text: str) -> None:
    hanging.file.write_text(text)
    holder = holder_of(hanging.file)
    assert holder is not None
    assert (holder.pid, holder.alive, holder.state) == (None, None, "unknown")


def test_a_holder_that_does_not_let_go_is_an_error(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "_LET_GO_SECONDS", 0.05)

    def ignore(*_: object) -> None:
        pass

    monkeypatch.setattr(signal, "pidfd_send_signal", ignore)
    with pytest.raises(OutsideError) as caught:
        end_holder(hanging.file, NAME)
    assert caught.value.code == "lock-holder-stays"


def test_a_process_of_somebody_else_stays(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    with pytest.raises(OutsideError) as caught:
        end_holder(hanging.file, NAME)
    assert caught.value.code == "lock-holder-stays"
    assert "not permitted" in caught.value.why


def test_a_survivor_is_named(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "_CHILDREN_SECONDS", 0.05)
    ended = end_holder(hanging.file, NAME)
    me = this_process()
    alive = holders.Identity(pid=os.getpid(), start=int(str(me["start"])), boot=str(me["boot"]))
    assert holders.Ended(holder=ended.holder, pid=1, children=(alive,)).survivors() == (os.getpid(),)


def test_a_process_is_identified_and_signalled_as_the_very_one_it_is() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = holders.identify(process.pid)
        assert identity is not None
        assert holders.lives(identity)
        holders.signal_process(replace(identity, start=identity.start + 1), signal.SIGKILL)
        assert holders.lives(identity)
        holders.signal_process(identity, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert not holders.lives(identity)
    holders.signal_process(identity, signal.SIGKILL)
    assert holders.identify(process.pid) != identity
