"""The call of the `ssh` program, as that program itself reads it."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from controller.ssh_program import remote_words, ssh_argv
from projections.transport.ssh_settings import SshLogin, SshSettings

SETTINGS = SshSettings(
    login=SshLogin(address="10.0.0.7", port=2222, user="deploy"),
    known_hosts=Path('/home/of us/100% "known" hosts'),
    identity_files=(Path("/keys/one key"), Path("/keys/%h")),
    agent="/run/agent",
    connect_seconds=2.5,
)


def read_by_ssh(argv: list[str]) -> dict[str, list[str]]:
    """The options as `ssh -G` understands them; it connects to nothing."""
    said = subprocess.run([argv[0], "-G", *argv[1:]], check=True, capture_output=True, text=True).stdout
    found: dict[str, list[str]] = {}
    for line in said.splitlines():
        name, _, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


def test_everything_is_as_the_controller_has_it() -> None:
    read = read_by_ssh(ssh_argv(SETTINGS, (), terminal=True))
    assert (read["hostname"], read["port"], read["user"]) == (["10.0.0.7"], ["2222"], ["deploy"])
    assert read["stricthostkeychecking"] == ["true"]
    assert read["forwardagent"] == ["no"]
    assert read["identitiesonly"] == ["yes"]
    assert read["connecttimeout"] == ["3"]
    assert read["batchmode"] == ["no"]
    assert read["identityfile"] == ["/keys/one key", "/keys/%%h"]
    assert read["userknownhostsfile"] == ['/home/of us/100% "known" hosts']


def test_without_a_terminal_nobody_is_asked_and_there_is_none() -> None:
    argv = ssh_argv(SETTINGS, ("id",), terminal=False)
    read = read_by_ssh(argv)
    assert (read["batchmode"], read["requesttty"]) == (["yes"], ["false"])
    assert argv[-3:] == ["--", "10.0.0.7", "exec id"]
    assert read_by_ssh(ssh_argv(SETTINGS, ("id",), terminal=True))["requesttty"] == ["true"]


def test_without_keys_of_our_own_the_agent_and_the_usual_files_are_used() -> None:
    argv = ssh_argv(replace(SETTINGS, identity_files=()), (), terminal=True)
    assert not any("Identit" in word for word in argv)


def test_a_jump_host_is_reached_with_the_same_trust_and_its_own_account() -> None:
    jump = SshLogin(address="gate.example", port=2022, user="ops")
    (proxy,) = read_by_ssh(ssh_argv(replace(SETTINGS, jump=jump), (), terminal=False))["proxycommand"]
    words = [word.replace("%%", "%") for word in shlex.split(proxy)]
    assert words[-4:] == ["-W", "[%h]:%p", "--", "gate.example"]
    read = read_by_ssh([word for word in words if word not in {"-W", "[%h]:%p"}])
    assert (read["hostname"], read["port"], read["user"]) == (["gate.example"], ["2022"], ["ops"])
    assert read["userknownhostsfile"] == ['/home/of us/100% "known" hosts']
    assert read["stricthostkeychecking"] == ["true"]


@pytest.mark.parametrize(
    "word", ["a b", "", "$(id)", "`id`", "'q'", '"d"', "$HOME", "a\nb", "*", "-x", "A=b"]
)
def test_a_shell_makes_the_same_words_of_what_it_gets(word: str) -> None:
    done = subprocess.run(
        ["sh", "-c", remote_words(["printf", "<%s>", word, "end"])], check=True, capture_output=True
    )
    assert done.stdout.decode() == f"<{word}><end>"
