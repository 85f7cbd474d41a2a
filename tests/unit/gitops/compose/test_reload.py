"""Which services are told of changed files, and from where they mount them."""

from __future__ import annotations

from typing import Any

import pytest

from events import labels
from events.kernel.errors import UserError
from events.manifest import FILES_PREFIX, RELOAD_PREFIX, FileEntry, FileTree, Gate, ImagePin, Reload, Service
from gitops.compose.reload import RELOAD_SIGNAL_INVALID, SIGNALS, arrange, executables, signal_name
from gitops.findings import FindingCode
from gitops.servicehash import service_hash

PIN = "sha256:" + "ab" * 32


def tree(*paths: str, blob: str = PIN, executable: bool = False) -> FileTree:
    return FileTree(entries=tuple(FileEntry(path=path, executable=executable, blob=blob) for path in paths))


def mount(found: FileTree, target: str = "/conf", name: str = "") -> dict[str, Any]:
    below = f"/{name}" if name else ""
    source = f"{FILES_PREFIX}{found.digest.removeprefix('sha256:')}{below}"
    return {"type": "bind", "source": source, "target": target, "read_only": True}


def service(*mounts: dict[str, Any], signal: str = "hup", **more: object) -> dict[str, Any]:
    return {"image": "web:1", "labels": {labels.RELOAD: signal}, "volumes": list(mounts), **more}


def arranged(
    definition: dict[str, Any], *trees: FileTree, name: str = "web", jobs: frozenset[str] = frozenset()
) -> Reload | None:
    found = arrange({name: definition}, trees={one.digest: one for one in trees}, jobs=jobs)
    return found.services.get(name)


@pytest.mark.parametrize("text", ["SIGHUP", "hup", "Hup", " sighup "])
def test_a_signal_is_written_with_or_without_its_prefix(text: str) -> None:
    assert signal_name(text, service="web") == "SIGHUP"


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_every_signal_of_the_table_is_taken(name: str) -> None:
    assert signal_name(name.lower(), service="web") == f"SIG{name}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SIGHOP", "did you mean 'SIGHUP'?"),
        ("usr", "did you mean"),
        ("KILL", "never reaches a process"),
        ("sigstop", "never reaches a process"),
        ("1", "is not a signal"),
        ("", "is not a signal"),
        ("x" * 500, "is not a signal"),
    ],
)
def test_what_no_process_can_take_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        arranged(service(signal=text))
    assert caught.value.code == RELOAD_SIGNAL_INVALID
    assert words in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.where.key == "services.web.labels.stagecraft.reload"


def test_files_and_folders_move_to_places_that_do_not_tell_their_content() -> None:
    file, folder = tree("app.conf"), tree("a", "b/c")
    plain = {"type": "volume", "source": "data", "target": "/data"}
    definition = service(mount(file, "/etc/app.conf", "app.conf"), plain, mount(folder))
    reload = arranged(definition, file, folder)
    assert reload is not None
    assert reload.signal == definition["labels"][labels.RELOAD] == "SIGHUP"
    by_target = {one.target: one for one in reload.mounts}
    assert (by_target["/etc/app.conf"].file, by_target["/conf"].file) == ("app.conf", None)
    assert (by_target["/etc/app.conf"].tree, by_target["/conf"].tree) == (file.digest, folder.digest)
    sources = [one["source"] for one in definition["volumes"]]
    assert sources == [
        f"{RELOAD_PREFIX}{by_target['/etc/app.conf'].place}/app.conf",
        "data",
        f"{RELOAD_PREFIX}{by_target['/conf'].place}",
    ]
    assert all(one.place.startswith("web/") for one in reload.mounts)
    assert definition["volumes"][0]["read_only"] is True


def test_a_name_that_no_folder_may_have_gets_another_folder() -> None:
    file = tree("x")
    reload = arranged(service(mount(file, name="x")), file, name="..")
    assert reload is not None
    assert reload.mounts[0].place.startswith("=../")


