"""Real repositories, read from their object store."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError, UserError
from gitops.source.absent import REPOSITORY_EMPTY, REPOSITORY_MISSING, REVISION_MISSING
from gitops.source.git import GIT_NOT_FOUND, OBJECT_FORMAT_UNSUPPORTED
from gitops.source.git import Repository as Opened
from gitops.source.gitcommand import GIT_FAILED
from gitops.source.gittree import GitTree
from gitops.source.tree import (
    FILE_TOO_LARGE,
    PATH_IS_LINK,
    PATH_IS_SUBMODULE,
    PATH_MISSING,
    PATH_NOT_FILE,
    TREE_TOO_LARGE,
)
from tests.support.repos import Repository, git


def code_of(tree: GitTree, path: str, *, max_bytes: int = 100) -> str:
    with pytest.raises(UserError) as caught:
        tree.read(path, max_bytes=max_bytes)
    return caught.value.code


def test_a_commit_is_read_as_git_has_it(repository: Repository) -> None:
    first = repository.commit({"a": "1"}, "Begin")
    second = repository.commit({"a": "2"}, "Go on\n\nbecause it\nhas to\n")
    with Opened(repository.origin) as opened:
        commit = opened.resolve("main")
        assert commit.revision == second == opened.resolve(second[:10]).revision
        assert commit.tree == git("rev-parse", "HEAD^{tree}", cwd=repository.work)
        assert commit.parents == (first,)
        assert (commit.author_name, commit.author_email) == ("Test Person", "person@example.org")
        assert (commit.subject, commit.message) == ("Go on", "Go on\n\nbecause it\nhas to")
        assert commit.committed_at.tzinfo is UTC
        assert abs((datetime.now(UTC) - commit.committed_at).total_seconds()) < 600
        assert opened.resolve("main^").parents == ()


def test_a_message_of_odd_bytes_is_read(repository: Repository) -> None:
    repository.commit({"a": "1"}, "x", push=False)
    git(
        "-c", "i18n.commitEncoding=latin1", "commit", "--allow-empty", "-qm", "caf\udce9", cwd=repository.work
    )
    with Opened(repository.work) as opened:
        assert opened.resolve("HEAD").subject.startswith("caf")


@pytest.mark.parametrize("rev", ["gone", "0" * 40, "", "--all", "-1", "main:a", "a\0b", "HEAD~9"])
def test_what_is_no_commit_is_refused(repository: Repository, rev: str) -> None:
    repository.commit({"a": "1"})
    with Opened(repository.work) as opened, pytest.raises(UserError) as caught:
        opened.resolve(rev)
    assert caught.value.code == REVISION_MISSING


def test_a_repository_without_a_commit_is_empty(repository: Repository) -> None:
    with Opened(repository.origin) as opened, pytest.raises(UserError) as caught:
        opened.resolve("HEAD")
    assert caught.value.code == REPOSITORY_EMPTY


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UserError) as caught:
            Opened(path)
        assert caught.value.code == REPOSITORY_MISSING
        assert Opened.enclosing(path) is None


def test_the_enclosing_repository_is_found_from_a_folder_of_it(repository: Repository) -> None:
    repository.commit({"a/b/c": "1"})
    found = Opened.enclosing(repository.work / "a/b")
    assert found is not None
    with found:
        assert found.root == repository.work
    with Opened(repository.origin) as bare:
        assert bare.root is None


def test_files_are_those_of_the_commit_and_never_of_the_work_tree(repository: Repository) -> None:
    revision = repository.commit({"a": "committed"})
    repository.write({"a": "dirty", "new": "x"})
    with Opened(repository.work) as opened:
        tree = opened.tree(revision)
        assert tree.read("a", max_bytes=100) == b"committed"
        assert tree.entry("new") is None


def test_all_kinds_of_entries_are_told_apart(repository: Repository) -> None:
    repository.write({"run.sh": "#!", "d/f": "four", "d/e/g": ""})
    (repository.work / "run.sh").chmod(0o755)
    (repository.work / "link").symlink_to("/etc/passwd")
    (repository.work / "linked").symlink_to("d")
    (repository.work / "loop").symlink_to("loop")
    git("add", "--all", cwd=repository.work)
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub", cwd=repository.work)
    git("commit", "-qm", "kinds", cwd=repository.work)
    with Opened(repository.work) as opened:
        tree = opened.tree("HEAD")
        kinds = {path: entry.kind for path, entry in tree.walk("")}
        assert kinds == {
            "d/e/g": "file",
            "d/f": "file",
            "link": "link",
            "linked": "link",
            "loop": "link",
            "run.sh": "executable",
            "sub": "submodule",
        }
        file, folder, root = tree.entry("d/f"), tree.entry("d"), tree.entry("")
        assert file is not None
        assert folder is not None
        assert root is not None
        assert (file.size_bytes, folder.kind, root.kind) == (4, "folder", "folder")
        assert tree.object_id("d") == git("rev-parse", "HEAD:d", cwd=repository.work)
        assert tree.object_id("") == git("rev-parse", "HEAD^{tree}", cwd=repository.work)
        assert [tree.object_id(path) for path in ("gone", "d/f/x", "linked/f", "sub/x")] == [None] * 4
        assert code_of(tree, "link") == code_of(tree, "loop") == code_of(tree, "linked/f") == PATH_IS_LINK
        assert code_of(tree, "sub") == code_of(tree, "sub/x") == PATH_IS_SUBMODULE
        assert (code_of(tree, "d"), code_of(tree, "gone")) == (PATH_NOT_FILE, PATH_MISSING)
        assert code_of(tree, "d/f", max_bytes=3) == FILE_TOO_LARGE
        with pytest.raises(UserError) as caught:
            tree.walk("", max_entries=5)
        assert caught.value.code == TREE_TOO_LARGE
        assert tree.walk("gone") == tree.walk("d/f") == []


def test_a_clean_work_tree_has_the_ids_of_its_commit(repository: Repository) -> None:
    repository.write({"b/x": "1", "b.txt": "2", "b-c/y": "3", "run": ""})
    (repository.work / "run").chmod(0o755)
    (repository.work / "l").symlink_to("b")
    (repository.work / "nothing").mkdir()
    repository.commit({".gitignore": "*.log\n"})
    repository.write({"noise.log": "not part of it"})
    with Opened(repository.work) as opened:
        committed, here = opened.tree("HEAD"), opened.worktree()
        assert here.object_id("") == committed.object_id("")
        assert here.walk("") == committed.walk("")
        repository.write({"b/new": "uncommitted, not ignored"})
        assert opened.worktree().read("b/new", max_bytes=100).startswith(b"uncommitted")


def test_a_bare_repository_has_no_work_tree(repository: Repository) -> None:
    repository.commit({"a": "1"})
    with Opened(repository.origin) as opened:
        assert not opened.dirty()
        with pytest.raises(UserError) as caught:
            opened.worktree()
    assert caught.value.code == REPOSITORY_MISSING


def test_a_changed_or_new_file_makes_the_work_tree_dirty(repository: Repository) -> None:
    repository.commit({"a": "1"})
    with Opened(repository.work) as opened:
        assert not opened.dirty()
        repository.write({"b": "2"})
        assert opened.dirty()
        repository.write({"a": "2", "b": None})
        assert opened.dirty()


def test_ancestry_tells_a_rewritten_history(repository: Repository) -> None:
    first = repository.commit({"a": "1"})
    second = repository.commit({"a": "2"})
    git("reset", "--quiet", "--hard", first, cwd=repository.work)
    rewritten = repository.commit({"a": "3"}, push=False)
    with Opened(repository.work) as opened:
        assert opened.is_ancestor(first, second)
        assert opened.is_ancestor(second, second)
        assert not opened.is_ancestor(second, first)
        assert not opened.is_ancestor(second, rewritten)
        assert not opened.is_ancestor("1" * 40, second)
        assert not opened.is_ancestor("--all", second)


def test_a_revert_has_the_tree_of_before(repository: Repository) -> None:
    first = repository.commit({"d/a": "1", "d/b": "2"})
    repository.commit({"d/a": "changed", "d/b": None, "e": "new"})
    reverted = repository.revert()
    with Opened(repository.work) as opened:
        assert opened.tree(reverted).object_id("") == opened.tree(first).object_id("")


def test_a_repository_of_another_user_is_read(repository: Repository) -> None:
    revision = repository.commit({"a": "1"})
    if os.geteuid() != 0:
        pytest.fail("only root can give files away; run the tests as root")
    for path in (repository.work, *repository.work.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with Opened(repository.work) as opened:
        assert opened.tree(revision).read("a", max_bytes=10) == b"1"
        assert not opened.dirty()


def test_a_repository_with_longer_object_ids_is_refused(tmp_path: Path) -> None:
    git("init", "--quiet", "--object-format=sha256", str(tmp_path), cwd=tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_text("1")
    git("add", ".", cwd=tmp_path)
    git("commit", "-qm", "x", cwd=tmp_path)
    with Opened(tmp_path) as opened, pytest.raises(UserError) as caught:
        opened.tree("HEAD")
    assert caught.value.code == OBJECT_FORMAT_UNSUPPORTED


def test_names_that_are_not_text_are_kept(repository: Repository) -> None:
    (repository.work / "b\udce9d").write_text("x")
    repository.commit({})
    with Opened(repository.work) as opened:
        assert [path for path, _ in opened.tree("HEAD").walk("")] == ["b\udce9d"]


def test_programs_that_a_repository_configures_do_not_run(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"a": "1"})
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    for key in ("core.fsmonitor", "gpg.program", "core.pager", "core.sshCommand"):
        git("config", key, str(trap), cwd=repository.work)
    git("config", "log.showSignature", "true", cwd=repository.work)
    with Opened(repository.work) as opened:
        opened.resolve("HEAD")
        opened.dirty()
        opened.worktree()
    assert not (tmp_path / "sprung").exists()


def test_variables_of_a_hook_do_not_lead_elsewhere(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = repository.commit({"a": "1"})
    other = Repository.create(tmp_path / "other")
    other.commit({"b": "2"})
    monkeypatch.setenv("GIT_DIR", str(other.origin))
    with Opened(repository.work) as opened:
        assert opened.resolve("HEAD").revision == revision
        assert opened.tree("HEAD").entry("a") is not None


def test_a_damaged_object_is_an_error_of_git(repository: Repository) -> None:
    repository.commit({"a": "precious"})
    blob = git("rev-parse", "HEAD:a", cwd=repository.work)
    with Opened(repository.work) as opened:
        tree = opened.tree("HEAD")
        (repository.work / f".git/objects/{blob[:2]}/{blob[2:]}").unlink()
        with pytest.raises(OutsideError) as caught:
            tree.entry("a")
    assert caught.value.code == GIT_FAILED


def test_a_damaged_index_is_an_error_of_git(repository: Repository) -> None:
    repository.commit({"a": "1"})
    (repository.work / ".git/index").write_bytes(b"rubbish")
    with Opened(repository.work) as opened, pytest.raises(OutsideError) as caught:
        opened.dirty()
    assert caught.value.code == GIT_FAILED
    assert "index" in caught.value.why


def test_a_machine_without_git_says_so(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"a": "1"})
    with Opened(repository.work) as opened, Opened(repository.work) as other:
        tree = other.tree("HEAD")
        other.close()
        monkeypatch.setenv("PATH", str(tmp_path))
        for ask in (lambda: opened.resolve("HEAD"), lambda: tree.entry("a"), lambda: other.has("1" * 40)):
            with pytest.raises(OutsideError) as caught:
                ask()
            assert caught.value.code == GIT_NOT_FOUND
