"""What is built, what it is called, and what of a repository never reaches a builder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import UserError
from gitops.builds.archive import write_archive
from gitops.builds.spec import Build, Project, plan_build
from gitops.compose.portable import COMMIT_PREFIX
from gitops.source.worktree import WorkTree
from tests.unit.gitops.trees import tree_of, write

FILES: Mapping[str, str] = {
    "app/Dockerfile": "FROM scratch\n",
    "app/main.c": "int main;",
    "app/.dockerignore": "*.md\nsecret\n",
    "app/README.md": "read me",
    "other/file": "x",
}


def planned(
    folder: Path,
    files: Mapping[str, str | bytes] | None = None,
    *,
    build: Mapping[str, Any] | None = None,
    paths: tuple[str, ...] | None = None,
    registry: str | None = None,
    **service: Any,  # noqa: ANN401  # as rendered
) -> Build:
    tree = tree_of(folder, {**FILES, **(files or {})})
    options = {"context": f"{COMMIT_PREFIX}app", "dockerfile": "Dockerfile", **(build or {})}
    project = Project(tree=tree, folder="", name="shop", registry=registry)
    return plan_build(project, "web", {"build": options, **service}, paths=paths)


def refusal(folder: Path, files: Mapping[str, str | bytes] | None = None, **build: Any) -> UserError:  # noqa: ANN401  # as rendered
    with pytest.raises(UserError) as caught:
        planned(folder, files, build=build)
    return caught.value


def names(build: Build) -> list[str]:
    return [file.name for file in build.files]


def test_the_context_is_sent_without_what_is_ignored(tmp_path: Path) -> None:
    build = planned(tmp_path)
    assert names(build) == [".dockerignore", "Dockerfile", "main.c"]
    assert build.dockerfile == "Dockerfile"
    assert build.inputs == {"app", "app/Dockerfile"}
    assert build.ref.startswith("stagecraft.local/shop/web:")
    assert build.pushed is False


def test_a_registry_of_the_project_names_the_image(tmp_path: Path) -> None:
    build = planned(tmp_path, registry="reg.example/org")
    assert build.ref.startswith("reg.example/org/web:")
    assert build.pushed is True


@pytest.mark.parametrize(
    "files",
    [{"app/README.md": "other"}, {"app/secret": "new"}, {"other/file": "y"}, {"stagecraft.yml": "changed"}],
)
def test_what_is_not_sent_changes_no_name(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert planned(tmp_path / "a").ref == planned(tmp_path / "b", files).ref


@pytest.mark.parametrize(
    ("files", "build", "service"),
    [
        ({"app/main.c": "float main;"}, {}, {}),
        ({"app/new.c": ""}, {}, {}),
        ({"app/.dockerignore": "secret\n"}, {}, {}),
        ({"app/Dockerfile": "FROM busybox\n"}, {}, {}),
        ({}, {"args": {"A": "1"}}, {}),
        ({}, {"target": "last"}, {}),
        ({}, {"labels": {"a": "b"}}, {}),
        ({}, {"dockerfile_inline": "FROM scratch\n"}, {}),
        ({}, {}, {"platform": "linux/arm64"}),
    ],
)
def test_what_it_is_made_from_is_in_its_name(
    tmp_path: Path, files: dict[str, str | bytes], build: dict[str, Any], service: dict[str, Any]
) -> None:
    assert planned(tmp_path / "a").ref != planned(tmp_path / "b", files, build=build, **service).ref


def test_an_executable_is_another_file(tmp_path: Path) -> None:
    plain = planned(tmp_path)
    (tmp_path / "app/main.c").chmod(0o755)
    assert planned_again(tmp_path).ref != plain.ref


def planned_again(folder: Path) -> Build:
    project = Project(tree=WorkTree(folder), folder="", name="shop", registry=None)
    options = {"context": f"{COMMIT_PREFIX}app", "dockerfile": "Dockerfile"}
    return plan_build(project, "web", {"build": options}, paths=None)


def test_declared_paths_decide_instead(tmp_path: Path) -> None:
    first = planned(tmp_path / "a", paths=("app/main.c",))
    assert planned(tmp_path / "b", {"app/new.c": ""}, paths=("app/main.c",)).ref == first.ref
    assert planned(tmp_path / "c", {"app/main.c": "other"}, paths=("app/main.c",)).ref != first.ref
    assert planned(tmp_path / "d", {"app/Dockerfile": "FROM x"}, paths=("app/main.c",)).ref != first.ref
    assert first.inputs == {"app/main.c", "app/Dockerfile"}


def test_arguments_without_a_value_and_doubled_dollars_are_as_compose_means_them(tmp_path: Path) -> None:
    build = planned(tmp_path, build={"args": {"A": None, "B": "5$$", "C": 3}})
    assert build.args == {"B": "5$", "C": "3"}


def test_a_dockerfile_beside_the_context_is_sent_along(tmp_path: Path) -> None:
    build = planned(tmp_path, {"docker/web": "FROM scratch\n"}, build={"dockerfile": "../docker/web"})
    assert build.dockerfile not in {"web", "Dockerfile"}
    assert build.dockerfile in names(build)
    assert "docker/web" in build.inputs


def test_an_ignored_dockerfile_is_sent_all_the_same(tmp_path: Path) -> None:
    build = planned(tmp_path, {"app/.dockerignore": "*\n"})
    assert names(build) == [build.dockerfile]


@pytest.mark.parametrize(
    ("build", "code"),
    [
        ({"context": "https://example.org/app.git"}, "build-unsupported"),
        ({"context": "/etc"}, "build-unsupported"),
        ({"context": f"{COMMIT_PREFIX}absent"}, "path-missing"),
        ({"dockerfile": "../../etc/passwd"}, "path-escapes"),
        ({"dockerfile": "/etc/passwd"}, "path-escapes"),
        ({"dockerfile": "absent"}, "path-missing"),
        ({"secrets": ["token"]}, "build-unsupported"),
        ({"ssh": ["default"]}, "build-unsupported"),
        ({"network": "host"}, "build-unsupported"),
        ({"privileged": True}, "build-unsupported"),
        ({"additional_contexts": {"x": "docker-image://x"}}, "build-unsupported"),
    ],
)
def test_what_is_not_built_is_refused_by_name(tmp_path: Path, build: dict[str, Any], code: str) -> None:
    assert refusal(tmp_path, **build).code == code


def test_options_about_caches_do_not_matter(tmp_path: Path) -> None:
    plain = planned(tmp_path / "a")
    assert planned(tmp_path / "b", build={"no_cache": True, "pull": True, "tags": ["x"]}).ref == plain.ref


def test_a_link_is_refused_unless_it_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / "app/passwords").symlink_to("/etc/passwd")
    assert refusal(tmp_path).code == "path-is-link"
    assert "passwords" not in names(planned(tmp_path, {"app/.dockerignore": "passwords\n"}))


def test_the_archive_is_the_files_and_nothing_of_this_machine(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "app/run": "#!/bin/sh\n"})
    (tmp_path / "app/run").chmod(0o755)
    build = planned_again(tmp_path)
    once, twice = io.BytesIO(), io.BytesIO()
    for target in (once, twice):
        write_archive(build, WorkTree(tmp_path), target)
    assert once.getvalue() == twice.getvalue()
    with tarfile.open(fileobj=io.BytesIO(once.getvalue())) as archive:
        members = {one.name: (one.mode, one.mtime, one.uid, one.uname) for one in archive.getmembers()}
        content = archive.extractfile("main.c")
        assert content is not None
        assert content.read() == b"int main;"
    assert members["run"] == (0o755, 0, 0, "")
    assert members["main.c"] == (0o644, 0, 0, "")
