"""Mirrors of repositories behind real servers, over SSH and HTTP: who is let in, and who is believed."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from gitops.source.exchange import GIT_HOST_KEY_REFUSED, GIT_LOGIN_REFUSED, GIT_UNREACHABLE
from gitops.source.mirror import Mirror
from gitops.source.ssh import SshAccess
from tests.integration.gitops.githost import GitHost, serving
from tests.support.git_calls import counted_git
from tests.support.git_ssh import SshGitHost, ssh_git_host
from tests.support.repos import Repository, git
from tests.support.signing import SshPerson

GIT = shutil.which("git")
WORD = "s3cret-t0ken-of-somebody"


def fetch(mirror: Mirror) -> str:
    return asyncio.run(mirror.fetch("main"))


def refusal(mirror: Mirror) -> OutsideError:
    with pytest.raises(OutsideError) as looked:
        asyncio.run(mirror.remote_head("main"))
    with pytest.raises(OutsideError) as fetched:
        fetch(mirror)
    assert fetched.value.code == looked.value.code
    return looked.value


@pytest.fixture
def ssh(tmp_path: Path) -> Generator[SshGitHost]:
    with ssh_git_host(tmp_path / "the server's") as host:
        yield host


def mirror_over(ssh: SshGitHost, repository: Repository, folder: Path) -> Mirror:
    access = SshAccess(identity_file=ssh.identity_file, known_hosts=ssh.known_hosts)
    return Mirror(ssh.url(repository.origin), folder, ssh=access)


def test_a_repository_over_ssh_is_mirrored_with_its_own_key(
    ssh: SshGitHost, repository: Repository, tmp_path: Path
) -> None:
    mirror = mirror_over(ssh, repository, tmp_path / "m")
    for number in range(2):
        revision = repository.commit({"a": str(number)})
        assert asyncio.run(mirror.remote_head("main")) == fetch(mirror) == revision


def test_a_host_key_that_changed_or_is_unknown_is_refused_until_an_operator_enters_it(
    ssh: SshGitHost, repository: Repository, tmp_path: Path
) -> None:
    revision = repository.commit({"a": "1"})
    mirror = mirror_over(ssh, repository, tmp_path / "m")
    ssh.change_key()
    changed = refusal(mirror)
    assert changed.code == GIT_HOST_KEY_REFUSED
    assert "another host key than the known one" in changed.message
    assert str(ssh.known_hosts) in changed.next
    ssh.forget_key()
    unknown = refusal(mirror)
    assert unknown.code == GIT_HOST_KEY_REFUSED
    assert "an unknown host key" in unknown.message
    assert ssh.known_hosts.read_text() == "", "nothing is learned by itself"
    assert "Accepted publickey" not in (ssh.folder / "sshd.log").read_text()
    ssh.knows()
    assert fetch(mirror) == revision


def test_a_key_that_the_server_does_not_know_is_a_login_that_is_refused(
    ssh: SshGitHost, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    stranger = SshPerson.create(tmp_path / "stranger", "key").key
    access = SshAccess(identity_file=stranger, known_hosts=ssh.known_hosts)
    error = refusal(Mirror(ssh.url(repository.origin), tmp_path / "m", ssh=access))
    assert error.code == GIT_LOGIN_REFUSED
    assert "Permission denied (publickey)" in error.why


def test_the_ssh_command_of_the_controllers_environment_is_its_operators(
    ssh: SshGitHost, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = repository.commit({"a": "1"})
    access = SshAccess(identity_file=ssh.identity_file, known_hosts=ssh.known_hosts)
    mirror = Mirror(ssh.url(repository.origin), tmp_path / "m")
    assert refusal(mirror).code == GIT_HOST_KEY_REFUSED
    monkeypatch.setenv("GIT_SSH_COMMAND", access.command())
    assert fetch(mirror) == revision


@pytest.fixture
def host(repository: Repository) -> GitHost:
    repository.commit({"a": "1"})
    return GitHost(root=repository.origin.parent, user="robot", word=WORD)


def test_credentials_of_an_address_are_used(host: GitHost, repository: Repository, tmp_path: Path) -> None:
    with serving(host) as port:
        mirror = Mirror(f"http://robot:{WORD}@127.0.0.1:{port}/origin.git", tmp_path / "m")
        assert asyncio.run(mirror.remote_head("main")) == fetch(mirror) == repository.head()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file())
    assert WORD.encode() not in stored


def test_a_helper_of_the_user_logs_in_where_the_address_has_no_token_and_is_looked_for_once(
    host: GitHost, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, helper = tmp_path / "asked", tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\necho $1 >> {asked}\necho username=robot\necho password={WORD}\n")
    helper.chmod(0o755)
    calls = counted_git(tmp_path, monkeypatch)
    with serving(host) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        assert refusal(mirror).code == GIT_LOGIN_REFUSED
        git("config", "--global", f"credential.http://127.0.0.1:{port}.helper", str(helper), cwd=tmp_path)
        assert asyncio.run(mirror.remote_head("main")) == fetch(mirror) == repository.head()
        calls()
        asyncio.run(mirror.remote_head("main"))
        assert [one.split()[0] for one in calls() if "http-backend" not in one] == ["ls-remote"]
        elsewhere = Mirror(f"http://localhost:{port}/origin.git", tmp_path / "n")
        assert refusal(elsewhere).code == GIT_LOGIN_REFUSED
        before = asked.read_text()
        own = Mirror(f"http://robot:{WORD}@127.0.0.1:{port}/origin.git", tmp_path / "o")
        assert fetch(own) == repository.head()
        assert asked.read_text() == before, "an address with a token asks nobody else"


@pytest.mark.parametrize("credentials", ["", "robot:wrong-word-entirely@", f"stranger:{WORD}@"])
def test_credentials_are_in_no_error(host: GitHost, tmp_path: Path, credentials: str) -> None:
    with serving(host) as port:
        error = refusal(Mirror(f"http://{credentials}127.0.0.1:{port}/origin.git", tmp_path / "m"))
    assert error.code == GIT_LOGIN_REFUSED
    for text in (str(error), repr(error), error.why, error.next, repr(error.__cause__)):
        assert "wrong-word" not in text
        assert WORD not in text


def test_credentials_are_in_no_argument_list(
    host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "noted"
    shim = tmp_path / "bin/git"
    shim.parent.mkdir()
    shim.write_text(
        f'#!/bin/sh\necho "$@" >> {noted}\n'
        '(sleep 0.05; cat /proc/[0-9]*/cmdline | tr "\\0" " ") 2>/dev/null '
        f'>> {noted} &\nexec {GIT} "$@"\n'
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    with serving(host) as port:
        fetch(Mirror(f"http://robot:{WORD}@127.0.0.1:{port}/origin.git", tmp_path / "m"))
    assert "fetch" in noted.read_text(errors="replace")
    assert WORD not in noted.read_text(errors="replace")


def test_credentials_are_not_sent_to_where_a_server_redirects(host: GitHost, tmp_path: Path) -> None:
    other = GitHost(root=host.root, user="robot", word=WORD)
    with serving(other) as port:
        first = GitHost(root=host.root, user="robot", word=WORD, redirect=f"http://localhost:{port}")
        with serving(first) as redirecting:
            mirror = Mirror(f"http://robot:{WORD}@127.0.0.1:{redirecting}/origin.git", tmp_path / "m")
            assert refusal(mirror).code == GIT_LOGIN_REFUSED
    assert other.authorizations == {""}


def test_a_server_that_sends_away_after_the_login_gets_them_alone(
    host: GitHost, repository: Repository, tmp_path: Path
) -> None:
    """The first question was answered; a later one that leads elsewhere is not followed at all."""
    other = GitHost(root=host.root)
    with serving(host) as port, serving(other) as away:
        mirror = Mirror(f"http://robot:{WORD}@127.0.0.1:{port}/origin.git", tmp_path / "m")
        assert fetch(mirror) == repository.head()
        host.redirect_packs = f"http://localhost:{away}"
        repository.commit({"a": "2"})
        with pytest.raises(OutsideError) as caught:
            fetch(mirror)
    assert caught.value.code == GIT_UNREACHABLE
    assert other.requests == []


def test_a_repository_that_moved_within_its_server_is_found(
    host: GitHost, repository: Repository, tmp_path: Path
) -> None:
    """As Git hosts send a name without `.git`, or that of before."""
    with serving(host) as port:
        host.moved = ("/before/", "/")
        url = f"http://robot:{WORD}@127.0.0.1:{port}/before/origin.git"
        assert fetch(Mirror(url, tmp_path / "m")) == repository.head()


def test_a_lock_and_half_a_pack_of_a_git_that_was_killed_are_swept(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    fetch(mirror)
    lock, half = tmp_path / "m/refs/heads/main.lock", tmp_path / "m/objects/pack/tmp_pack_x1y2z3"
    lock.touch()
    half.write_bytes(b"PACK")
    revision = repository.commit({"a": "2"})
    assert fetch(mirror) == revision
    assert not half.exists()
    assert git("rev-parse", "main", cwd=tmp_path / "m") == revision
