"""The branches that `controller.yml` lists, and what its entries say of one that a person names."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.branch_keys import BranchKey
from controller.home import Home
from controller.listed import listed_branches, named_branch
from controller.repositories import BranchRules, WatchedBranch, watched
from events.kernel.errors import UserError
from gitops.config.controller import ControllerFile, load_controller_file
from gitops.source.ssh import AS_THE_USER, SshAccess

LISTED = """\
repositories:
  - {url: "https://ada:s3cret-token@git.example.org/shop.git", environments: [prod], hosts: [local, "app-*"]}
  - {url: "https://ada:s3cret-token@git.example.org/shop.git", branch: next, interval_seconds: 7}
  - {url: ./blog.git, watch: false, allow_rewrite: true}
  - {url: "git@git.example.org:docs.git", ssh: {identity_file: keys/docs, known_hosts: /etc/known}}
"""


def _load(folder: Path, text: str = LISTED) -> tuple[ControllerFile, Path]:
    path = folder / "etc" / "controller.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return load_controller_file(path, required=True), path


def _listed(folder: Path, text: str = LISTED) -> list[WatchedBranch]:
    file, path = _load(folder, text)
    return listed_branches(Home(folder / "home"), file, path=path)


def _named(folder: Path, url: str, branch: str = "main") -> BranchRules:
    file, path = _load(folder)
    place = WatchedBranch(watched=watched(Home(folder / "home"), url, cwd=folder), branch=branch)
    return named_branch(place, file, folder=path.parent).rules


def test_each_entry_is_a_branch_with_its_own_rules(tmp_path: Path) -> None:
    main, ahead, blog, _docs = _listed(tmp_path)
    assert (main.branch, main.environments, main.rules.hosts) == ("main", ("prod",), ("local", "app-*"))
    assert (ahead.branch, ahead.interval_seconds, ahead.rules.hosts) == ("next", 7, ("local",))
    assert (main.follow, blog.follow) == (True, False)
    assert [one.rules.allow_rewrite for one in (main, ahead, blog)] == [False, False, True]
    assert [one.rules.entry for one in (main, blog)] == ["repositories[0]", "repositories[2]"]


def test_an_entry_with_a_range_is_watched_by_its_tags(tmp_path: Path) -> None:
    entries = "repositories: [{url: a.git, tags: '>=1.2   <2', environments: [prod]}, {url: a.git}]\n"
    versions, main = _listed(tmp_path, entries)
    assert versions.tags is not None
    assert versions.key == BranchKey(main.watched.slug, "refs/tags/>=1.2 <2")
    assert str(versions.key).startswith("tags >=1.2 <2 of ")
    assert versions.rules.rivals == {versions.key: ("prod",), main.key: ()}
    assert (main.tags, main.key.ref) == (None, "refs/heads/main")


def test_branches_of_one_address_share_its_mirror(tmp_path: Path) -> None:
    main, ahead, blog, _docs = _listed(tmp_path)
    assert main.watched is ahead.watched
    assert blog.watched is not main.watched


def test_a_relative_path_starts_beside_the_file(tmp_path: Path) -> None:
    assert _listed(tmp_path)[2].watched.url == str(tmp_path / "etc" / "blog.git")


def test_every_branch_knows_its_rivals_and_what_they_want(tmp_path: Path) -> None:
    places = _listed(tmp_path)
    rivals = places[0].rules.rivals
    assert rivals == {one.key: one.environments for one in places}
    assert rivals == places[2].rules.rivals


def test_without_a_list_there_is_nothing_to_watch(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        _listed(tmp_path, "poll: {interval: 1m}\n")
    assert refused.value.code == "repositories-none"
    assert str(tmp_path / "etc" / "controller.yml") in str(refused.value.where)


@pytest.mark.parametrize(
    "url", ["https://git.example.org/shop.git", "https://eve:x@git.example.org/shop.git"]
)
def test_a_branch_that_is_named_has_the_rules_of_its_entry_whatever_the_credentials(
    tmp_path: Path, url: str
) -> None:
    assert _named(tmp_path, url).hosts == ("local", "app-*")
    assert _named(tmp_path, url, "refs/heads/next").entry == "repositories[1]"
    assert _named(tmp_path, str(tmp_path / "etc" / "blog.git")).allow_rewrite


def test_a_branch_that_is_not_listed_may_do_the_least(tmp_path: Path) -> None:
    rules = _named(tmp_path, "https://git.example.org/shop.git", "feature")
    assert (rules.hosts, rules.allow_rewrite, rules.entry) == (("local",), False, "")
    assert rules.rivals is not None
    assert BranchKey("x", "y") not in rules.rivals


def test_the_login_of_an_entry_counts_for_every_branch_of_its_repository(tmp_path: Path) -> None:
    wanted = SshAccess(identity_file=tmp_path / "etc/keys/docs", known_hosts=Path("/etc/known"))
    assert _listed(tmp_path)[3].watched.mirror.ssh == wanted
    file, path = _load(tmp_path)
    for url, found in (("ssh://git@git.example.org/docs.git", wanted), ("git@other:docs.git", AS_THE_USER)):
        place = WatchedBranch(watched=watched(Home(tmp_path / "home"), url, cwd=tmp_path), branch="draft")
        assert named_branch(place, file, folder=path.parent).watched.mirror.ssh == found


@pytest.mark.parametrize(
    ("globs", "host", "barred"),
    [
        (("local",), "local", False),
        (("local",), "locals", True),
        (("app-*",), "app-1", False),
        (("app-?",), "app-12", True),
        (("*",), "anything", False),
        ((), "local", True),
        (("APP-*",), "app-1", True),
    ],
)
def test_hosts_are_allowed_by_glob(*, globs: tuple[str, ...], host: str, barred: bool) -> None:
    assert BranchRules(hosts=globs).bars(host) is barred
