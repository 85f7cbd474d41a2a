"""How Git is told to use SSH."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

import pytest

from gitops.source.ssh import AS_THE_USER, SshAccess, ssh_command


def _options(access: SshAccess) -> list[str]:
    words = shlex.split(access.command())
    return [value for name, value in itertools.pairwise(words) if name in {"-o", "-i"}]


def test_nothing_is_asked_and_no_key_of_a_server_is_learned() -> None:
    for access in (AS_THE_USER, SshAccess(identity_file=Path("/k"), known_hosts=Path("/h"))):
        assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no"} <= set(_options(access))
    assert not any("KnownHostsFile" in one for one in _options(AS_THE_USER))


def test_with_a_key_of_its_own_no_other_is_offered_and_with_a_file_of_hosts_no_other_counts() -> None:
    access = SshAccess(identity_file=Path("/etc/100% ours/k"), known_hosts=Path("/etc/100% ours/h"))
    options = _options(access)
    assert options[-4:] == [
        "/etc/100%% ours/k",
        "IdentitiesOnly=yes",
        'UserKnownHostsFile="/etc/100%% ours/h"',
        "GlobalKnownHostsFile=/dev/null",
    ]


def test_what_no_entry_says_the_controllers_environment_may_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ssh_command() == AS_THE_USER.command()
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -F /etc/ours")
    assert ssh_command() == "ssh -F /etc/ours"
