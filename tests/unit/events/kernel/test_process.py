"""Child processes: environment, streams, exit codes, deadlines, cancellation, and an end with the parent."""

from __future__ import annotations

import asyncio
import os
import resource
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from events.kernel import process
from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_NOT_STARTED, PROCESS_TIMED_OUT, Finished, run
from tests.support.processes import wait_until

PATH = {"PATH": "/usr/bin:/bin"}
DEADLINE = 20.0
IGNORES_TERM = "trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done"
WITH_HELPER = "sleep 1000 & echo $! > helper; echo $$ > pid; wait"


@pytest.fixture(params=["setpriv", "plain"])
def with_and_without_setpriv(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to start a child; setpriv is part of util-linux, which Debian always has."""
    if request.param == "plain":
        monkeypatch.setattr(process, "_SETPRIV", None)


def shell(script: str, *, deadline_seconds: float = DEADLINE, cwd: Path | None = None) -> Finished:
    return asyncio.run(run(["sh", "-c", script], env=PATH, deadline_seconds=deadline_seconds, cwd=cwd))


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def check_gone(pid: int) -> None:
    """A killed process closes its pipes, which `run` waits for, a moment before it is gone."""
    wait_until(f"the end of process {pid}", lambda: not alive(pid), seconds=2)


def number_in(path: Path) -> int:
    wait_until(f"a number in {path}", lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


@pytest.mark.usefixtures("with_and_without_setpriv")
def test_both_streams_and_the_exit_code_are_the_answer() -> None:
    done = shell("echo out; echo err >&2; exit 7")
    assert (done.code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    assert done.argv == ("sh", "-c", "echo out; echo err >&2; exit 7")


@pytest.mark.usefixtures("with_and_without_setpriv")
def test_a_signal_is_a_negative_code() -> None:
    assert shell("kill -9 $$").code == -signal.SIGKILL


def test_the_child_reads_what_it_is_given() -> None:
    content = bytes(range(256)) * 4096  # more than a pipe holds
    done = asyncio.run(run(["cat"], env=PATH, stdin=content, deadline_seconds=DEADLINE))
    assert done.stdout == content


def test_the_child_may_leave_what_it_is_given() -> None:
    done = asyncio.run(run(["true"], env=PATH, stdin=b"x" * 1_000_000, deadline_seconds=DEADLINE))
    assert done.code == 0


def test_without_input_the_child_reads_an_end() -> None:
    assert asyncio.run(run(["cat"], env=PATH, deadline_seconds=DEADLINE)).stdout == b""


def test_the_child_sees_the_variables_it_is_given_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "x")
    done = asyncio.run(run(["env"], env={**PATH, "A": "1"}, deadline_seconds=DEADLINE))
    assert sorted(done.stdout.decode().split()) == ["A=1", "PATH=/usr/bin:/bin"]


def test_the_child_starts_in_the_given_folder(tmp_path: Path) -> None:
    assert shell("pwd -P", cwd=tmp_path).stdout.decode().strip() == str(tmp_path.resolve())


def test_a_program_is_found_on_the_childs_path_and_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ours").write_text("#!/bin/sh\necho ours\n")
    (tmp_path / "bin" / "ours").chmod(0o755)
    on_path = run(["ours"], env={"PATH": str(tmp_path / "bin")}, deadline_seconds=DEADLINE)
    assert asyncio.run(on_path).stdout == b"ours\n"
    from_folder = run(["bin/ours"], env=PATH, cwd=tmp_path, deadline_seconds=DEADLINE)
    assert asyncio.run(from_folder).stdout == b"ours\n"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for env in (PATH, {}):
        with pytest.raises(OutsideError) as raised:
            asyncio.run(run(["ours"], env=env, deadline_seconds=DEADLINE))
        assert raised.value.code == PROCESS_NOT_STARTED
        assert "ours" in raised.value.message


@pytest.mark.usefixtures("with_and_without_setpriv")
def test_what_cannot_be_executed_is_not_started(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(OutsideError) as raised:
        asyncio.run(run([str(program)], env=PATH, deadline_seconds=DEADLINE))
    assert raised.value.code == PROCESS_NOT_STARTED
    assert raised.value.why


@pytest.mark.usefixtures("with_and_without_setpriv")
def test_codes_126_and_127_of_a_program_are_its_answer() -> None:
    assert [shell(f"exit {code}").code for code in (126, 127)] == [126, 127]


def test_a_program_may_speak_of_setpriv() -> None:
    assert shell("echo 'setpriv: hello' >&2").code == 0
    assert shell("echo 'my setpriv: hello' >&2; exit 127").code == 127


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as raised:
        shell("true", cwd=tmp_path / "gone")
    assert raised.value.code == PROCESS_NOT_STARTED


@pytest.mark.usefixtures("with_and_without_setpriv")
def test_at_its_deadline_a_child_is_stopped_with_its_helpers(tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as raised:
        shell(WITH_HELPER, deadline_seconds=0.5, cwd=tmp_path)
    assert raised.value.code == PROCESS_TIMED_OUT
    assert raised.value.message == "sh was stopped after 0.5 s"
    check_gone(number_in(tmp_path / "pid"))
    check_gone(number_in(tmp_path / "helper"))


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with pytest.raises(OutsideError):
        asyncio.run(
            run(
                ["sh", "-c", IGNORES_TERM],
                env=PATH,
                cwd=tmp_path,
                deadline_seconds=0.5,
                grace_seconds=0.2,
            )
        )
    check_gone(number_in(tmp_path / "pid"))


def test_a_helper_that_ignores_sigterm_is_killed_after_its_parent_has_gone(tmp_path: Path) -> None:
    script = f"sh -c {shlex.quote(IGNORES_TERM)} & sleep 1000"
    with pytest.raises(OutsideError):
        asyncio.run(
            run(["sh", "-c", script], env=PATH, cwd=tmp_path, deadline_seconds=0.5, grace_seconds=0.2)
        )
    check_gone(number_in(tmp_path / "pid"))


def test_a_child_may_clean_up_when_it_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(OutsideError):
        shell(
            "trap 'echo cleaned > trace; exit 0' TERM; sleep 1000 & wait", deadline_seconds=0.5, cwd=tmp_path
        )
    assert (tmp_path / "trace").read_text() == "cleaned\n"


def test_a_helper_in_a_session_of_its_own_does_not_hold_us_for_ever(tmp_path: Path) -> None:
    script = "setsid sh -c 'echo $$ > helper; exec sleep 1000' & wait"
    with pytest.raises(OutsideError):
        asyncio.run(
            run(["sh", "-c", script], env=PATH, cwd=tmp_path, deadline_seconds=0.5, grace_seconds=0.1)
        )
    os.kill(number_in(tmp_path / "helper"), signal.SIGKILL)


@pytest.mark.usefixtures("with_and_without_setpriv")
def test_cancelling_the_wait_stops_the_child_first(tmp_path: Path) -> None:
    async def cancelled() -> None:
        running = asyncio.create_task(
            run(["sh", "-c", WITH_HELPER], env=PATH, cwd=tmp_path, deadline_seconds=DEADLINE)
        )
        await asyncio.to_thread(number_in, tmp_path / "pid")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        check_gone(number_in(tmp_path / "pid"))
        check_gone(number_in(tmp_path / "helper"))

    asyncio.run(cancelled())


@pytest.mark.parametrize("turns", range(2, 8))
def test_cancelling_in_the_middle_of_a_start_stops_the_child_and_its_helpers(
    tmp_path: Path, turns: int
) -> None:
    """The child is quicker than the loop that opens its pipes, as on a busy machine."""

    async def cancelled() -> None:
        running = asyncio.create_task(
            run(["sh", "-c", WITH_HELPER], env=PATH, cwd=tmp_path, deadline_seconds=DEADLINE)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        helper = number_in(tmp_path / "helper")  # the loop stands still meanwhile
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(DEADLINE):
                await running
        check_gone(helper)

    asyncio.run(cancelled())


def test_an_error_shows_no_credentials_and_no_control_sequences(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    done = shell("printf '\\033[31mfatal: https://me:hunter22@example.org/x\\033[0m\\n' >&2; exit 1")
    assert done.error_text == "fatal: https://***@example.org/x"
    with pytest.raises(OutsideError) as raised:
        shell("sleep 9 # https://me:hunter22@example.org", deadline_seconds=0.2)
    assert "hunter22" not in str(raised.value)
    assert "sleep 9" in raised.value.why


@pytest.mark.parametrize("dies", [True, False])
def test_a_child_dies_with_its_parent_unless_it_need_not(tmp_path: Path, *, dies: bool) -> None:
    script = ["sh", "-c", "echo $$ > pid; exec sleep 1000"]
    folder = f"pathlib.Path({str(tmp_path)!r})"
    program = (
        "import asyncio, pathlib; from events.kernel.process import run; "
        f"asyncio.run(run({script}, env={PATH}, cwd={folder}, deadline_seconds=60, dies_with_parent={dies}))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[4])
    child = number_in(tmp_path / "pid")
    assert alive(child)
    parent.kill()
    parent.wait(timeout=10)
    if dies:
        check_gone(child)
    else:
        assert alive(child)
        os.kill(child, signal.SIGKILL)


def test_a_child_may_be_bounded_from_outside(tmp_path: Path) -> None:
    script = "sleep 0.3; head -c 5000 /dev/zero > big; exit 0"
    bounded = run(
        ["sh", "-c", script],
        env=PATH,
        cwd=tmp_path,
        deadline_seconds=DEADLINE,
        limits={resource.RLIMIT_FSIZE: 1024},
    )
    assert asyncio.run(bounded).code == 0
    assert (tmp_path / "big").stat().st_size == 1024


@pytest.mark.parametrize("kept_bytes", [0, 5, 70_000, 10_000_000])
def test_only_the_beginning_of_what_a_child_says_may_be_kept(kept_bytes: int) -> None:
    script = "head -c 300000 /dev/zero | tr '\\0' a; head -c 300000 /dev/zero | tr '\\0' b >&2; exit 3"
    running = run(["sh", "-c", script], env=PATH, deadline_seconds=DEADLINE, kept_bytes=kept_bytes)
    finished = asyncio.run(running)
    most = min(kept_bytes, 300_000)
    assert (finished.code, finished.stdout, finished.stderr) == (3, b"a" * most, b"b" * most)


@pytest.mark.parametrize(("script", "code", "kept"), [("cat", 0, b"x" * 9), ("exec 0<&-; exit 4", 4, b"")])
def test_a_child_whose_beginning_is_kept_is_given_all_of_its_input(
    script: str, code: int, kept: bytes
) -> None:
    """Also more than a pipe holds, and to one that reads none of it."""
    running = run(
        ["sh", "-c", script], env=PATH, deadline_seconds=DEADLINE, kept_bytes=9, stdin=b"x" * 1_000_000
    )
    finished = asyncio.run(running)
    assert (finished.code, finished.stdout) == (code, kept)


def test_a_child_whose_beginning_is_kept_has_its_deadline_too() -> None:
    running = run(["sh", "-c", "while :; do echo x; done"], env=PATH, deadline_seconds=0.3, kept_bytes=9)
    with pytest.raises(OutsideError) as caught:
        asyncio.run(running)
    assert caught.value.code == PROCESS_TIMED_OUT
