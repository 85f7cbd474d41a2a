"""Commits of other repositories, fetched from real Git servers that may be hostile."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import tracemalloc
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from events.kernel.errors import InternalError, OutsideError, StagecraftError, UserError
from gitops.remotes import RemoteRef, RemoteRules, parse_prefix
from gitops.source.absent import REVISION_MISSING
from gitops.source.exchange import GIT_UNREACHABLE
from gitops.source.pinned import REMOTE_NOT_ALLOWED, REMOTE_TOO_LARGE, PinnedRemotes
from tests.integration.gitops.githost import GitHost, serving
from tests.integration.gitops.remotes import Shelf, shelf
from tests.support.repos import git

WORD = "s3cret-t0ken-of-somebody"


@pytest.fixture
def served(tmp_path: Path) -> Generator[Shelf]:
    with shelf(tmp_path) as made:
        yield made


def ref_of(address: str, commit: str) -> RemoteRef:
    return RemoteRules(allowed=(parse_prefix(address),)).taken(f"{address}#{commit}")


def read(remotes: PinnedRemotes, ref: RemoteRef, path: str = "a") -> bytes:
    with remotes:
        return asyncio.run(remotes.tree(ref)).read(path, max_bytes=1 << 20)


def refusal(remotes: PinnedRemotes, ref: RemoteRef) -> StagecraftError:
    """What a fetch ends with; it leaves nothing behind."""
    with pytest.raises(StagecraftError) as caught:
        read(remotes, ref)
    return caught.value


def kept(served: Shelf) -> list[str]:
    folder = served.folder / "mirrors/pinned"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_commit_is_fetched_once_and_then_needs_nobody(served: Shelf) -> None:
    commit = served.library({"a": "1"})
    served.library({"a": "2"})
    ref = ref_of(served.url, commit)
    assert read(served.remotes(), ref) == b"1"
    asked = len(served.host.requests)
    assert asked
    assert read(served.remotes(), ref) == b"1"
    assert len(served.host.requests) == asked


def test_only_the_commit_is_fetched_and_not_its_history(served: Shelf) -> None:
    older = served.library({"a": "1", "old": "x"})
    newer = served.library({"a": "2", "old": None})
    assert read(served.remotes(), ref_of(served.url, newer)) == b"2"
    (folder,) = (served.folder / "mirrors/pinned").iterdir()
    assert newer in folder.name
    assert older not in git("rev-list", "--all", "--objects", cwd=folder)


def test_two_that_fetch_at_once_both_have_it(served: Shelf) -> None:
    ref = ref_of(served.url, served.library({"a": "1"}))

    async def both() -> list[bytes]:
        with served.remotes() as one, served.remotes() as other:
            trees = await asyncio.gather(one.tree(ref), other.tree(ref))
            return [tree.read("a", max_bytes=10) for tree in trees]

    assert asyncio.run(both()) == [b"1", b"1"]
    assert len(kept(served)) == 1


@pytest.mark.parametrize("commit", ["1" * 40, "0" * 40])
def test_an_unknown_commit_is_the_repositorys_fault(served: Shelf, commit: str) -> None:
    served.library({"a": "1"})
    error = refusal(served.remotes(), ref_of(served.url, commit))
    assert (error.code, type(error)) == (REVISION_MISSING, UserError)
    assert commit in error.message
    assert kept(served) == []


def test_the_id_of_a_tag_is_no_commit(served: Shelf) -> None:
    served.library({"a": "1"})
    work = served.repository().work
    git("tag", "--annotate", "--message=x", "v1", cwd=work)
    git("push", "--quiet", "origin", "v1", cwd=work)
    tag = git("rev-parse", "v1", cwd=work)
    assert tag != served.repository().head()
    assert refusal(served.remotes(), ref_of(served.url, tag)).code == REVISION_MISSING
    assert kept(served) == []


def test_an_id_of_something_else_is_no_commit(served: Shelf) -> None:
    served.library({"a": "1"})
    tree = git("rev-parse", "HEAD^{tree}", cwd=served.repository().work)
    assert isinstance(refusal(served.remotes(), ref_of(served.url, tree)), (UserError, OutsideError))
    assert kept(served) == []


def test_a_server_that_is_not_there_is_tried_again_later(tmp_path: Path) -> None:
    ref = ref_of("http://127.0.0.1:9/lib.git", "1" * 40)
    error = refusal(PinnedRemotes(tmp_path, [ref.server]), ref)
    assert (error.code, type(error)) == (GIT_UNREACHABLE, OutsideError)


def test_nobody_fetches_what_is_not_allowed(served: Shelf) -> None:
    ref = ref_of(served.url, served.library({"a": "1"}))
    other = replace(served, allowed=("https://example.org/",))
    error = refusal(other.remotes(), ref)
    assert (error.code, type(error)) == (REMOTE_NOT_ALLOWED, InternalError)
    assert served.host.requests == []


def test_a_password_file_is_not_read(served: Shelf, isolated_home: Path) -> None:
    """Whoever runs the controller may have one; no repository gets a word of it."""
    commit = served.library({"a": "1"})
    (isolated_home / ".netrc").write_text(f"machine 127.0.0.1 login robot password {WORD}\n")
    (isolated_home / ".netrc").chmod(0o600)
    (isolated_home / ".git-credentials").write_text(f"http://robot:{WORD}@127.0.0.1:{served.port}\n")
    with (isolated_home / ".gitconfig").open("a") as file:
        file.write("[credential]\n    helper = store\n")
    served.host.user, served.host.word = "robot", WORD
    error = refusal(served.remotes(), ref_of(served.url, commit))
    assert (error.code, type(error)) == (GIT_UNREACHABLE, OutsideError)
    assert served.host.authorizations == {""}
    assert WORD not in f"{error!r}{error}{error.why}{error.next}"


def test_a_redirect_is_not_followed(served: Shelf) -> None:
    commit = served.library({"a": "1"})
    other = GitHost(root=served.host.root)
    with serving(other) as port:
        served.host.redirect = f"http://localhost:{port}"
        error = refusal(served.remotes(), ref_of(served.url, commit))
    assert error.code == GIT_UNREACHABLE
    assert served.host.requests
    assert other.requests == []


def test_a_redirect_within_the_server_is_not_followed_either(served: Shelf) -> None:
    commit = served.library({"a": "1"})
    served.host.redirect = f"http://127.0.0.1:{served.port}/elsewhere"
    assert refusal(served.remotes(), ref_of(served.url, commit)).code == GIT_UNREACHABLE
    assert not any(path.startswith("/elsewhere") for path in served.host.requests)


@pytest.mark.parametrize(("files", "size_bytes"), [(1, 3 * 1024 * 1024), (20, 150 * 1024)])
def test_a_huge_commit_is_given_up_at_its_bound(served: Shelf, files: int, size_bytes: int) -> None:
    small = served.library({"a": "1"})
    commit = served.library({f"{number}.bin": os.urandom(size_bytes) for number in range(files)})
    bounded = replace(served, max_bytes=1024 * 1024)
    error = refusal(bounded.remotes(), ref_of(served.url, commit))
    assert (error.code, type(error)) == (REMOTE_TOO_LARGE, UserError), error.why
    assert kept(served) == []
    assert read(bounded.remotes(), ref_of(served.url, small)) == b"1"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git\r\n\r\n00"])
def test_a_server_that_stalls_is_given_up_at_the_deadline(tmp_path: Path, answer: bytes) -> None:
    async def stalling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(stalling, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            ref = ref_of(f"http://127.0.0.1:{port}/lib.git", "1" * 40)
            with PinnedRemotes(tmp_path, [ref.server], deadline_seconds=0.5) as remotes:
                await remotes.tree(ref)

    with pytest.raises(OutsideError) as caught:
        asyncio.run(ask())
    assert caught.value.code == GIT_UNREACHABLE
    assert "in 0.5 s" in caught.value.message
    assert list((tmp_path / "pinned").iterdir()) == []


def test_a_fetch_that_was_killed_is_cleared_away_in_time(served: Shelf) -> None:
    folder = served.folder / "mirrors/pinned"
    for name, age in ((".fetching-old", 2 * 86400), (".fetching-new", 60)):
        (folder / name / "objects").mkdir(parents=True)
        when = folder.stat().st_mtime - age
        os.utime(folder / name, (when, when))
    commit = served.library({"a": "1"})
    read(served.remotes(), ref_of(served.url, commit))
    assert [name for name in kept(served) if name.startswith(".")] == [".fetching-new"]


@pytest.mark.parametrize("form", ["ssh://git@git.example/srv/lib.git", "git@git.example:srv/lib.git"])
def test_a_commit_comes_over_ssh(
    served: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """A stand-in for the SSH program notes its words and runs the command here."""
    commit = served.library({"a": "1"})
    shim, noted = tmp_path / "bin/ssh", tmp_path / "noted"
    shim.parent.mkdir()
    shim.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >> {noted}\nexec git upload-pack {served.repository().origin}\n'
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    ref = ref_of(form, commit)
    assert read(served.remotes_for(ref), ref) == b"1"
    words = noted.read_text().splitlines()
    assert {"BatchMode=yes", "ForwardAgent=no", "git@git.example"} <= set(words)
    assert words[-1] in {"git-upload-pack '/srv/lib.git'", "git-upload-pack 'srv/lib.git'"}


def test_the_command_line_shows_the_address_and_nothing_else(
    served: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = served.library({"a": "1"})
    noted, shim, real = tmp_path / "noted", tmp_path / "bin/git", shutil.which("git")
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nenv >> {noted}\necho "argv $@" >> {noted}\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent.sock")
    monkeypatch.setenv("GIT_HOST_TOKEN", WORD)
    read(served.remotes(), ref_of(served.url, commit))
    before, argv, _rest = noted.read_text().partition(f"-- {served.url} +{commit}:refs/pinned/commit\n")
    assert argv
    variables = before.rpartition("\nargv ")[0].rpartition("\nargv ")[2].splitlines()[1:]
    assert {"GIT_ALLOW_PROTOCOL=http", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"} <= set(variables)
    assert not any("agent.sock" in line or WORD in line for line in variables)


def test_threads_may_read_what_one_brought(served: Shelf) -> None:
    ref = ref_of(served.url, served.library({f"f{number}": str(number) for number in range(20)}))
    with served.remotes() as remotes:
        tree = asyncio.run(remotes.tree(ref))
        found: dict[int, bytes] = {}

        def look(number: int) -> None:
            found[number] = tree.read(f"f{number}", max_bytes=10)

        threads = [threading.Thread(target=look, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: str(number).encode() for number in range(20)}


def test_a_server_that_talks_without_end_fills_no_memory(tmp_path: Path) -> None:
    """Git shows what a server says beside the files, and would be listened to."""
    said = 0

    async def talking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        asked = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
        kind = b"upload-pack-advertisement" if asked.startswith(b"GET") else b"upload-pack-result"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-git-" + kind)
        writer.write(b"\r\n\r\n")
        if asked.startswith(b"GET"):
            packets = (b"# service=git-upload-pack\n", b"", b"version 2\n", b"fetch=shallow\n", b"")
            writer.write(b"".join(b"%04x%s" % (len(one) + 4, one) if one else b"0000" for one in packets))
        else:
            writer.write(b"000dpackfile\n")
            while said < 64 * 1024 * 1024 and not writer.is_closing():
                text = b"\x02" + b"word " * 10_000 + b"\n"
                writer.write(b"%04x%s" % (len(text) + 4, text))
                said += len(text)
                await writer.drain()
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(talking, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            ref = ref_of(f"http://127.0.0.1:{port}/lib.git", "1" * 40)
            with PinnedRemotes(tmp_path, [ref.server]) as remotes:
                await remotes.tree(ref)

    tracemalloc.start()
    try:
        with pytest.raises(OutsideError) as caught:
            asyncio.run(ask())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert said >= 64 * 1024 * 1024
    assert peak < 16 * 1024 * 1024
    assert len(caught.value.why) <= 4000
