"""References to other repositories: what is taken, by whom it is allowed, and where it may lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.kernel.errors import UserError
from gitops.grafts import GRAFTS, resolve_within, split_graft, told, without_commit
from gitops.remotes import RemoteRef, RemoteRefusedError, RemoteRules, parse_prefix
from gitops.source.paths import PATH_ESCAPES

SHA = "0123456789abcdef0123456789abcdef01234567"
EVERYWHERE = ("https://example.org", "http://example.org", "ssh://git@example.org", "git@example.org:")
PARTS = st.text("abAB09._~@+-/:#?%$\\ \t\n\r\x00\x1bé", max_size=12)


def rules(*prefixes: str) -> RemoteRules:
    return RemoteRules(allowed=tuple(map(parse_prefix, prefixes)), key="policy.shop.remotes")


def taken(text: str, *prefixes: str) -> RemoteRef:
    return rules(*(prefixes or EVERYWHERE)).taken(text)


def refusal(text: str, *prefixes: str) -> RemoteRefusedError:
    with pytest.raises(RemoteRefusedError) as caught:
        taken(text, *prefixes)
    return caught.value


@pytest.mark.parametrize(
    ("text", "url", "folder"),
    [
        (f"https://example.org/org/lib.git#{SHA}", "https://example.org/org/lib.git", ""),
        (f"https://example.org/org/lib.git#{SHA}:a/b.yml", "https://example.org/org/lib.git", "a/b.yml"),
        (f"HTTPS://Example.ORG:443/org/lib.git#{SHA}:a", "https://example.org/org/lib.git", "a"),
        (f"http://example.org/org/lib.git#{SHA}", "http://example.org/org/lib.git", ""),
        (f"ssh://git@example.org/org/lib.git#{SHA}:x", "ssh://git@example.org/org/lib.git", "x"),
        (f"ssh://git@example.org:22/~me/lib#{SHA}", "ssh://git@example.org/~me/lib", ""),
        (f"git@example.org:org/lib.git#{SHA}:x", "git@example.org:org/lib.git", "x"),
    ],
)
def test_a_pinned_reference_has_its_parts(text: str, url: str, folder: str) -> None:
    found = taken(text)
    assert (found.url, found.commit, found.folder) == (url, SHA, folder)
    assert str(found) == f"{url}#{SHA}{':' if folder else ''}{folder}"
    assert found.path == (f"{found.graft}/{folder}" if folder else found.graft)
    assert split_graft(found.path) == (found.graft, folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-x",
        "--upload-pack=touch x",
        f"-oProxyCommand=x@example.org:a.git#{SHA}",
        f"ext::sh -c touch% /tmp/x#{SHA}",
        f"ext::https://example.org/a.git#{SHA}",
        f"file:///srv/a.git#{SHA}",
        f"git://example.org/a.git#{SHA}",
        f"ftp://example.org/a.git#{SHA}",
        f"github.com/o/r#{SHA}",
        f"oci://example.org/a:1#{SHA}",
        f"/srv/a.git#{SHA}",
        f"ssh://-oProxyCommand=x/y#{SHA}",
        f"ssh://git@-example.org/y#{SHA}",
        f"ssh://-git@example.org/y#{SHA}",
        f"ssh://git:s3cret@example.org/y#{SHA}",
        f"git@example.org:-oX/y#{SHA}",
        f"git@example.org:/absolute.git#{SHA}",
        f"https://user@example.org/a.git#{SHA}",
        f"https://user:s3cret@example.org/a.git#{SHA}",
        f"https://@example.org/a.git#{SHA}",
        f"https://example.org@evil.example/a.git#{SHA}",
        f"https://example.org./a.git#{SHA}",
        f"https://.example.org/a.git#{SHA}",
        f"https://example..org/a.git#{SHA}",
        f"https:///a.git#{SHA}",
        f"https://example.org#{SHA}",
        f"https://example.org/#{SHA}",
        f"https://example.org:0/a.git#{SHA}",
        f"https://example.org:65536/a.git#{SHA}",
        f"https://example.org:/a.git#{SHA}",
        f"https://example.org:4 43/a.git#{SHA}",
        f"https://[::1]/a.git#{SHA}",
        f"https://example.org/a#{SHA}",
        f"https://example.org//a.git#{SHA}",
        f"https://example.org/../a.git#{SHA}",
        f"https://example.org/./a.git#{SHA}",
        f"https://example.org/%2e%2e/a.git#{SHA}",
        f"https://example.org/a.git/#{SHA}",
        f"https://example.org/a.git?ref={SHA}",
        f"https://example.org/a.git?x#{SHA}",
        f"https://example.org\\@evil.example/a.git#{SHA}",
        f"https://example.org/a\n.git#{SHA}",
        f"https://example.org/a.git#{SHA}\n",
        f"https://example.org/é.git#{SHA}",
        f" https://example.org/a.git#{SHA}",
        f"https://example.org/a.git#{SHA}:",
        f"https://example.org/a.git#{SHA}:/a",
        f"https://example.org/a.git#{SHA}:a/",
        f"https://example.org/a.git#{SHA}:..",
        f"https://example.org/a.git#{SHA}:a/../../b",
        f"https://example.org/a.git#{SHA}:a:b",
        f"https://example.org/a.git#{SHA}:a b",
        f"https://example.org/a.git#{SHA}:$X",
        f"https://example.org/a.git#{SHA}#{SHA}",
        f"https://example.org/{'a' * 1000}.git#{SHA}",
    ],
)
def test_what_is_not_plain_is_refused(text: str) -> None:
    error = refusal(text)
    assert error.next.startswith("write ")
    assert "s3cret" not in f"{error}{error.next}"


@pytest.mark.parametrize(
    ("commit", "why"),
    [
        ("", "it names no commit"),
        ("main", "'main' is a branch or a tag, which can move"),
        ("v1.0", "'v1.0' is a branch or a tag, which can move"),
        ("refs/heads/main", "'refs/heads/main' is a branch or a tag, which can move"),
        (SHA[:39], "no whole commit id"),
        (SHA[:7], "no whole commit id"),
        (f"{SHA}0", "no whole commit id"),
        (SHA.upper(), "no whole commit id"),
        (f"{SHA} ", "which can move"),
    ],
)
def test_only_a_whole_commit_is_a_pin(commit: str, why: str) -> None:
    error = refusal(f"https://example.org/org/lib.git#{commit}:a.yml")
    assert why in error.message
    assert error.next == "write https://example.org/org/lib.git#<40 hex digits of a commit>:a.yml"


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("https://example.org", "https://example.org/org/lib.git"),
        ("https://example.org/", "https://example.org/org/lib.git"),
        ("https://EXAMPLE.org:443/org", "https://example.org/org/lib.git"),
        ("https://example.org/org/", "https://example.org/org/lib.git"),
        ("https://example.org/org/lib.git", "https://example.org/org/lib.git"),
        ("http://example.org:8080/org", "http://example.org:8080/org/lib.git"),
        ("ssh://git@example.org/org", "ssh://git@example.org:22/org/lib.git"),
        ("git@example.org:org", "git@example.org:org/lib.git"),
        ("git@example.org:", "git@example.org:lib.git"),
    ],
)
def test_a_prefix_allows_what_begins_with_its_parts(prefix: str, text: str) -> None:
    assert taken(f"{text}#{SHA}", prefix).commit == SHA


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("https://example.org/org", "https://example.org/organ/lib.git"),
        ("https://example.org/org/lib", "https://example.org/org/lib.git"),
        ("https://example.org/org", "https://example.org/Org/lib.git"),
        ("https://example.org/org", "http://example.org/org/lib.git"),
        ("https://example.org/org", "https://example.org:444/org/lib.git"),
        ("https://example.org/org", "https://example.org.evil.example/org/lib.git"),
        ("https://example.org/org", "https://evil.example/example.org/org/lib.git"),
        ("https://example.org/org", "ssh://git@example.org/org/lib.git"),
        ("ssh://git@example.org/org", "ssh://root@example.org/org/lib.git"),
        ("ssh://git@example.org/org", "ssh://example.org/org/lib.git"),
        ("ssh://git@example.org/org", "git@example.org:org/lib.git"),
        ("git@example.org:org", "ssh://git@example.org/org/lib.git"),
    ],
)
def test_a_prefix_allows_nothing_else(prefix: str, text: str) -> None:
    error = refusal(f"{text}#{SHA}:x", prefix)
    assert "no policy allows that repository" in error.message
    assert error.next == f"list {text} under policy.shop.remotes in controller.yml"


def test_nothing_is_allowed_without_a_policy() -> None:
    error = refusal(f"https://example.org/org/lib.git#{SHA}", "https://elsewhere.example")
    assert "policy.shop.remotes" in error.next
    assert "policy.<project>.remotes" in RemoteRules().key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "*",
        "https://",
        "https://*/",
        "https://user:s3cret@example.org/",
        f"https://example.org/a.git#{SHA}",
        "https://example.org/a/../b",
        "https://example.org//",
        "file:///srv",
        "ext::x",
        "git://example.org/",
    ],
)
def test_a_prefix_is_as_plain_as_a_reference(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_prefix(text)


@given(st.sampled_from(["https://", "ssh://", "http://", "git@", ""]), PARTS, PARTS, PARTS)
def test_what_is_taken_begins_with_what_is_allowed(scheme: str, host: str, path: str, folder: str) -> None:
    """Whatever is drawn: only the one server, the one folder, and characters that mean nothing elsewhere."""
    allowed = ("https://ab/a", "ssh://a@ab/a", "git@ab:a")
    for text in (f"{scheme}{host}/{path}", f"{scheme}ab{path}", f"{scheme}ab/a{path}", f"{scheme}ab:a{path}"):
        for reference in (f"{text}#{SHA}", f"{text}#{SHA}:{folder}", f"{text}.git#{SHA}:{folder}"):
            try:
                found = taken(reference, *allowed)
            except RemoteRefusedError:
                continue
            assert found.url.startswith(("https://ab/a/", "ssh://a@ab/a/", "git@ab:a/")) or found.url in {
                "ssh://a@ab/a",
                "git@ab:a",
            }
            assert not set(str(found)) & set("%$\\ \t\n\r\x00\x1b?é'\"")
            assert ".." not in found.path.split("/")
            assert taken(str(found), *allowed) == found


@given(PARTS)
def test_nothing_leads_out_of_a_graft_or_into_one(text: str) -> None:
    graft = taken(f"https://example.org/lib.git#{SHA}").graft
    for start in (f"{graft}/a/b", graft):
        for words in (text, f"../{text}", f"../../{text}", f"../../../{text}"):
            assert graft_of(start, words) in {graft, PATH_ESCAPES}
    for words in (f"{GRAFTS}/{text}", f"./.git//remotes/{text}", f"a/../{graft}/{text}", graft):
        assert graft_of("", words) in {"", PATH_ESCAPES}


def graft_of(folder: str, text: str) -> str:
    """The graft that a path leads to, or the code of its refusal."""
    try:
        return split_graft(resolve_within(folder, text))[0]
    except UserError as error:
        return error.code


def test_a_graft_is_told_from_its_commit() -> None:
    one, other = (taken(f"https://example.org/lib.git#{sha}:a/b") for sha in (SHA, SHA[::-1]))
    assert one.graft != other.graft
    assert without_commit(one.path) == without_commit(other.path)
    assert without_commit(one.path).endswith("/a/b")
    assert told(one.path) == f"{without_commit(one.path).removesuffix('/a/b')}@{SHA[:12]}/a/b"
    assert told("a/b") == "a/b"


@pytest.mark.parametrize(
    "path", ["", "a", ".git", GRAFTS, f"{GRAFTS}//x", f"{GRAFTS}/x/../y", "a/.git/remotes/x"]
)
def test_other_paths_are_the_repositorys_own(path: str) -> None:
    assert split_graft(path) == ("", path)
