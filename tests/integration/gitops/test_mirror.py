"""Mirrors of real repositories over real transports."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError, StagecraftError, UserError
from gitops.source.address import REPOSITORY_URL_REFUSED
from gitops.source.branchname import BRANCH_MISSING
from gitops.source.exchange import GIT_UNREACHABLE, Patience
from gitops.source.git import REPOSITORY_EMPTY, REPOSITORY_MISSING
from gitops.source.gitcommand import GIT_FAILED
from gitops.source.mirror import TOO_MANY_TAGS, Mirror
from gitops.source.tags import VERSION_MISSING, VersionTag
from gitops.source.versions import parse_range
from tests.integration.gitops.githost import GitHost, serving
from tests.support.git_calls import counted_git
from tests.support.repos import Repository, git


def look(mirror: Mirror, branch: str = "main") -> str:
    return asyncio.run(mirror.remote_head(branch))


def fetch(mirror: Mirror, branch: str = "main") -> str:
    return asyncio.run(mirror.fetch(branch))


def refusal(mirror: Mirror, branch: str = "main") -> StagecraftError:
    with pytest.raises(StagecraftError) as caught:
        look(mirror, branch)
    with pytest.raises(StagecraftError) as again:
        fetch(mirror, branch)
    assert again.value.code == caught.value.code
    return caught.value


def test_a_branch_is_seen_and_brought_here(repository: Repository, tmp_path: Path) -> None:
    revision = repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "mirrors/one")
    assert mirror.existing() is None
    assert look(mirror) == revision
    assert mirror.existing() is None
    assert fetch(mirror) == revision
    with mirror.repository() as opened:
        assert opened.root is None
        assert opened.tree(revision).read("a", max_bytes=10) == b"1"
        assert opened.has(revision)
        assert not opened.has("1" * 40)


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "{work}"])
def test_a_path_may_be_written_in_several_ways(repository: Repository, tmp_path: Path, form: str) -> None:
    revision = repository.commit({"a": "1"})
    url = form.format(path=repository.origin, work=repository.work)
    assert fetch(Mirror(url, tmp_path / "m")) == revision


def test_a_second_fetch_brings_what_is_new(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    fetch(mirror)
    revision = repository.commit({"a": "2"})
    assert look(mirror) == revision
    assert fetch(mirror) == fetch(mirror) == revision


def test_a_rewritten_branch_is_taken_and_the_old_commit_stays(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit({"a": "1"})
    old = repository.commit({"a": "2"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    fetch(mirror)
    git("reset", "--quiet", "--hard", first, cwd=repository.work)
    new = repository.commit({"a": "3"}, push=False)
    repository.push("--force")
    assert fetch(mirror) == new
    with mirror.repository() as opened:
        assert not opened.is_ancestor(old, new)
        assert opened.tree(old).read("a", max_bytes=10) == b"2"


def test_a_tag_never_stands_in_for_a_branch(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    git("tag", "release", cwd=repository.work)
    git("push", "--quiet", "origin", "release", cwd=repository.work)
    error = refusal(Mirror(str(repository.origin), tmp_path / "m"), "release")
    assert error.code == BRANCH_MISSING


def test_a_branch_wins_over_a_tag_of_its_name(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    git("tag", "main", cwd=repository.work)
    git("push", "--quiet", "origin", "refs/tags/main", cwd=repository.work)
    git("commit", "--quiet", "--allow-empty", "-m", "newer", cwd=repository.work)
    git("push", "--quiet", "origin", "HEAD:refs/heads/main", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert look(mirror) == fetch(mirror) == repository.head()


def test_a_branch_is_found_by_its_whole_name_alone(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    git("push", "--quiet", "origin", "HEAD:refs/heads/x/refs/heads/topic", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert refusal(mirror, "topic").code == BRANCH_MISSING
    assert look(mirror, "refs/heads/main") == repository.head()


@pytest.mark.parametrize("branch", ["refs/tags/v1", "refs/heads", "refs/remotes/origin/main"])
def test_a_full_name_that_is_no_branch_is_not_looked_for_among_branches(
    repository: Repository, tmp_path: Path, branch: str
) -> None:
    repository.commit({"a": "1"})
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert refusal(mirror, branch).code == BRANCH_MISSING
    assert look(mirror, f"refs/heads/{branch}") == repository.head()


def test_a_branch_that_was_deleted_is_told_and_the_copy_keeps_its_commits(
    repository: Repository, tmp_path: Path
) -> None:
    revision = repository.commit({"a": "1"})
    repository.branch("topic")
    topic = repository.commit({"a": "2"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert fetch(mirror, "topic") == topic
    git("push", "--quiet", "--delete", "origin", "topic", cwd=repository.work)
    assert refusal(mirror, "topic").code == BRANCH_MISSING
    assert look(mirror) == revision
    with mirror.repository() as opened:
        assert opened.has(topic)


@pytest.mark.parametrize(("before", "after"), [("team", "team/web"), ("team/web", "team")])
def test_a_branch_that_stands_where_another_one_was_is_brought_here(
    repository: Repository, tmp_path: Path, before: str, after: str
) -> None:
    first = repository.commit({"a": "1"})
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{before}", cwd=repository.work)
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert fetch(mirror, before) == first
    git("push", "--quiet", "--delete", "origin", before, cwd=repository.work)
    second = repository.commit({"a": "2"})
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{after}", cwd=repository.work)
    assert fetch(mirror, after) == second
    with mirror.repository() as opened:
        assert opened.has(first)


def _tagged(repository: Repository, *names: str) -> None:
    for name in names:
        git("tag", "--annotate", "--message", name, name, cwd=repository.work)
    git("push", "--quiet", "--tags", cwd=repository.work)


def newest(mirror: Mirror, wanted: str = "*") -> VersionTag:
    """Where the newest version is, at the source and then here."""

    async def brought() -> VersionTag:
        versions = parse_range(wanted)
        return await mirror.fetch_tag(versions, await mirror.newest_tag(versions))

    return asyncio.run(brought())


def test_the_newest_version_is_brought_here_by_a_path_and_by_http(
    repository: Repository, tmp_path: Path
) -> None:
    revision = repository.commit({"a": "1"})
    _tagged(repository, "v1.9.0", "v1.10.0", "latest")
    repository.commit({"a": "2"})
    host = GitHost(root=repository.origin.parent)
    with serving(host) as port:
        for number, url in enumerate((str(repository.origin), f"http://127.0.0.1:{port}/origin.git")):
            mirror = Mirror(url, tmp_path / f"m{number}")
            tag = newest(mirror)
            assert (tag.name, tag.revision, tag.annotated) == ("v1.10.0", revision, True)
            with mirror.repository() as opened:
                assert opened.tree(revision).read("a", max_bytes=10) == b"1"
                assert opened.has(tag.object_id)


def test_a_tag_that_moves_between_question_and_fetch_is_asked_for_again(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    _tagged(repository, "v1.0.0")
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    asked = asyncio.run(mirror.newest_tag(parse_range("*")))
    later = repository.commit({"a": "2"})
    git("tag", "--force", "v1.0.0", cwd=repository.work)
    git("push", "--quiet", "--force", "origin", "refs/tags/v1.0.0", cwd=repository.work)
    found = asyncio.run(mirror.fetch_tag(parse_range("*"), asked))
    assert (found.revision, found.annotated) == (later, False)
    git("push", "--quiet", "--delete", "origin", "refs/tags/v1.0.0", cwd=repository.work)
    with pytest.raises(UserError) as caught:
        asyncio.run(mirror.fetch_tag(parse_range("*"), found))
    assert caught.value.code == VERSION_MISSING


def test_a_damaged_copy_of_a_tag_is_made_anew(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    _tagged(repository, "v1.0.0")
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    newest(mirror)
    _emptied(tmp_path / "m")
    repository.commit({"a": "2"})
    _tagged(repository, "v1.1.0")
    assert newest(mirror).revision == repository.head()


def _with_tags(repository: Repository, count: int) -> None:
    """So many more tags, without a process for each."""
    head = repository.head()
    rows = [f"{head} refs/tags/v0.0.{number}\n" for number in range(count)]
    (repository.origin / "packed-refs").write_text("# pack-refs with: sorted\n" + "".join(sorted(rows)))


def test_five_thousand_tags_are_looked_through_and_two_hundred_thousand_refused(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    _with_tags(repository, 5_000)
    assert newest(mirror).name == "v0.0.4999"
    _with_tags(repository, 200_000)
    with pytest.raises(UserError) as caught:
        newest(mirror)
    assert caught.value.code == TOO_MANY_TAGS
    assert "200000 lines" in caught.value.message
    assert look(mirror) == repository.head()


def test_a_missing_branch_is_told_with_those_there_are(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    for number in range(25):
        git("branch", f"topic-{number:02}", cwd=repository.work)
    git("push", "--quiet", "--all", cwd=repository.work)
    error = refusal(Mirror(str(repository.origin), tmp_path / "m"), "gone")
    assert (error.code, type(error)) == (BRANCH_MISSING, UserError)
    assert "it has main, topic-00" in error.message
    assert error.message.endswith("and 6 more")


@pytest.mark.parametrize("branch", ["", "-x", "--exec=x", "a b", "a:b", "a..b", "a\nb", "a*", "refs/heads/"])
def test_what_cannot_be_a_branch_never_reaches_git(
    repository: Repository, tmp_path: Path, branch: str
) -> None:
    repository.commit({"a": "1"})
    assert refusal(Mirror(str(repository.origin), tmp_path / "m"), branch).code == BRANCH_MISSING


def test_a_repository_without_a_commit_is_an_error_and_not_an_empty_state(
    repository: Repository, tmp_path: Path
) -> None:
    assert refusal(Mirror(str(repository.origin), tmp_path / "m")).code == REPOSITORY_EMPTY


def test_a_path_without_a_repository_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        error = refusal(Mirror(str(path), tmp_path / "m"))
        assert (error.code, type(error)) == (REPOSITORY_MISSING, UserError)


def test_a_repository_that_is_damaged_is_told_in_gits_words(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    for pack in (repository.origin / "objects").rglob("*"):
        if pack.is_file():
            pack.unlink()
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    with pytest.raises(OutsideError) as caught:
        fetch(mirror)
    assert caught.value.code == GIT_UNREACHABLE
    assert caught.value.why


def _emptied(folder: Path) -> None:
    for file in (folder / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_bytes(b"")


def _without_objects(folder: Path) -> None:
    shutil.rmtree(folder / "objects")


def _with_a_broken_ref(folder: Path) -> None:
    (folder / "refs/heads/main").write_text("garbage\n")


@pytest.mark.parametrize("damage", [_emptied, _without_objects, _with_a_broken_ref])
def test_a_damaged_copy_is_made_anew(
    repository: Repository, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    fetch(mirror)
    damage(tmp_path / "m")
    revision = repository.commit({"a": "2"})
    assert fetch(mirror) == revision
    with mirror.repository() as opened:
        assert opened.tree(revision).read("a", max_bytes=10) == b"2"
    assert [one.name for one in tmp_path.iterdir() if "broken" in one.name] == []


def test_a_whole_copy_stays_when_it_is_asked_to_heal(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    mirror = Mirror(str(repository.origin), tmp_path / "m")
    assert asyncio.run(mirror.heal()) is False
    fetch(mirror)
    before = (tmp_path / "m").stat().st_ino
    assert asyncio.run(mirror.heal()) is False
    assert (tmp_path / "m").stat().st_ino == before


def test_a_repository_of_another_user_is_mirrored(repository: Repository, tmp_path: Path) -> None:
    revision = repository.commit({"a": "1"})
    if os.geteuid() != 0:
        pytest.fail("only root can give files away; run the tests as root")
    for path in (repository.origin, *repository.origin.rglob("*")):
        os.chown(path, 65534, 65534)
    assert fetch(Mirror(str(repository.origin), tmp_path / "m")) == revision


def test_a_folder_that_cannot_be_made_is_a_local_error(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    (tmp_path / "m").write_text("in the way")
    with pytest.raises(OutsideError) as caught:
        fetch(Mirror(str(repository.origin), tmp_path / "m"))
    assert caught.value.code == GIT_FAILED


def test_nobody_listening_is_an_error_of_the_outside(tmp_path: Path) -> None:
    error = refusal(Mirror("http://127.0.0.1:9/repo", tmp_path / "m"))
    assert (error.code, type(error)) == (GIT_UNREACHABLE, OutsideError)
    assert "127.0.0.1" in error.why


def test_an_unknown_ssh_host_is_refused_without_a_question(tmp_path: Path) -> None:
    error = refusal(Mirror("ssh://git@127.0.0.1:9/repo", tmp_path / "m"))
    assert error.code == GIT_UNREACHABLE


def test_a_silent_server_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async def ask() -> None:
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            mirror = Mirror(
                f"http://127.0.0.1:{port}/repo", tmp_path / "m", patience=Patience(look_seconds=0.5)
            )
            await mirror.remote_head("main")

    with pytest.raises(OutsideError) as caught:
        asyncio.run(ask())
    assert caught.value.code == GIT_UNREACHABLE
    assert "did not answer in 0.5 s" in caught.value.message


def test_a_machine_without_git_says_so(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutsideError, match="program not found: git"):
        look(Mirror(str(repository.origin), tmp_path / "m"))


@pytest.mark.parametrize("url", ["ext::sh -c 'touch /tmp/pwned'", "--upload-pack=touch /tmp/x", "fd::7"])
def test_an_odd_address_never_reaches_git(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError) as caught:
        Mirror(url, tmp_path / "m")
    assert caught.value.code == REPOSITORY_URL_REFUSED


def _filled(repository: Repository) -> str:
    """Ten commits, each with another large file in place of the one before; answers the last."""
    for number in range(10):
        noise = hashlib.shake_256(str(number).encode()).digest(200_000)
        repository.commit({"large": noise, f"small/{number}": str(number)}, push=False)
    repository.push()
    return repository.head()


def _bytes_of(folder: Path) -> int:
    return sum(one.stat().st_size for one in (folder / "objects").rglob("*") if one.is_file())


def _served(repository: Repository, *, filters: bool = True) -> GitHost:
    git("config", "uploadpack.allowFilter", str(filters).lower(), cwd=repository.origin)
    return GitHost(root=repository.origin.parent)


def test_only_the_files_of_the_commit_that_is_looked_at_are_brought_where_the_server_can(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = _filled(repository)
    calls = counted_git(tmp_path, monkeypatch)
    with serving(_served(repository)) as port:
        url = f"http://127.0.0.1:{port}/origin.git"
        mirror = Mirror(url, tmp_path / "m")
        assert fetch(mirror) == revision
        fetches = [one for one in calls() if " fetch " in one]
        assert len(fetches) == 2, "the history, then all files at once"
        assert not any(url in one for one in fetches)
        assert asyncio.run(mirror.has_files(revision))
        assert not asyncio.run(mirror.has_files(repository.head("HEAD~1")))
        with mirror.repository() as opened:
            assert len(opened.tree(revision).walk("")) == 11
            assert len(opened.tree(revision).read("large", max_bytes=1 << 20)) == 200_000
            assert opened.is_ancestor(repository.head("HEAD~9"), revision)
            assert len(opened.commits_since(revision, None, most=100)) == 10
            calls()
            with pytest.raises(OutsideError):
                opened.tree(repository.head("HEAD~1")).read("large", max_bytes=1 << 20)
            assert not any("fetch" in one for one in calls()), "nothing is fetched behind our back"
        assert _bytes_of(tmp_path / "m") < 400_000
        assert url not in (tmp_path / "m/config").read_text()
        repository.commit({"small/9": "new"})
        calls()
        assert fetch(mirror) == repository.head()
        assert len([one for one in calls() if " fetch " in one]) == 2
        assert asyncio.run(mirror.heal()) is False


def test_a_server_that_leaves_nothing_out_sends_everything_as_ever(
    repository: Repository, tmp_path: Path
) -> None:
    revision = _filled(repository)
    with serving(_served(repository, filters=False)) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(repository.head("HEAD~1")))
        assert asyncio.run(mirror.heal()) is False
    assert _bytes_of(tmp_path / "m") > 2_000_000


def test_a_server_that_hands_over_no_single_file_is_asked_for_everything(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = _filled(repository)
    host = _served(repository)
    host.protocol = ""  # the older one asks for leave for every object that no ref points at
    with serving(host) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(repository.head("HEAD~1")))
        calls = counted_git(tmp_path, monkeypatch)
        repository.commit({"a": "1"})
        calls()
        assert fetch(mirror) == repository.head()
        (one,) = [one for one in calls() if " fetch " in one]
        assert "--filter" not in one


def test_a_server_that_stops_leaving_files_out_goes_on_being_read(
    repository: Repository, tmp_path: Path
) -> None:
    _filled(repository)
    with serving(_served(repository)) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        fetch(mirror)
        _served(repository, filters=False)
        revision = _filled(repository)
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(revision))


def test_files_that_a_crash_left_out_are_brought_by_the_next_fetch(
    repository: Repository, tmp_path: Path
) -> None:
    revision = _filled(repository)
    with serving(_served(repository)) as port:
        url = f"http://127.0.0.1:{port}/origin.git"
        fetch(Mirror(url, tmp_path / "m"))
        packs = sorted((tmp_path / "m/objects/pack").glob("*.pack"), key=lambda one: one.stat().st_size)
        for one in packs[-1].parent.glob(f"{packs[-1].stem}.*"):
            one.unlink()  # the files, which are larger than the history
        again = Mirror(url, tmp_path / "m")
        assert not asyncio.run(again.has_files(revision))
        assert fetch(again) == revision
        assert asyncio.run(again.has_files(revision))


@pytest.mark.parametrize("damage", [_emptied, _without_objects])
def test_a_damaged_copy_without_all_files_is_made_anew(
    repository: Repository, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    _filled(repository)
    with serving(_served(repository)) as port:
        mirror = Mirror(f"http://127.0.0.1:{port}/origin.git", tmp_path / "m")
        fetch(mirror)
        damage(tmp_path / "m")
        revision = repository.commit({"a": "2"})
        assert fetch(mirror) == revision
        assert asyncio.run(mirror.has_files(revision))


def test_configuration_of_the_user_does_not_reach_a_fetch(
    repository: Repository, tmp_path: Path, isolated_home: Path
) -> None:
    revision = repository.commit({"a": "1"})
    with (isolated_home / ".gitconfig").open("a") as file:
        file.write(f'[url "{tmp_path}/elsewhere"]\n    insteadOf = {repository.origin}\n')
    assert fetch(Mirror(str(repository.origin), tmp_path / "m")) == revision
