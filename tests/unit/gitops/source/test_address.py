"""Addresses are checked, parted from credentials, and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from events.kernel.redact import MASK, REDACT
from gitops.source.address import REPOSITORY_URL_REFUSED, parse_address, slug


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-x",
        "--upload-pack=touch /tmp/pwned",
        "ext::sh -c 'touch /tmp/pwned'",
        "fd::3",
        "::x",
        "git://host/repo",
        "ftp://host/repo",
        "ssh://-oProxyCommand=x/repo",
        "ssh://-oProxyCommand=x@host/repo",
        "https:///repo",
        "https://ho st/repo",
        "https://host:99999/repo",
        "https://[::1/repo",
        "file://host/repo",
        "file://relative",
        "a\nb",
        "https://host/\x00",
        "https://host/\x1b[31m",
    ],
)
def test_odd_addresses_are_refused_before_git_sees_them(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_address(text)
    assert caught.value.code == REPOSITORY_URL_REFUSED
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url", "identity"),
    [
        ("https://github.com/org/app.git", "https://github.com/org/app.git", "github.com/org/app.git"),
        ("http://127.0.0.1:3000/a/b?x=1", "http://127.0.0.1:3000/a/b?x=1", "127.0.0.1:3000/a/b?x=1"),
        ("https://[::1]:3000/a", "https://[::1]:3000/a", "[::1]:3000/a"),
        ("git@github.com:org/app.git", "git@github.com:org/app.git", "github.com/org/app.git"),
        ("host:repo", "host:repo", "host/repo"),
        ("ssh://bob@host:2222/srv/app", "ssh://bob@host:2222/srv/app", "host:2222/srv/app"),
        ("ssh://host/srv/app", "ssh://host/srv/app", "host/srv/app"),
        ("file:///srv/a%20b", "/srv/a b", "/srv/a b"),
        ("/srv/../srv/app", "/srv/app", "/srv/app"),
    ],
)
def test_an_address_is_a_path_or_a_server_and_a_path(text: str, url: str, identity: str) -> None:
    address = parse_address(text)
    assert (address.url, address.identity) == (url, identity)
    assert address.local == url.startswith("/")


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_address("repo").url == str(tmp_path / "repo")
    assert parse_address("./a:b").url == str(tmp_path / "a:b")


def test_credentials_leave_the_address_and_are_masked_from_then_on() -> None:
    address = parse_address("https://user:p%40ss-word-1@host/repo")
    assert address.url == "https://host/repo"
    assert (address.username, address.password) == ("user", "p@ss-word-1")
    assert "p@ss" not in repr(address)
    assert REDACT("it said p@ss-word-1 and p%40ss-word-1") == f"it said {MASK} and {MASK}"


def test_a_token_in_place_of_a_user_name_is_a_secret_too() -> None:
    address = parse_address("https://ghp_0123456789abcdefgh@github.com/org/app")
    assert address.url == "https://github.com/org/app"
    assert REDACT("ghp_0123456789abcdefgh") == MASK


def test_a_short_user_name_is_no_secret() -> None:
    parse_address("https://robot@host/repo")
    assert REDACT("robot") == "robot"


def test_credentials_are_for_their_own_server_alone() -> None:
    address = parse_address("https://user:topsecret@host:8443/repo")
    assert list(address.settings()) == ["credential.https://host:8443.helper"]
    assert "topsecret" not in str(address.settings())
    assert sorted(address.variables().values()) == ["topsecret", "user"]


def test_without_credentials_no_helper_is_set() -> None:
    address = parse_address("https://host/repo")
    assert (address.settings(), address.variables()) == ({}, {})


def test_a_password_of_an_ssh_address_is_dropped() -> None:
    assert parse_address("ssh://bob:hunter2hunter2@host/x").url == "ssh://bob@host/x"


def test_a_slug_is_readable_and_the_same_for_every_spelling() -> None:
    name = slug("https://github.com/Org/app.git")
    assert name.startswith("github.com-org-app-")
    assert slug("git@github.com:Org/app.git") == name
    assert slug("https://user:word@github.com/Org/app.git") == name
    assert slug("https://github.com/Org/app.git/") == name


def test_different_repositories_have_different_slugs() -> None:
    assert len({slug(f"https://host/{name}") for name in ("a/b", "a-b", "a_b", "A/b")}) == 4


@pytest.mark.parametrize("text", ["/", "/srv/" + "x" * 500, "https://host/../../etc", "/srv/ä ö"])
def test_a_slug_is_safe_as_a_file_name(text: str) -> None:
    name = slug(text)
    assert "/" not in name
    assert not name.startswith((".", "-"))
    assert 8 < len(name) <= 80
    assert name.isascii()
