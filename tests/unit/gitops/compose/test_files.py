"""What services mount is collected by content."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.canonical import sha256_digest
from events.kernel.errors import UserError
from events.manifest import FILES_PREFIX, STATE_PREFIX
from gitops.compose import files
from gitops.compose.files import MOUNTS_TOO_LARGE, PATH_NOT_TEXT, Collector
from gitops.findings import FindingCode
from gitops.source.tree import FILE_TOO_LARGE, PATH_IS_LINK, PATH_MISSING, PATH_NOT_FILE, TREE_TOO_LARGE
from tests.unit.gitops.trees import tree_of, write


def collector(folder: Path, content: dict[str, str | bytes], project: str = "") -> Collector:
    return Collector(tree=tree_of(folder, content), folder=project)


def test_a_folder_becomes_a_tree_named_by_its_content(tmp_path: Path) -> None:
    one = collector(tmp_path / "1", {"conf/b/c": "1", "conf/a": "2", "other": "3"})
    (tmp_path / "1/conf/a").chmod(0o755)
    source, committed = one.mounted("conf", key="k")
    assert committed
    (tree,) = one.trees.values()
    assert [(entry.path, entry.executable) for entry in tree.entries] == [("a", True), ("b/c", False)]
    assert source == f"{FILES_PREFIX}{tree.digest.removeprefix('sha256:')}"
    assert one.blobs == {sha256_digest(b"1"): b"1", sha256_digest(b"2"): b"2"}
    two = collector(tmp_path / "2", {"elsewhere/a": "2", "elsewhere/b/c": "1"})
    (tmp_path / "2/elsewhere/a").chmod(0o755)
    assert two.mounted("elsewhere", key="k")[0] == source


def test_any_change_of_the_content_changes_the_name(tmp_path: Path) -> None:
    variants: list[dict[str, str | bytes]] = [
        {"c/a": "1"},
        {"c/a": "2"},
        {"c/b": "1"},
        {"c/a": "1", "c/b": ""},
    ]
    names = {
        collector(tmp_path / str(number), content).mounted("c", key="k")[0]
        for number, content in enumerate(variants)
    }
    plain = collector(tmp_path / "x", {"c/a": "1"})
    (tmp_path / "x/c/a").chmod(0o700)
    assert len({*names, plain.mounted("c", key="k")[0]}) == 5


def test_a_single_file_is_mounted_by_its_name(tmp_path: Path) -> None:
    made = collector(tmp_path, {"conf/app.ini": "x"})
    source, _ = made.mounted("conf/app.ini", key="k")
    (digest,) = made.trees
    assert source == f"{FILES_PREFIX}{digest.removeprefix('sha256:')}/app.ini"
    assert made.trees_of([source, "/abs"]) == {digest: made.trees[digest]}


def test_what_is_not_in_the_commit_stays_on_the_host(tmp_path: Path) -> None:
    made = collector(tmp_path, {"app/x": ""}, project="app")
    assert made.mounted("app/data/db", key="k") == (f"{STATE_PREFIX}data/db", False)
    assert made.mounted("data/db", key="k") == (f"{STATE_PREFIX}.repository/data/db", False)
    assert {finding.code for finding in made.findings} == {FindingCode.MOUNT_NOT_IN_COMMIT}
    assert made.looked_for == {"app/data/db", "data/db"}
    assert made.trees_of([f"{STATE_PREFIX}data/db"]) == {}


def test_a_committed_mount_is_a_finding_once(tmp_path: Path) -> None:
    made = collector(tmp_path, {"conf/x": ""})
    made.mounted("conf", key="services.web.volumes")
    made.mounted("conf", key="services.web.volumes")
    (finding,) = made.findings
    assert (finding.code, finding.key) == (FindingCode.MOUNT_READ_ONLY, "services.web.volumes")


def test_generated_and_committed_files_of_the_same_content_are_one(tmp_path: Path) -> None:
    made = collector(tmp_path, {"d/name": "text"})
    assert made.generated("name", b"text") == made.file("d/name", key="configs.name")
    assert len(made.trees) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("link", PATH_IS_LINK),
        ("linked/f", PATH_IS_LINK),
        ("holder", PATH_IS_LINK),
        ("big", FILE_TOO_LARGE),
        ("bigs", FILE_TOO_LARGE),
        ("b\udce9d", PATH_NOT_TEXT),
        ("new/b\udce9d", PATH_NOT_TEXT),
    ],
)
def test_what_cannot_be_mounted_is_refused(tmp_path: Path, path: str, code: str) -> None:
    write(tmp_path, {"holder/a": "", "real/f": "", "b\udce9d": ""})
    write(tmp_path, {"big": b"#" * (files.MAX_FILE_BYTES + 1), "bigs/x": b"#" * (files.MAX_FILE_BYTES + 1)})
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "holder/inner").symlink_to("../../..")
    with pytest.raises(UserError) as caught:
        collector(tmp_path, {}).mounted(path, key="k")
    assert caught.value.code == code


def test_a_link_inside_a_mounted_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"c/d/a": ""})
    (tmp_path / "c/d/evil").symlink_to("/etc")
    with pytest.raises(UserError, match=r"c/d/evil is a symbolic link"):
        collector(tmp_path, {}).mounted("c", key="k")


def test_a_config_file_has_to_be_in_the_commit(tmp_path: Path) -> None:
    made = collector(tmp_path, {"folder/x": ""})
    for path, code in (("gone", PATH_MISSING), ("folder", PATH_NOT_FILE)):
        with pytest.raises(UserError) as caught:
            made.file(path, key="configs.c")
        assert caught.value.code == code


def test_all_mounts_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_TOTAL_BYTES", 10)
    made = collector(tmp_path, {"a": "123456", "b": "12345"})
    made.mounted("a", key="k")
    made.mounted("a", key="k")  # counted once
    with pytest.raises(UserError) as caught:
        made.mounted("b", key="k")
    assert caught.value.code == MOUNTS_TOO_LARGE


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 2)
    with pytest.raises(UserError) as caught:
        collector(tmp_path, {f"c/{number}": "" for number in range(3)}).mounted("c", key="k")
    assert caught.value.code == TREE_TOO_LARGE


def test_what_is_declared_as_state_is_a_folder_of_the_host_whatever_is_committed(tmp_path: Path) -> None:
    made = collector(tmp_path, {"app/data/x": "1"}, project="app")
    assert made.mounted("app/data", key="k", state=True) == (f"{STATE_PREFIX}data", False)
    assert [finding.code for finding in made.findings] == [FindingCode.MOUNT_IS_STATE]
    assert (made.looked_for, made.trees) == (set(), {})
