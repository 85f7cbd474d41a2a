"""`controller.yml`: defaults, strictness, errors that say where."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.config.controller import ControllerFile, load_controller_file
from gitops.policies import allowed_by, remotes_allowed_by


def _load(folder: Path, text: str) -> ControllerFile:
    path = folder / "controller.yml"
    path.write_text(text)
    return load_controller_file(path, required=True)


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    found = load_controller_file(tmp_path / "controller.yml", required=False)
    assert (found.poll.interval, found.passes.interval, found.notify.webhook) == (30.0, 300.0, None)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_controller_file(tmp_path / "other.yml", required=True)
    assert caught.value.code == "controller-file-unreadable"


def test_a_folder_and_a_file_that_is_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load_controller_file(tmp_path, required=False)
    with pytest.raises(UserError, match="cannot read"):
        _load(tmp_path, "#" * (1024 * 1024 + 1))


def test_all_keys_are_read(tmp_path: Path) -> None:
    found = _load(
        tmp_path,
        "poll: {interval: 1m, jitter: 1s, longest: 10m, stale_after: 1h}\n"
        "pass: {interval: 2m}\n"
        "notify: {webhook: 'https://example.org/x', command: [tell, us], deadline: 3s}\n",
    )
    assert (found.poll.interval, found.poll.stale_after, found.passes.interval) == (60, 3600, 120)
    assert found.notify.command == ["tell", "us"]


def test_policy_of_an_environment_is_its_projects_and_its_own(tmp_path: Path) -> None:
    policy = _load(
        tmp_path,
        "policy:\n"
        "  shop: {allow: [host-network]}\n"
        "  shop/prod: {allow: ['capabilities:NET_ADMIN']}\n"
        "  blog:\n",
    ).policy
    assert allowed_by(policy, project="shop", environment="prod") == {
        "host-network",
        "capabilities:NET_ADMIN",
    }
    assert allowed_by(policy, project="shop", environment="test") == {"host-network"}
    assert allowed_by(policy, project="blog", environment="prod") == frozenset()
    assert allowed_by(policy, project="shop-2", environment="prod") == frozenset()


def test_remotes_of_an_environment_are_its_projects_and_its_own(tmp_path: Path) -> None:
    policy = _load(
        tmp_path,
        "policy:\n"
        "  shop: {remotes: ['https://git.example.org/shop/', 'git@git.example.org:shop']}\n"
        "  shop/prod: {remotes: ['https://example.org']}\n",
    ).policy

    def allowed(project: str, environment: str) -> list[str]:
        found = remotes_allowed_by(policy, project=project, environment=environment)
        return [server.url for server in found]

    shop = ["git@git.example.org:shop", "https://git.example.org/shop"]
    assert allowed("shop", "test") == shop
    assert allowed("shop", "prod") == [shop[0], "https://example.org/", shop[1]]
    assert allowed("blog", "prod") == []


@pytest.mark.parametrize(
    "text", ["*", "example.org", "https://user:word@example.org", "ext::sh", "file:///x", ""]
)
def test_a_remote_that_is_no_address_is_an_error_in_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, f"policy: {{shop: {{remotes: ['{text}']}}}}\n")
    assert caught.value.code == "config-invalid"
    assert caught.value.where.key == "policy.shop.remotes[0]"
    assert "word" not in str(caught.value).replace("password", "")


def test_empty_sections_stand_for_their_defaults(tmp_path: Path) -> None:
    assert _load(tmp_path, "poll:\npass:\nnotify:\n") == ControllerFile()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pol: {}", "poll"),
        ("poll: {interval: 30}", "length of time"),
        ("notify: {webhook: 'file:///etc/passwd'}", "http"),
        ("notify: {command: []}", "empty"),
        ("notify: {command: tell}", "list"),
        ("policy: {shop: {allow: [everything]}}", "engine-socket"),
        ("policy: {shop/prod/web: {}}", "project/name"),
        ("policy: {../shop: {}}", "lower-case"),
        ("policy: {shop: {alow: []}}", "allow"),
        ("listen: '127.0.0.1:70000'", "65535"),
        ("listen: '8700'", "HOST:PORT"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, text)
    assert caught.value.code == "config-invalid"
    assert words in str(caught.value)


def test_seals_are_made_without_a_word_and_stay_here_until_a_place_is_named(tmp_path: Path) -> None:
    found = load_controller_file(tmp_path / "controller.yml", required=False).seals
    assert (found.every_seconds, found.every_events, found.to) == (60, 1000, [])
    places = "[{file: a.jsonl}, {ref: refs/heads/seals, url: ../audit.git}, {command: [keep]}]"
    text = f"seals: {{to: {places}}}\n"
    assert [str(one) for one in _load(tmp_path, text).seals.to] == [
        "file a.jsonl",
        "ref refs/heads/seals",
        "command keep",
    ]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("{}", "a place is one of file, ref with url, and command"),
        ("{file: a, command: [b]}", "a place is one of file, ref with url, and command"),
        ("{ref: refs/heads/a}", "both, or none of them"),
        ("{file: a, url: b}", "both, or none of them"),
        ("{ref: refs/tags/a, url: b}", "a tag does not move"),
        ("{ref: seals, url: b}", "a full name of a ref"),
        ("{ref: refs/heads/a..b, url: c}", "a full name of a ref"),
        ("{ref: 'refs/heads/a:refs/heads/b', url: c}", "a full name of a ref"),
    ],
)
def test_a_place_for_seals_is_one_thing(tmp_path: Path, place: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        _load(tmp_path, f"seals:\n  to: [{place}]\n")
    assert words in str(caught.value)
