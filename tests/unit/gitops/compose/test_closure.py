"""All files the client will open, from the tree and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.compose import closure
from gitops.compose.closure import Closure, close_over
from gitops.compose.faults import COMPOSE_INVALID, COMPOSE_TOO_LARGE
from gitops.findings import FindingCode
from gitops.source.paths import PATH_ESCAPES
from gitops.source.tree import FILE_TOO_LARGE, PATH_IS_LINK, PATH_NOT_FILE
from tests.unit.gitops.trees import tree_of, write

WEB = "services: {web: {image: x"


def closed(folder: Path, files: dict[str, str | bytes], top: str = "compose.yaml") -> Closure:
    return close_over(tree_of(folder, files), top)


def refusal(folder: Path, files: dict[str, str | bytes], top: str = "compose.yaml") -> UserError:
    with pytest.raises(UserError) as caught:
        closed(folder, files, top)
    return caught.value


def test_only_what_is_named_is_taken(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "compose.yaml": f"{WEB}, env_file: a.env, volumes: ['./data:/d']}}}}",
        "a.env": "A=1",
        "b.env": "B=1",
        "data/x": "1",
        "sub/.env": "C=1",
    }
    found = closed(tmp_path, files)
    assert found.files == {"compose.yaml": str(files["compose.yaml"]).encode(), "a.env": b"A=1"}
    assert found.looked_for == (".env", "a.env", "compose.yaml")
    assert found.dotenv is None


def test_included_files_start_from_their_own_folder(tmp_path: Path) -> None:
    found = closed(
        tmp_path,
        {
            "app/compose.yaml": "include: [db/compose.yml, {path: web/web.yml, project_directory: root}]",
            "app/db/compose.yml": "include: [more.yml]\nservices: {db: {image: x, env_file: db.env}}",
            "app/db/more.yml": "services: {m: {image: x, label_file: ../labels}}",
            "app/web/web.yml": f"{WEB}, env_file: web.env}}}}",
            "app/db/db.env": "",
            "app/root/web.env": "",
            "app/web/web.env": "not this one",
            "app/labels": "",
        },
        "app/compose.yaml",
    )
    assert sorted(found.files) == [
        "app/compose.yaml",
        "app/db/compose.yml",
        "app/db/db.env",
        "app/db/more.yml",
        "app/labels",
        "app/root/web.env",
        "app/web/web.yml",
    ]


def test_extended_files_start_from_the_folder_they_stand_in(tmp_path: Path) -> None:
    found = closed(
        tmp_path,
        {
            "compose.yaml": f"{WEB}, extends: {{file: base/a.yml, service: web}}}}}}",
            "base/a.yml": f"{WEB}, env_file: a.env, extends: {{file: b.yml, service: web}}}}}}",
            "base/b.yml": f"{WEB}}}}}",
            "base/a.env": "A=1",
        },
    )
    assert sorted(found.files) == ["base/a.env", "base/a.yml", "base/b.yml", "compose.yaml"]


def test_files_that_include_each_other_come_to_an_end(tmp_path: Path) -> None:
    found = closed(tmp_path, {"compose.yaml": "include: [b.yml]", "b.yml": "include: [compose.yaml]"})
    assert sorted(found.files) == ["b.yml", "compose.yaml"]


def test_an_absent_env_file_is_left_to_compose_and_noted(tmp_path: Path) -> None:
    found = closed(tmp_path, {"compose.yaml": f"{WEB}, env_file: gone.env}}}}"})
    assert "gone.env" in found.looked_for
    assert "gone.env" not in found.files


def test_the_env_file_of_an_include_is_taken(tmp_path: Path) -> None:
    found = closed(
        tmp_path, {"compose.yaml": "include: [{path: b.yml, env_file: x.env}]", "b.yml": "{}", "x.env": "A=1"}
    )
    assert "x.env" in found.files


def test_an_include_without_a_path_is_left_to_compose(tmp_path: Path) -> None:
    found = closed(tmp_path, {"compose.yaml": "include: [{env_file: x.env}]", "x.env": "A=1"})
    assert sorted(found.files) == ["compose.yaml", "x.env"]


@pytest.mark.parametrize(
    "body", ["include: [gone.yml]", f"{WEB}, extends: {{file: gone.yml, service: a}}}}}}"]
)
def test_an_absent_compose_file_is_named_with_its_place(tmp_path: Path, body: str) -> None:
    error = refusal(tmp_path, {"compose.yaml": body})
    assert (error.code, error.where.file, error.where.line) == (COMPOSE_INVALID, "compose.yaml", 1)
    assert "gone.yml is not in the commit" in error.message


def test_the_dotenv_beside_the_compose_file_is_the_only_one(tmp_path: Path) -> None:
    found = closed(
        tmp_path,
        {"app/compose.yaml": f"{WEB}}}}}", "app/.env": "A=1\nexport COMPOSE_FILE=x\n", ".env": "B=1"},
        "app/compose.yaml",
    )
    assert found.dotenv == "app/.env"
    assert ".env" not in found.files
    (finding,) = found.findings
    assert (finding.code, finding.line, finding.key) == (
        FindingCode.COMPOSE_VARIABLE_IGNORED,
        2,
        "COMPOSE_FILE",
    )


def test_a_folder_called_dotenv_is_no_file(tmp_path: Path) -> None:
    assert closed(tmp_path, {"compose.yaml": f"{WEB}}}}}", ".env/x": ""}).dotenv is None


def test_a_name_is_a_finding_in_the_top_file_alone(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"compose.yaml": "name: a\ninclude: [b.yml]", "b.yml": "name: b"}
    (finding,) = closed(tmp_path, files).findings
    assert (finding.code, finding.file, finding.line) == (FindingCode.NAME_IGNORED, "compose.yaml", 1)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../x.env", PATH_ESCAPES),
        ("a/../../x.env", PATH_ESCAPES),
        ("link.env", PATH_IS_LINK),
        ("linked/x.env", PATH_IS_LINK),
        ("dangling", PATH_IS_LINK),
        ("folder", PATH_NOT_FILE),
        ("big.env", FILE_TOO_LARGE),
    ],
)
@pytest.mark.parametrize("key", ["env_file", "label_file", "extends", "include"])
def test_nothing_outside_the_tree_is_ever_read(tmp_path: Path, key: str, path: str, code: str) -> None:
    write(tmp_path, {"x.env": "SECRET=1", "repo/real/x.env": "", "repo/folder/x": ""})
    (tmp_path / "repo/big.env").write_bytes(b"#" * (1024 * 1024 + 1))
    (tmp_path / "repo/link.env").symlink_to("../x.env")
    (tmp_path / "repo/linked").symlink_to("real")
    (tmp_path / "repo/dangling").symlink_to("/nowhere/at/all")
    bodies = {
        "include": f"include: ['{path}']",
        "extends": f"{WEB}, extends: {{file: '{path}', service: web}}}}}}",
    }
    body = bodies.get(key, f"{WEB}, {key}: '{path}'}}}}")
    error = refusal(tmp_path / "repo", {"compose.yaml": body})
    assert error.code == code
    assert "SECRET" not in str(error)


def test_an_escaping_path_is_reported_where_it_stands(tmp_path: Path) -> None:
    error = refusal(tmp_path, {"compose.yaml": f"\n\n{WEB}, env_file: ../x}}}}"})
    assert (error.where.file, error.where.line, error.where.key) == (
        "compose.yaml",
        3,
        "services.web.env_file",
    )


def test_a_project_in_a_folder_may_name_files_beside_it(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"app/compose.yaml": "include: [../shared.yml]", "shared.yml": "{}"}
    assert "shared.yml" in closed(tmp_path, files, "app/compose.yaml").files


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    names = [f"{number}.env" for number in range(closure.MAX_FILES)]
    files: dict[str, str | bytes] = dict.fromkeys(names, "")
    files["compose.yaml"] = f"{WEB}, env_file: [{', '.join(names)}]}}}}"
    assert refusal(tmp_path, files).code == COMPOSE_TOO_LARGE


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    names = [f"{number}.env" for number in range(9)]
    files: dict[str, str | bytes] = dict.fromkeys(names, "#" * (1024 * 1024))
    files["compose.yaml"] = f"{WEB}, env_file: [{', '.join(names)}]}}}}"
    assert refusal(tmp_path, files).code == COMPOSE_TOO_LARGE
