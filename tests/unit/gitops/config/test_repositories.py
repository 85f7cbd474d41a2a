"""What is wrong with the list of repositories as a whole, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.check import check_controller
from gitops.config.controller import load_controller_file
from gitops.config.faults import ConfigInvalidError


def _faults(folder: Path, *entries: str) -> list[tuple[str, int | None, str]]:
    """Key, line and message of each fault; a deploy and `config check` find the same."""
    path = folder / "controller.yml"
    path.write_text("repositories:\n" + "".join(f"  - {{{one}}}\n" for one in entries))
    checked = [(one.key or "", one.line, one.message) for one in check_controller(path)]
    try:
        load_controller_file(path, required=True)
    except ConfigInvalidError as error:
        found = [fault.finding for fault in error.faults]
        assert [(one.key or "", one.line, one.message) for one in found] == checked
    else:
        assert checked == []
    return checked


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("url: /srv/a.git", "url: /srv/a.git"),
        ("url: /srv/a.git", "url: /srv/../srv/a.git, branch: main"),
        ("url: a.git", "url: ./a.git, branch: refs/heads/main"),
        ("url: 'https://h.example.org/a'", "url: 'https://me:secret@h.example.org/a'"),
    ],
)
def test_a_branch_is_listed_once(tmp_path: Path, first: str, second: str) -> None:
    ((key, line, message),) = _faults(tmp_path, first, "url: /srv/b.git", second)
    assert (key, line) == ("repositories[2].url", 4)
    assert "listed already, in repositories[0]" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("entry", "key", "words"),
    [
        ("tags: latest", "tags", "'latest' is no range of versions"),
        ("tags: 1.x, branch: main", "tags", "either `branch` or `tags`"),
        ("branch: refs/tags/v1", "branch", "'refs/tags/v1' cannot be a branch; `tags` takes"),
        ("branch: 'a b'", "branch", "cannot be a branch"),
    ],
)
def test_an_entry_names_a_branch_or_a_range_of_versions(
    tmp_path: Path, entry: str, key: str, words: str
) -> None:
    ((found, line, message),) = _faults(tmp_path, "url: /srv/b", f"url: /srv/a, {entry}")
    assert (found, line) == (f"repositories[1].{key}", 3)
    assert words in message


def test_ranges_of_one_repository_stand_beside_each_other_each_once(tmp_path: Path) -> None:
    ranges = ("url: /srv/a, tags: 1.x", "url: /srv/a, tags: '>=1.0.0-0  <3'", "url: /srv/a")
    assert _faults(tmp_path, *ranges) == []
    ((key, _, message),) = _faults(tmp_path, *ranges, "url: /srv/a, tags: '>=1.0.0-0 <3'")
    assert key == "repositories[3].url"
    assert message.startswith("tags >=1.0.0-0 <3 of /srv/a is listed already, in repositories[1]")


def test_other_branches_and_other_repositories_may_stand_beside(tmp_path: Path) -> None:
    assert _faults(tmp_path, "url: /srv/a", "url: /srv/a, branch: next", "url: /srv/b") == []


def test_an_address_that_is_refused_is_shown_with_its_place(tmp_path: Path) -> None:
    ((key, line, message),) = _faults(tmp_path, "url: /srv/a", "url: 'ext::sh -c true'")
    assert (key, line) == ("repositories[1].url", 3)
    assert "refused" in message


def test_only_a_repository_on_this_machine_can_be_watched(tmp_path: Path) -> None:
    ((key, _, message),) = _faults(tmp_path, "url: 'https://h.example.org/a', watch: true")
    assert key == "repositories[0].watch"
    assert "on this machine" in message
    assert _faults(tmp_path, "url: 'https://h.example.org/a', watch: false", "url: /srv/a, watch: true") == []


def test_a_login_over_ssh_is_for_an_address_of_ssh(tmp_path: Path) -> None:
    login = "ssh: {identity_file: key}"
    for url in ("https://h.example.org/a", "/srv/a"):
        ((key, _, message),) = _faults(tmp_path, f"url: '{url}', {login}")
        assert (key, message) == ("repositories[0].ssh", "the address is not one of SSH")
    assert _faults(tmp_path, f"url: 'git@h.example.org:a', {login}", f"url: 'ssh://h/a', {login}") == []


def test_all_branches_of_a_repository_log_in_the_same_way(tmp_path: Path) -> None:
    url = "url: 'git@h.example.org:a'"
    ((key, _, message),) = _faults(tmp_path, f"{url}, ssh: {{known_hosts: known}}", f"{url}, branch: next")
    assert key == "repositories[1].ssh"
    assert "repositories[0] is of the same repository" in message
