"""The repositories that tests write."""

from __future__ import annotations

from tests.support.repos import Repository, git


def test_a_commit_reaches_the_origin(repository: Repository) -> None:
    sha = repository.commit({"a/b.txt": "one", "c.bin": b"\x00"}, "first")
    assert git("rev-parse", "main", cwd=repository.origin) == sha
    assert git("log", "-1", "--format=%s|%an|%ae", cwd=repository.origin) == (
        "first|Test Person|person@example.org"
    )
    assert git("show", "main:a/b.txt", cwd=repository.origin) == "one"


def test_none_removes_a_file_and_an_unpushed_commit_stays_here(repository: Repository) -> None:
    first = repository.commit({"a": "1", "b": "2"})
    second = repository.commit({"a": None}, push=False)
    assert git("ls-tree", "--name-only", second, cwd=repository.work) == "b"
    assert git("rev-parse", "main", cwd=repository.origin) == first


def test_a_revert_has_the_tree_of_before(repository: Repository) -> None:
    first = repository.commit({"a": "1"})
    repository.commit({"a": "2"})
    reverted = repository.revert()
    assert repository.head(f"{reverted}^{{tree}}") == repository.head(f"{first}^{{tree}}")
    assert git("rev-parse", "main", cwd=repository.origin) == reverted


def test_a_merge_can_be_made_and_reverted(repository: Repository) -> None:
    base = repository.commit({"a": "1"})
    repository.branch("topic")
    repository.commit({"b": "1"})
    repository.switch("main")
    merge = repository.merge("topic")
    assert repository.head(f"{merge}^1") == base
    assert repository.head(f"{repository.revert()}^{{tree}}") == repository.head(f"{base}^{{tree}}")
