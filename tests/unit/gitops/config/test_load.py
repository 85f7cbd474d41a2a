"""Finding and joining stagecraft.yml and descriptors."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.config.faults import CONFIG_INVALID
from gitops.config.load import CONFIG_NOT_FOUND, ENVIRONMENT_UNKNOWN, list_environments, load
from gitops.findings import FindingCode
from gitops.source.tree import FILE_TOO_LARGE, PATH_IS_LINK
from tests.unit.gitops.trees import tree_of

PROJECT = "project: {name: hello}\nenvironments:\n  prod: {version: v1}\n  staging:\n"


def refusal(folder: Path, files: dict[str, str], *, environment: str = "prod") -> UserError:
    with pytest.raises(UserError) as caught:
        load(tree_of(folder, files), "stagecraft.yml", environment)
    return caught.value


def test_an_inline_environment_is_taken(tmp_path: Path) -> None:
    found = load(tree_of(tmp_path, {"stagecraft.yml": PROJECT}), "stagecraft.yml", "prod")
    assert found.environment.version == "v1"
    assert found.looked_for == ("stagecraft.yml", "environments/prod.yml")
    assert found.findings == ()


def test_a_descriptor_takes_the_place_of_the_inline_entry(tmp_path: Path) -> None:
    files = {"stagecraft.yml": PROJECT, "environments/prod.yml": "compose_project: other\n"}
    found = load(tree_of(tmp_path, files), "stagecraft.yml", "prod")
    assert found.environment.version is None
    assert found.environment.compose_project == "other"
    (finding,) = found.findings
    assert (finding.code, finding.line, finding.key) == (
        FindingCode.ENVIRONMENT_REPLACED,
        3,
        "environments.prod",
    )


def test_a_descriptor_adds_an_environment(tmp_path: Path) -> None:
    files = {"stagecraft.yml": "project: {name: hello}\n", "environments/live.yml": ""}
    tree = tree_of(tmp_path, files)
    assert load(tree, "stagecraft.yml", "live").findings == ()
    assert list_environments(tree) == ("hello", ["live"])


def test_all_environments_are_listed(tmp_path: Path) -> None:
    files = {
        "app/stagecraft.yml": PROJECT,
        "app/environments/live.yml": "",
        "app/environments/README.md": "x",
        "app/environments/more/deep.yml": "",
    }
    names = list_environments(tree_of(tmp_path, files), "app/stagecraft.yml")
    assert names == ("hello", ["live", "prod", "staging"])


def test_faults_of_an_environment_point_to_where_it_stands(tmp_path: Path) -> None:
    files = {"stagecraft.yml": PROJECT, "environments/live.yml": "services: {web: {role: app}}\n"}
    tree = tree_of(tmp_path, files)
    inline = load(tree, "stagecraft.yml", "prod").environment_fault(("version",), "m")
    own = load(tree, "stagecraft.yml", "live").environment_fault(("services", "web"), "m")
    assert (inline.file, inline.place.line, inline.place.key) == (
        "stagecraft.yml",
        3,
        "environments.prod.version",
    )
    assert (own.file, own.place.line, own.place.key) == ("environments/live.yml", 1, "services.web")


def test_a_missing_file_and_a_folder_are_not_found(tmp_path: Path) -> None:
    missing = refusal(tmp_path / "a", {"x": ""})
    folder = refusal(tmp_path / "b", {"stagecraft.yml/x": ""})
    assert (missing.code, folder.code) == (CONFIG_NOT_FOUND, CONFIG_NOT_FOUND)
    assert "config not found at stagecraft.yml" in missing.message
    assert "it is a folder" in folder.message


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stagecraft.yml").symlink_to("/etc/passwd")
    assert refusal(tmp_path, {}).code == PATH_IS_LINK


def test_a_file_beyond_a_megabyte_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"stagecraft.yml": "#" * (1024 * 1024 + 1)}).code == FILE_TOO_LARGE


@pytest.mark.parametrize("name", ["prd", "../prod", "Prod", "", "a/b"])
def test_an_unknown_environment_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, {"stagecraft.yml": PROJECT}, environment=name)
    assert error.code == ENVIRONMENT_UNKNOWN
    assert "allowed: prod, staging" in error.message


def test_a_project_without_an_environment_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"stagecraft.yml": "project: {name: hello}\nenvironments: {}\n"})
    assert (error.code, error.where.key, error.where.line) == (CONFIG_INVALID, "environments", 2)
    assert "at least one environment" in error.message


def test_a_descriptor_with_a_bad_name_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"stagecraft.yml": PROJECT, "environments/Live.yml": ""})
    assert (error.code, error.where.file) == (CONFIG_INVALID, "environments/Live.yml")
    assert "'live' would do" in error.message
