"""Which of a repository's tags is the newest version in a range."""

from __future__ import annotations

import pytest

from events.kernel.errors import UserError
from gitops.source.tags import VersionTag, newest_version
from gitops.source.versions import parse_range


def newest(wanted: str, **tags: str) -> VersionTag:
    """The newest of tags by name, `_` for a dot; each points at the commit that is given."""
    refs = {f"refs/tags/{name.replace('_', '.')}": commit for name, commit in tags.items()}
    return newest_version("shop", refs, parse_range(wanted))


def refused(wanted: str, **tags: str) -> UserError:
    with pytest.raises(UserError) as caught:
        newest(wanted, **tags)
    return caught.value


def test_the_highest_version_in_the_range_counts_and_not_the_last_name() -> None:
    assert newest("1.x", v1_9_0="a", v1_10_0="b", v2_0_0="c").name == "v1.10.0"


def test_other_tags_and_branches_are_nothing() -> None:
    refs = {"refs/tags/latest": "a", "refs/tags/v1": "b", "refs/heads/v9.9.9": "c", "v8.8.8": "d"}
    found = newest_version("shop", {**refs, "refs/tags/v1.0.0": "e"}, parse_range("*"))
    assert (found.name, found.revision) == ("v1.0.0", "e")


def test_an_annotated_tag_is_peeled() -> None:
    refs = {"refs/tags/v1.0.0": "tag", "refs/tags/v1.0.0^{}": "commit"}
    found = newest_version("shop", refs, parse_range("*"))
    assert (found.object_id, found.revision, found.annotated) == ("tag", "commit", True)
    assert not newest("*", v1_0_0="commit").annotated


def test_a_pre_release_needs_a_range_that_names_one() -> None:
    assert newest(">=1.0.0", v1_0_0="a", **{"v1_1_0-rc_1": "b"}).name == "v1.0.0"
    assert newest(">=1.0.0-0", v1_0_0="a", **{"v1_1_0-rc_1": "b"}).name == "v1.1.0-rc.1"


def test_none_in_the_range_is_told_with_the_newest_there_are() -> None:
    error = refused("9.x", **{f"v1_{number}_0": "a" for number in range(15)}, latest="b")
    assert error.code == "version-missing"
    assert "v1.14.0, v1.13.0" in error.why
    assert error.why.endswith("and 5 more")
    assert "none at all" in refused("*").why


def test_two_names_for_one_commit_are_one_version() -> None:
    assert newest("*", **{"1_0_0": "a", "v1_0_0": "a", "v0_9_0": "b"}).revision == "a"


def test_two_commits_for_the_newest_version_are_nobodys_to_choose_between() -> None:
    error = refused("*", **{"1_0_0": "a", "v1_0_0": "b"})
    assert error.code == "version-ambiguous"
    assert "1.0.0 and v1.0.0" in error.message
    assert newest("*", **{"1_0_0": "a", "v1_0_0": "b", "v1_1_0": "c"}).name == "v1.1.0"
