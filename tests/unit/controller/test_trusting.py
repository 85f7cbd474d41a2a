"""What the entries of `controller.yml` want of the commits of a branch, and what is said at the start."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.home import Home
from controller.listed import listed_branches, named_branch
from controller.repositories import WatchedBranch, watched
from controller.trusting import check_verifiable, unverified_words
from events.kernel.errors import UserError
from gitops.config.controller import ControllerFile, load_controller_file
from gitops.source.trust import Verification

LINE = "alice@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHZlcnlfbXVjaF9hX2tleV9vZl90aGlydHl0d28\n"
URL = "https://git.example.org/shop/shop.git"


@dataclass
class Operator:
    folder: Path
    said: list[str] = field(default_factory=list[str])

    def lists(self, *entries: dict[str, Any]) -> tuple[ControllerFile, Path]:
        """A `controller.yml` with these entries, and where it stands."""
        path = self.folder / "etc/controller.yml"
        path.write_text(json.dumps({"repositories": list(entries)}))
        return load_controller_file(path, required=True), path

    def wants(self, *entries: dict[str, Any], repo: str = URL, branch: str = "main") -> Verification:
        """What is wanted of the commits of a branch that is named, once that was found usable."""
        file, path = self.lists(*entries)
        repository = watched(Home(self.folder / "home"), repo, cwd=self.folder)
        place = named_branch(WatchedBranch(watched=repository, branch=branch), file, folder=path.parent)
        asyncio.run(check_verifiable([place]))
        words = unverified_words(place, file, name=path.name)
        self.said += [] if words is None else [words]
        return place.rules.verification


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/signers").write_text(LINE)
    return Operator(tmp_path)


def entry(url: str = URL, *, branch: str = "main", mode: str = "head", **more: str) -> dict[str, Any]:
    return {"url": url, "branch": branch, "verify": {"mode": mode, "signers": "signers", **more}}


def test_without_entries_nothing_is_verified_and_nothing_said(operator: Operator) -> None:
    assert operator.wants() == Verification()
    assert operator.wants({"url": URL}) == Verification()
    assert operator.said == []


def test_files_are_taken_from_beside_the_settings(operator: Operator) -> None:
    assert operator.wants(entry()) == Verification(mode="head", signers=operator.folder / "etc/signers")
    away = operator.folder / "elsewhere"
    away.write_text(LINE)
    assert operator.wants(entry(signers=str(away))).signers == away


def test_a_path_is_never_one_in_the_watched_repository(operator: Operator) -> None:
    work = operator.folder / "work"
    (work / ".git").mkdir(parents=True)
    (work / "trusted").write_text(LINE)
    with pytest.raises(UserError) as caught:
        operator.wants(entry(str(work), signers="trusted"), repo=str(work))
    assert caught.value.code == "verification-unusable"
    assert caught.value.where.file == str(operator.folder / "etc/trusted")


@pytest.mark.parametrize(
    "spelled",
    [
        URL,
        "https://somebody:word-of-somebody@git.example.org/shop/shop.git",
        "https://git.example.org/shop/shop",
        "https://git.example.org/shop/shop/",
        "ssh://git@git.example.org/shop/shop.git",
        "git@git.example.org:shop/shop.git",
        "git@GIT.example.org:/Shop/shop/",
        "ssh://git@git.example.org:22/shop/shop.git",
        "HTTPS://git.example.org:443//shop/./sh%6Fp.git",
    ],
)
def test_one_repository_may_be_spelled_in_several_ways(operator: Operator, spelled: str) -> None:
    assert operator.wants(entry(spelled)).mode == "head"
    assert operator.wants(entry(), repo=spelled).mode == "head"


def test_a_path_is_the_same_from_everywhere(operator: Operator) -> None:
    (operator.folder / "shop.git").mkdir()
    (operator.folder / "link").symlink_to("shop.git")
    for spelled in (
        "shop.git",
        "./link",
        str(operator.folder / "shop.git"),
        str(operator.folder / "shop"),
        f"file://{operator.folder}/shop.git",
    ):
        assert operator.wants(entry("../shop.git"), repo=spelled).mode == "head"


def test_a_work_tree_and_its_git_folder_are_one_repository(operator: Operator) -> None:
    (operator.folder / "work/.git").mkdir(parents=True)
    assert operator.wants(entry("../work"), repo="work/.git").mode == "head"
    assert operator.wants(entry("../work/.git"), repo="work").mode == "head"


def test_a_branch_may_be_written_with_its_whole_name(operator: Operator) -> None:
    assert operator.wants(entry(branch="refs/heads/main")).mode == "head"
    assert operator.wants(entry(), branch="refs/heads/main").mode == "head"


@pytest.mark.parametrize(
    "other", [entry(branch="next"), entry("https://git.example.org/shop/other.git"), entry("/srv/shop.git")]
)
def test_a_branch_that_no_entry_speaks_of_is_not_verified_and_that_is_said(
    operator: Operator, other: dict[str, Any]
) -> None:
    assert operator.wants(other) == Verification()
    (line,) = operator.said
    assert "commits of main are not verified" in line


@pytest.mark.parametrize("other", [URL, "git@git.example.org:shop/shop", "http://git.example.org/shop/shop"])
def test_no_two_entries_speak_of_one_branch_however_it_is_spelled(operator: Operator, other: str) -> None:
    with pytest.raises(UserError, match="listed already") as caught:
        operator.wants(entry(), {"url": other})
    assert caught.value.code == "config-invalid"


def test_each_listed_branch_has_what_is_wanted_of_it(operator: Operator) -> None:
    file, path = operator.lists(entry(), {"url": URL, "branch": "next"})
    main, ahead = listed_branches(Home(operator.folder / "home"), file, path=path)
    assert main.rules.verification == Verification(mode="head", signers=operator.folder / "etc/signers")
    assert ahead.rules.verification == Verification()
    (operator.folder / "etc/signers").unlink()
    asyncio.run(check_verifiable([ahead]))
    with pytest.raises(UserError, match="cannot read"):
        asyncio.run(check_verifiable([ahead, main]))


def test_what_cannot_verify_is_an_error_at_the_start(operator: Operator) -> None:
    with pytest.raises(UserError, match="nobody may sign"):
        operator.wants({"url": URL, "verify": {"mode": "tag"}})
    with pytest.raises(UserError, match="cannot read"):
        operator.wants(entry(keyring="missing"))
