"""`exec` through the installed command: arguments, streams, exit codes, a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess

from tests.e2e.team import Team
from tests.support.cli import COMMAND
from tests.support.processes import wait_until


def test_a_program_runs_where_the_service_runs(team: Team) -> None:
    team.deploys("first")

    def run(*command: str, stdin: str = "", options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        done = team.cli.run(
            "exec", "--env", "prod", "--service", "web", *options, "--", *command, stdin=stdin
        )
        return done.code, done.stdout, done.stderr

    assert run("sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
    odd = ("a b", "$(id)", "'q' \"d\"", "--env", "")
    assert run("sh", "-c", 'printf "<%s>" "$@"', "sh", *odd)[1] == "".join(f"<{one}>" for one in odd) + "\n"
    assert run("cat", stdin="to and fro\n") == (0, "to and fro\n", "")
    told = "password=hunter2-hunter2"
    assert run("sh", "-c", f"printf {told}")[1] == "password=***\n"
    assert run("sh", "-c", f"printf {told}", options=("--raw",))[1] == told
    assert run("no-such-program")[0] in {126, 127}

    unknown = team.cli.run("exec", "--env", "prod", "--service", "wbe", "--", "true").expect(1)
    assert "error: service-not-in-environment" in unknown.stderr
    ended = team.cli.run("exec", "--env", "prod", "--service", "migrate", "--", "true").expect(1)
    assert "error: service-not-running" in ended.stderr
    away = {"DOCKER_HOST": "unix:///nowhere.sock"}
    silent = team.cli.run("exec", "--env", "prod", "--service", "web", "--", "true", environment=away)
    assert "error: engine-unreachable" in silent.expect(2).stderr

    at_a_terminal(team)


def at_a_terminal(team: Team) -> None:
    """Keys go there one by one, and the terminal is as before afterwards."""
    ours, theirs = pty.openpty()
    before = subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True, check=True).stdout
    environment = {**os.environ, **team.cli.environment, "TERM": "xterm"}
    command = [str(COMMAND), "exec", "--env", "prod", "--service", "web", "--", "sh"]
    said = bytearray()

    def says(word: bytes) -> bool:
        with contextlib.suppress(BlockingIOError):
            said.extend(os.read(ours, 4096))
        return word in said

    with subprocess.Popen(
        command, cwd=team.cli.cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        try:
            os.set_blocking(ours, False)
            wait_until("the shell's prompt", lambda: says(b"# ") or says(b"$ "))
            os.write(ours, b"tty; echo \x7f\x03")  # Ctrl-C is for the shell there, not for us
            os.write(ours, b"\rtty; echo $((40+2)); exit 5\r")
            wait_until("the answer", lambda: says(b"42"))
            assert process.wait(30) == 5
        finally:
            process.kill()
    after = subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True, check=True).stdout
    os.close(ours)
    os.close(theirs)
    assert b"/dev/pts/" in said
    assert after == before
