"""Versions and ranges of them: what npm's words mean, and the order of Semantic Versioning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.source.versions import Version, parse_range, parse_version

ORDERED = [  # the examples of Semantic Versioning 2.0.0, and some of ours
    "0.9.9",
    "1.0.0-0",
    "1.0.0-9",
    "1.0.0-10",
    "1.0.0--",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.2.0",
    "1.10.0",
    "2.0.0",
]
numbers = st.sampled_from("0123")
releases = st.tuples(numbers, numbers, numbers).map(".".join)
identifiers = st.from_regex(r"(0|[1-9][0-9]{0,3}|[0-9]{0,2}[a-zA-Z-][0-9a-zA-Z-]{0,3})", fullmatch=True)
parts = st.lists(identifiers, min_size=1, max_size=3).map(".".join)
pre_releases = st.tuples(releases, parts).map("-".join)
versions = releases | pre_releases


def version(text: str) -> Version:
    found = parse_version(text)
    assert found is not None, text
    return found


def allows(text: str, *wanted: str) -> list[str]:
    """Those of the versions that the range allows."""
    parsed = parse_range(text)
    return [one for one in wanted if parsed.allows(version(one))]


def test_versions_are_in_the_order_of_their_precedence() -> None:
    keys = [version(one).key for one in ORDERED]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("text", ["v1.2.3", "1.2.3+build.7", "v1.2.3+build-7.x"])
def test_a_letter_in_front_and_a_build_say_nothing(text: str) -> None:
    assert version(text) == version("1.2.3")


@pytest.mark.parametrize(
    "text",
    [
        *("", "v", "1", "1.2", "v1.2", "1.2.3.4", "01.2.3", "1.2.03", "1.2.3-", "1.2.3-01", "1.2.3-a..b"),
        *(
            "V1.2.3",
            "release-1.2.3",
            "latest",
            " 1.2.3",
            "1.2.3\n",
            "1.2.3-é",
            "\u0661.2.3",
            "1.2.3+",
            "vv1.2.3",
        ),
        *("1.2.99999999999999999", f"1.2.3-{'a' * 300}"),
    ],
)
def test_what_is_no_whole_version_names_none(text: str) -> None:
    assert parse_version(text) is None


@pytest.mark.parametrize(
    ("text", "within", "outside"),
    [
        ("*", "0.0.0 1.2.3 9.9.9", "1.0.0-rc.1"),
        ("1", "1.0.0 1.9.9", "0.9.9 2.0.0 2.0.0-rc.1"),
        ("1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("1.2.*", "1.2.0 1.2.9", "1.3.0"),
        ("v1.2.3", "1.2.3", "1.2.2 1.2.4"),
        ("=1.2.3", "1.2.3", "1.2.4"),
        (">=1.2 <2", "1.2.0 1.9.9", "1.1.9 2.0.0"),
        (">= 1.2,<2", "1.2.0", "2.0.0"),
        (">=1.2, <2", "1.9.0", "2.0.0"),
        (">1.2", "1.3.0", "1.2.9"),
        (">1.2.3", "1.2.4", "1.2.3"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("<1.2", "1.1.9", "1.2.0"),
        ("~1.4", "1.4.0 1.4.9", "1.3.9 1.5.0"),
        ("~>1.4.2", "1.4.2 1.4.9", "1.4.1 1.5.0"),
        ("~1", "1.9.9", "2.0.0"),
        ("^2.0", "2.0.0 2.9.9", "1.9.9 3.0.0"),
        ("^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0", "0.9.9", "1.0.0"),
        ("1.2 - 1.4", "1.2.0 1.4.9", "1.1.9 1.5.0"),
        ("1.2.3 - 1.4.0", "1.2.3 1.4.0", "1.4.1"),
        ("1.x || 3.x", "1.0.0 3.9.9", "2.0.0"),
        (">=1.2.0-0 <2", "1.2.0-rc.1 1.2.0 1.3.0-rc.1", "1.1.0-rc.1 2.0.0-rc.1 2.0.0"),
        (">=1.2.0-0 <2.0.0", "1.9.0-rc.1", "2.0.0-rc.1"),
        (">=1.2.0-rc.2", "1.2.0-rc.2 1.2.0", "1.2.0-rc.1"),
        ("<2.0.0-rc.2", "2.0.0-rc.1 1.9.0-rc.1", "2.0.0-rc.2 2.0.0"),
        ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3 1.9.0-rc.1", "1.2.3-beta.1 2.0.0-0"),
        ("1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.2"),
        ("1.x || >=2.0.0-0", "2.0.0-rc.1 1.1.0", "1.1.0-rc.1"),
    ],
)
def test_a_range_means_what_npm_means_by_it(text: str, within: str, outside: str) -> None:
    assert allows(text, *within.split(), *outside.split()) == within.split()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "||", "1.x ||", "latest", "main", "1.2.3.4", "1.x.3", "1.2-rc.1", ">=", ">=a", "!=1.2.3"),
        *("<*", ">x", "1.2.3+build", "=>1", "1.2.3 -", "- 1.2.3", "1 - 2 - 3", ">=1.2<2", "refs/tags/v1"),
        *("1.2.3\x00", "1" * 300, "01.2.3"),
    ],
)
def test_what_is_no_range_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"range of versions"):
        parse_range(text)


def test_a_range_is_kept_as_it_was_written_but_for_its_blanks() -> None:
    assert parse_range("  >=1.2   <2 ").text == ">=1.2 <2"


@given(versions, versions)
def test_each_two_versions_are_divided_by_the_ranges_at_one_of_them(one: str, other: str) -> None:
    """Of `<`, `=` and `>` exactly one holds, but for pre-releases of the version that `<` excludes."""
    key, bound = version(one).key, version(other).key
    signs = {sign for sign in "<=>" if allows(f"{sign}{other} || >=0.0.0-0 <0.0.0-0", one)}
    expected = "<" if key < bound else "=" if key == bound else ">"
    admitted = key[3] or not bound[3]  # a range that names no pre-release allows none
    assert signs <= {expected}
    assert not admitted or signs == {expected} or (expected == "<" and key[:3] == bound[:3])


@given(releases, releases)
def test_a_caret_and_a_tilde_never_reach_the_next_major_version(low: str, one: str) -> None:
    major, minor, _ = low.split(".")
    at_least = version(one).key >= version(low).key
    same_major, same_minor = one.split(".", maxsplit=1)[0] == major, one.split(".")[:2] == [major, minor]
    assert bool(allows(f"~{low}", one)) == (at_least and same_minor)
    if major != "0":
        assert bool(allows(f"^{low}", one)) == (at_least and same_major)
    assert not allows(f"^{low}", one) or same_major


@given(st.text(max_size=40))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    try:
        parsed = parse_range(text)
    except ValueError:
        return
    assert parse_range(parsed.text) == parsed
