"""What messages say is taken back."""

from __future__ import annotations

import hashlib

import pytest

from gitops.source.reverts import Said, named_in, reverted_by


def commit(name: str) -> str:
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def said(name: str, *reverts: str) -> Said:
    lines = [f'Revert "{one}"\n\nThis reverts commit {commit(one)}.\n' for one in reverts]
    return Said(revision=commit(name), message="\n".join(lines) or "a change")


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("a change", ()),
        (f"x\n\nThis reverts commit {commit('a')}.", ("a",)),
        (f"x\n\nThis reverts commit {commit('a')}, reversing\nchanges made to {commit('b')}.", ("a",)),
        (f"x\n\nThis reverts commit {commit('a')}.\n\nThis reverts commit {commit('b')}.", ("a", "b")),
        (f"x\n\nThis reverts commit {commit('a')[:12]}.", ()),
        (f"x\n\nThis reverts commit {commit('a')}0.", ()),
        (f"x\n\n> This reverts commit {commit('a')}.", ()),
        (f"x\n\nthis reverts commit {commit('a')}.", ()),
    ],
)
def test_only_the_words_of_git_count(message: str, named: tuple[str, ...]) -> None:
    assert named_in(message) == tuple(commit(one) for one in named)


def test_a_revert_takes_back_what_it_names() -> None:
    assert reverted_by([said("r", "a"), said("other")]) == {commit("a")}


def test_what_was_made_and_taken_back_in_one_push_is_nothing() -> None:
    assert reverted_by([said("r", "a"), said("a")]) == frozenset()


def test_the_revert_of_a_revert_takes_nothing_back() -> None:
    assert reverted_by([said("rr", "r"), said("r", "a")]) == frozenset()


def test_a_third_revert_takes_it_back_again() -> None:
    assert reverted_by([said("rrr", "rr"), said("rr", "r"), said("r", "a")]) == {commit("a")}


def test_the_revert_of_an_older_revert_takes_that_one_back() -> None:
    assert reverted_by([said("rr", "r")]) == {commit("r")}
