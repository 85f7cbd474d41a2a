"""From a Manifest to an app and files on the host."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml

from events import labels
from events.blobs import MemoryBlobStore
from events.kernel.errors import InternalError, OutsideError
from events.manifest import (
    FILES_PREFIX,
    RELOAD_PREFIX,
    ROUTES_PLACE,
    STATE_PREFIX,
    FileEntry,
    FileTree,
    Manifest,
)
from projections.converge.materialise import app_folder, app_for, state_paths, write_compose, write_files
from projections.transport.asides import aside
from projections.transport.local import LocalFiles
from tests.unit.projections.converge.scene import HOST, Spec, manifest_of


def tree(blobs: MemoryBlobStore) -> FileTree:
    return FileTree(
        entries=(
            FileEntry(path="bin/run", executable=True, blob=blobs.put(b"#!/bin/sh\n")),
            FileEntry(path="conf/deep/app.ini", executable=False, blob=blobs.put(b"a=1\n")),
        )
    )


def binds(*sources: str) -> Manifest:
    mounts = [{"type": "bind", "source": source, "target": f"/m{n}"} for n, source in enumerate(sources)]
    return manifest_of(web=Spec(more={"volumes": [*mounts, {"type": "volume", "source": "data"}]}))


def sources(manifest: Manifest, root: Path) -> list[str]:
    app = app_for(manifest, HOST, root=root, lineage="l1")
    return [mount["source"] for mount in app.document["services"]["web"]["volumes"]]


def test_prefixes_become_paths_of_the_host(tmp_path: Path) -> None:
    manifest = binds(
        f"{FILES_PREFIX}{'a' * 64}", f"{FILES_PREFIX}{'a' * 64}/x.ini", f"{STATE_PREFIX}data", "/srv"
    )
    folder = tmp_path / "apps/hello/prod"
    assert sources(manifest, tmp_path) == [
        f"{folder}/files/{'a' * 64}",
        f"{folder}/files/{'a' * 64}/x.ini",
        f"{folder}/state/data",
        "/srv",
        "data",
    ]


def test_dollars_of_the_root_are_doubled_for_compose(tmp_path: Path) -> None:
    assert (
        sources(binds(f"{STATE_PREFIX}data"), tmp_path / "a$b")[0]
        == f"{tmp_path}/a$$b/apps/hello/prod/state/data"
    )


def test_the_whole_state_folder_can_be_mounted(tmp_path: Path) -> None:
    assert sources(binds(STATE_PREFIX), tmp_path)[0] == f"{tmp_path}/apps/hello/prod/state"


def test_a_bind_volume_of_the_driver_is_translated(tmp_path: Path) -> None:
    manifest = manifest_of(web=Spec())
    manifest.hosts[HOST].compose["volumes"] = {
        "data": {"driver_opts": {"type": "none", "o": "bind", "device": f"{STATE_PREFIX}pg"}},
        "other": None,
    }
    app = app_for(manifest, HOST, root=tmp_path, lineage="l1")
    assert app.document["volumes"]["data"]["driver_opts"]["device"] == f"{tmp_path}/apps/hello/prod/state/pg"


def test_every_service_gets_the_lineage_and_the_manifest_stays_as_it_is(tmp_path: Path) -> None:
    manifest = manifest_of(web=Spec(), db=Spec(image="db:1"))
    digest = manifest.digest
    app = app_for(manifest, HOST, root=tmp_path, lineage="l1", images={"db": "sha256:other"})
    services = app.document["services"]
    assert {services[name]["labels"][labels.LOG] for name in services} == {"l1"}
    assert services["db"]["image"] == "sha256:other"
    assert services["web"]["labels"][labels.SERVICE] == "web"
    assert app.document["name"] == app.compose_project == "hello-prod"
    assert manifest.digest == digest


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(InternalError, match="manifest-path-escapes"):
        sources(binds(f"{STATE_PREFIX}{path}"), tmp_path)


def test_trees_are_written_once_read_only_and_complete(tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    files = tree(blobs)
    manifest = manifest_of(trees=(files,), web=Spec())
    asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=blobs))
    place = Path(app_folder(tmp_path, manifest)) / "files" / files.digest.removeprefix("sha256:")
    assert (place / "bin/run").read_bytes() == b"#!/bin/sh\n"
    assert (place / "bin/run").stat().st_mode & 0o777 == 0o555
    assert (place / "conf/deep/app.ini").stat().st_mode & 0o777 == 0o444
    assert {path.stat().st_mode & 0o777 for path in (place, place / "conf", place / "conf/deep")} == {0o755}
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    before = (place / "bin/run").stat().st_ino  # nothing is read again
    asyncio.run(
        write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=MemoryBlobStore())
    )  # nothing is read again
    assert (place / "bin/run").stat().st_ino == before


def test_a_tree_with_a_missing_blob_is_absent_and_its_leftover_goes_at_the_next_try(tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    files = tree(blobs)
    manifest = manifest_of(trees=(files,), web=Spec())
    empty = MemoryBlobStore()
    empty.put(b"#!/bin/sh\n")
    with pytest.raises(OutsideError, match="blob-missing"):
        asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=empty))
    parent = Path(app_folder(tmp_path, manifest)) / "files"
    assert [path.name[:1] for path in parent.iterdir()] == ["."]
    asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=blobs))
    assert [path.name for path in parent.iterdir()] == [files.digest.removeprefix("sha256:")]


def test_the_half_of_a_tree_that_nobody_asks_for_again_goes_with_the_next_one(tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    files = tree(blobs)
    manifest = manifest_of(trees=(files,), web=Spec())
    parent = Path(app_folder(tmp_path, manifest)) / "files"
    half = parent / aside("0" * 64)
    half.mkdir(parents=True)
    (half / "app.ini").write_text("a=")
    (parent / ".of-somebody-else").mkdir()
    asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=blobs))
    left = {path.name for path in parent.iterdir()}
    assert left == {files.digest.removeprefix("sha256:"), ".of-somebody-else"}


def test_state_folders_are_made_and_what_is_there_stays(tmp_path: Path) -> None:
    manifest = binds(f"{STATE_PREFIX}data/pg", f"{STATE_PREFIX}a$$b", f"{STATE_PREFIX}socket")
    state = Path(app_folder(tmp_path, manifest)) / "state"
    state.mkdir(parents=True)
    (state / "socket").write_text("a file")
    asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=MemoryBlobStore()))
    assert (state / "data/pg").is_dir()
    assert (state / "a$b").is_dir()
    assert (state / "socket").read_text() == "a file"
    assert state_paths(manifest.hosts[HOST]) == ("a$b", "data/pg", "socket")


def test_the_device_of_a_volume_is_kept_too(tmp_path: Path) -> None:
    manifest = binds(f"{STATE_PREFIX}data/pg")
    content = manifest.hosts[HOST]
    options = {"type": "none", "o": "bind", "device": f"{STATE_PREFIX}disk"}
    compose = {**content.compose, "volumes": {"disk": {"driver_opts": options}, "plain": None}}
    kept = content.model_copy(update={"compose": compose})
    assert state_paths(kept) == ("data/pg", "disk")
    whole = manifest.model_copy(update={"hosts": {HOST: kept}})
    asyncio.run(write_files(whole, HOST, root=tmp_path, files=LocalFiles(), blobs=MemoryBlobStore()))
    assert (Path(app_folder(tmp_path, manifest)) / "state/disk").is_dir()


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    manifest = manifest_of(trees=(tree(blobs),), web=Spec())
    (tmp_path / "apps").write_text("in the way")
    with pytest.raises(OutsideError, match="host-folder-failed") as raised:
        asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=blobs))
    assert raised.value.where.host == HOST
    app = app_for(manifest, HOST, root=tmp_path, lineage="l1")
    with pytest.raises(OutsideError, match="host-folder-failed"):
        asyncio.run(write_compose(app, manifest, host=HOST, root=tmp_path, files=LocalFiles()))


def test_compose_file_reads_back_to_the_document_and_is_left_alone_when_equal(tmp_path: Path) -> None:
    manifest = manifest_of(web=Spec(more={"environment": {"A": "1e3", "B": "on", "C": "x: y", "D": None}}))
    app = app_for(manifest, HOST, root=tmp_path, lineage="l1")
    asyncio.run(write_compose(app, manifest, host=HOST, root=tmp_path, files=LocalFiles()))
    path = Path(app_folder(tmp_path, manifest)) / "compose.yml"
    assert yaml.safe_load(path.read_text()) == json.loads(json.dumps(app.document))
    inode = path.stat().st_ino
    asyncio.run(write_compose(app, manifest, host=HOST, root=tmp_path, files=LocalFiles()))
    assert path.stat().st_ino == inode
    path.write_text("edited by hand")
    asyncio.run(write_compose(app, manifest, host=HOST, root=tmp_path, files=LocalFiles()))
    assert "edited" not in path.read_text()


def watched(**mounts: str) -> Manifest:
    """A gateway that watches /dyn; mounts by what they are named in it."""
    inner = [
        {"type": "bind", "source": source, "target": f"/dyn/{name.replace('_', '.')}"}
        for name, source in mounts.items()
    ]
    mine = {"type": "bind", "source": ROUTES_PLACE, "target": "/dyn/", "read_only": True}
    return manifest_of(gate=Spec(more={"volumes": [mine, *inner]}), web=Spec())


def test_the_folder_of_routes_is_made_with_a_place_for_each_mount_in_it(tmp_path: Path) -> None:
    tree_name = f"{FILES_PREFIX}{'a' * 64}"
    manifest = watched(
        stagecraft_yml=f"{tree_name}/stagecraft.yml",
        own=tree_name,
        live_conf=f"{RELOAD_PREFIX}gate/0/live.conf",
        lively=f"{RELOAD_PREFIX}gate/1",
        mine_yml="/srv/mine.yml",
        srv="/srv/more",
    )
    asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=MemoryBlobStore()))
    folder = Path(app_folder(tmp_path, manifest)) / "traefik/dynamic"
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"own", "lively", "srv"}
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert files == {"stagecraft.yml", "live.conf", "mine.yml"}
    assert folder.stat().st_mode & 0o777 == 0o755
    app = app_for(manifest, HOST, root=tmp_path, lineage="l1")
    assert app.document["services"]["gate"]["volumes"][0]["source"] == str(folder)


def test_a_place_in_the_folder_of_routes_is_never_made_again(tmp_path: Path) -> None:
    manifest = watched(stagecraft_yml=f"{FILES_PREFIX}{'a' * 64}/stagecraft.yml")
    place = Path(app_folder(tmp_path, manifest)) / "traefik/dynamic/stagecraft.yml"
    for content in ("", "something"):
        asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=MemoryBlobStore()))
        place.write_text(content)
        before = place.stat().st_ino
        asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=MemoryBlobStore()))
        assert (place.stat().st_ino, place.read_text()) == (before, content)


def test_without_a_gateway_there_is_no_folder_of_routes(tmp_path: Path) -> None:
    manifest = binds("/srv")
    asyncio.run(write_files(manifest, HOST, root=tmp_path, files=LocalFiles(), blobs=MemoryBlobStore()))
    assert not Path(app_folder(tmp_path, manifest)).exists()