def test_two_mounts_at_one_place_do_not_share_a_slot() -> None:
    one, two = tree("x"), tree("x", blob="sha256:other")
    reload = arranged(service(mount(one, name="x"), mount(two, name="x")), one, two)
    assert reload is not None
    assert len({mount.place for mount in reload.mounts}) == 2


@pytest.mark.parametrize("jobs", [frozenset[str](), frozenset({"web"})])
def test_a_label_that_comes_to_nothing_is_a_finding(jobs: frozenset[str]) -> None:
    file = tree("x")
    definition = service(*([mount(file, name="x")] if jobs else []))
    before = definition["volumes"]
    found = arrange({"web": definition}, trees={file.digest: file}, jobs=jobs)
    assert found.services == {}
    assert [one.code for one in found.findings] == [FindingCode.RELOAD_UNUSED]
    assert definition["volumes"] == before
    assert definition["labels"] == {labels.RELOAD: "SIGHUP"}


def test_a_service_without_the_label_is_left_as_it_is() -> None:
    file = tree("x")
    definition = {**service(mount(file, name="x")), "labels": {"team": "a"}}
    before = {**definition, "volumes": list(definition["volumes"])}
    assert arranged(definition, file) is None
    assert definition == before


def hash_of(definition: dict[str, Any], *trees: FileTree) -> tuple[str, str]:
    """The hash and the version of a service."""
    reload = arranged(definition, *trees)
    assert reload is not None
    known = {one.digest: one for one in trees}
    found = service_hash(definition, {}, executables=executables(reload, known))
    pin = ImagePin(ref="web:1", pin=PIN, pin_kind="image-id")
    gate = Gate(settle_seconds=1.0, deadline_seconds=1.0)
    return found, Service(hash=found, role="app", image=pin, gate=gate, reload=reload).version


OLD = tree("app.conf")


@pytest.mark.parametrize(
    ("new", "name"), [(tree("app.conf", blob="sha256:b"), "app.conf"), (tree("app.conf", "more"), "")]
)
def test_only_the_content_is_not_in_the_hash_and_all_of_it_in_the_version(new: FileTree, name: str) -> None:
    before, after = hash_of(service(mount(OLD, name=name)), OLD), hash_of(service(mount(new, name=name)), new)
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize(
    "definition",
    [
        service(mount(OLD, name="app.conf"), signal="USR1"),
        service(mount(OLD, name="app.conf"), environment={"A": "1"}),
        service(mount(OLD, name="app.conf"), mount(OLD, "/more", "app.conf")),
        service(mount(OLD, "/other", "app.conf")),
        service(mount(OLD)),
        service({**mount(OLD, name="app.conf"), "read_only": False}),
    ],
    ids=["signal", "variable", "mount added", "mount moved", "file made a folder", "mode of the mount"],
)
def test_anything_else_is_in_the_hash(definition: dict[str, Any]) -> None:
    assert hash_of(definition, OLD)[0] != hash_of(service(mount(OLD, name="app.conf")), OLD)[0]


def test_a_file_that_can_be_executed_now_is_in_the_hash() -> None:
    program = tree("app.conf", executable=True)
    before = hash_of(service(mount(OLD, name="app.conf")), OLD)
    assert hash_of(service(mount(program, name="app.conf")), program)[0] != before[0]


def test_a_place_leads_back_to_its_content() -> None:
    file = tree("app$.conf")
    named = mount(file, name="app$$.conf")
    definition = service(dict(named))
    reload = arranged(definition, file)
    pin = ImagePin(ref="web:1", pin=PIN, pin_kind="image-id")
    gate = Gate(settle_seconds=1.0, deadline_seconds=1.0)
    made = Service(hash="h", role="app", image=pin, gate=gate, reload=reload)
    assert made.by_content(definition["volumes"][0]["source"]) == named["source"]
    assert made.by_content("/etc/passwd") == "/etc/passwd"
    assert reload is not None
    assert reload.mounts[0].file == "app$.conf"
