"""The lock beside a file: one at a time, with a deadline, let go of by the dead."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from events.turns import Turns

HOLDER = """
import sys, time
from pathlib import Path
from events.turns import Turns
with Turns(Path(sys.argv[1]), wait_seconds=5).held():
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_waits_up_to_its_deadline_and_is_told(tmp_path: Path) -> None:
    one, other = (Turns(tmp_path / "lock", wait_seconds=0.05) for _ in range(2))
    with one.held(), pytest.raises(TimeoutError, match=r"kept lock for 0\.05 seconds"), other.held():
        pass
    with other.held():
        pass
    one.close()
    other.close()


def test_a_holder_that_is_killed_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        impatient = Turns(path, wait_seconds=0.02)
        with pytest.raises(TimeoutError), impatient.held():
            pass
        holder.kill()
    patient = Turns(path, wait_seconds=30)
    with patient.held():
        pass
    impatient.close()
    patient.close()


def test_the_file_is_private_made_by_the_first_turn_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    turns = Turns(path, wait_seconds=1)
    assert not path.exists()
    with turns.held():
        assert path.stat().st_mode & 0o777 == 0o600
    turns.close()
    assert path.exists()


def test_there_are_no_turns_after_closing(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "lock", wait_seconds=1)
    turns.close()
    turns.close()
    with pytest.raises(OSError, match="closed") as raised, turns.held():
        pass
    assert raised.value.errno == errno.EBADF
    assert not (tmp_path / "lock").exists()
