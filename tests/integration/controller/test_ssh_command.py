"""`stagecraft ssh` through the installed command, to real SSH servers on the loopback."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Outcome, Stagecraft
from tests.support.host_ssh import SshHost, ssh_host

ODD = ("a b", "$(id)", "`id`", "'single' \"double\"", "$HOME", "*", "", "ä\\")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshHost]:
    with ssh_host(tmp_path / "the host") as made:
        yield made


def listed(cli: Stagecraft, server: SshHost, **section: str) -> None:
    """The operator lists the server as `app-1`, with these keys of `ssh` beside."""
    home = Path(cli.environment["STAGECRAFT_HOME"])
    home.mkdir(exist_ok=True)
    ssh = {"identity_files": [str(server.person.key)], "known_hosts": str(server.known_hosts), **section}
    host = {"address": "127.0.0.1", "port": server.port, "user": getpass.getuser()}
    network = {"static": {"hosts": {"app-1": host}}}
    (home / "controller.yml").write_text(json.dumps({"network": network, "ssh": ssh}))  # which is YAML, too


def ssh(cli: Stagecraft, *words: str, stdin: str = "") -> Outcome:
    return cli.run("ssh", *words, stdin=stdin)


def test_a_command_runs_there_with_its_words_its_streams_and_its_exit_code(
    cli: Stagecraft, server: SshHost
) -> None:
    listed(cli, server)
    script = 'for one in "$@"; do printf "<%s>" "$one"; done; echo err >&2; exit 7'
    done = ssh(cli, "app-1", "--", "sh", "-c", script, "sh", *ODD)
    assert done.stdout == "".join(f"<{one}>" for one in ODD)
    assert (done.code, done.stderr) == (7, "err\n")
    assert ssh(cli, "app-1", "--", "cat", stdin="to and fro\n").expect(0).stdout == "to and fro\n"
    assert ssh(cli, "app-1", "--", "sh", "-c", "echo $SSH_AUTH_SOCK").stdout == "\n"


def test_without_a_command_a_shell_reads_what_comes(cli: Stagecraft, server: SshHost) -> None:
    listed(cli, server)
    done = ssh(cli, "app-1", stdin="echo $((40+2))\nexit 5\n")
    assert done.code == 5
    assert "42" in done.stdout.splitlines()


def test_another_key_than_the_known_one_is_never_taken(cli: Stagecraft, server: SshHost) -> None:
    listed(cli, server)
    server.know(server.another_key())
    before = server.known_hosts.read_text()
    done = ssh(cli, "app-1", "--", "id").expect(255)
    assert "Host key verification failed" in done.stderr
    assert server.known_hosts.read_text() == before


def test_a_key_is_taken_at_first_use_when_the_operator_says_so_and_is_recorded(
    cli: Stagecraft, server: SshHost, tmp_path: Path
) -> None:
    listed(cli, server, known_hosts=str(tmp_path / "new"), host_keys="first-use")
    assert ssh(cli, "app-1", "--", "echo", "in").expect(0).stdout == "in\n"
    events = cli.ok("events", "list", "--json").json_lines()
    assert [one["type"] for one in events] == ["HostKeyAccepted"]


def test_the_way_may_lead_through_another_host(cli: Stagecraft, server: SshHost, tmp_path: Path) -> None:
    with ssh_host(tmp_path / "gate way") as gate:
        server.through(gate)
        listed(cli, server, jump=f"{getpass.getuser()}@127.0.0.1:{gate.port}")
        done = ssh(cli, "app-1", "--", "sh", "-c", "echo $SSH_CONNECTION; exit 4").expect(4)
        assert done.stdout.split()[3] == str(server.port)
        gate.kill()
        ssh(cli, "app-1", "--", "id").expect(255)


def test_a_server_that_is_away_answers_255_in_ssh_s_own_words(cli: Stagecraft, server: SshHost) -> None:
    listed(cli, server)
    server.kill()
    assert "Connection refused" in ssh(cli, "app-1", "--", "id").expect(255).stderr


def test_local_is_here_and_unknown_names_list_the_known(cli: Stagecraft, server: SshHost) -> None:
    listed(cli, server)
    assert ssh(cli, "local", "--", "sh", "-c", "echo here; exit 3").expect(3).stdout == "here\n"
    assert "error: here-already" in ssh(cli, "local").expect(1).stderr
    assert "error: process-not-started" in ssh(cli, "local", "--", "no-such-program").expect(2).stderr
    assert "known hosts: app-1, local" in ssh(cli, "app-2").expect(1).stderr
