"""A Manifest becomes what a host needs: a Compose document with the host's own paths, and files by content.

    <root>/apps/<project>/<environment>/
        compose.yml        what runs now, for people; never read back
        fence              who may change this environment here (`fence.py`)
        files/<64 hex>/    a tree of the commit, named by its digest, complete or absent, never changed
        reload/<service>/  files that a service is told of by a signal (`livefiles.py`, `reload.py`)
        state/<path>       what the app keeps on this host

A tree is written aside, flushed and renamed, so that its name is the proof of its content; one that is
there is left as it is, because containers have it mounted. Leftovers of a killed run start with a dot.
"""

from __future__ import annotations

import copy
import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from events import labels
from events.blobs import BlobStore
from events.kernel.errors import InternalError, OutsideError, Where, error_code
from events.kernel.files import write_atomically
from events.manifest import FILES_PREFIX, RELOAD_PREFIX, STATE_PREFIX, FileTree, HostManifest, Manifest
from events.references import mapped_texts, needing
from projections.converge.readable import readable_yaml
from projections.converge.statefolders import make_state_folder
from projections.converge.untold import PLACES
from projections.engine.port import App, HostFile

HOST_FOLDER_FAILED = error_code("host-folder-failed", "Files of an app could not be written on its host.")
MANIFEST_PATH_ESCAPES = error_code(
    "manifest-path-escapes", "A path in a Manifest leads out of the app's folder."
)

_COMPOSE_HEAD = """\
# What runs now, written by Stagecraft; changes made here are overwritten and never read.
"""
_BY_HAND = """\
# It takes variables from a file of this host. By hand:
#   docker compose --env-file {path} -f compose.yml ...
"""
_FILE_MODE, _PROGRAM_MODE, _FOLDER_MODE = 0o444, 0o555, 0o755


def app_folder(root: Path, manifest: Manifest) -> Path:
    """The folder of an environment on its host, absolute."""
    return root.absolute() / "apps" / manifest.project / manifest.environment


def app_for(
    manifest: Manifest,
    host: str,
    *,
    root: Path,
    lineage: str,
    images: Mapping[str, str] | None = None,
    bound: Mapping[str, str] | None = None,
    host_file: HostFile | None = None,
) -> App:
    """The document for one host's engine: paths filled in, every service labelled with the log's lineage.

    `images` replaces the image text of some services, `bound` has the keyed digest of what some take from env
    files of the host, `host_file` the variables that the document refers to. Raises
    InternalError `manifest-path-escapes`.
    """
    document: dict[str, Any] = copy.deepcopy(manifest.hosts[host].compose)
    folder = app_folder(root, manifest)
    for name, definition in document.get("services", {}).items():
        definition["labels"] = {**(definition.get("labels") or {}), labels.LOG: lineage}
        if bound and name in bound:
            definition["labels"][labels.HOST_ENV] = bound[name]
        if images and name in images:
            definition["image"] = images[name]
        for mount in definition.get("volumes") or ():
            if mount.get("type") == "bind":
                mount["source"] = _on_host(str(mount.get("source", "")), folder)
    volumes: dict[str, dict[str, Any] | None] = document.get("volumes") or {}
    for volume in volumes.values():
        options: dict[str, Any] = (volume or {}).get("driver_opts") or {}
        if "device" in options:
            options["device"] = _on_host(str(options["device"]), folder)
    document["name"] = manifest.compose_project
    return App(compose_project=manifest.compose_project, document=document, host_file=host_file)


def _on_host(source: str, folder: Path) -> str:
    """A source with the app's folder in place of our prefixes; `$` is doubled, as Compose reads it."""
    for prefix, place in ((FILES_PREFIX, "files"), (RELOAD_PREFIX, PLACES), (STATE_PREFIX, "state")):
        if source.startswith(prefix):
            relative = _inside(source.removeprefix(prefix))
            return f"{folder / place}".replace("$", "$$") + (f"/{relative}" if relative else "")
    return source


def _inside(path: str) -> str:
    """`path` when it stays where it is put. Raises InternalError `manifest-path-escapes`."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise InternalError(MANIFEST_PATH_ESCAPES, f"the path {path!r} leads out of the app's folder")
    return path.rstrip("/")


def write_files(manifest: Manifest, host: str, *, root: Path, blobs: BlobStore) -> None:
    """Write the trees that are not there yet and make the state folders.

    Raises OutsideError `host-folder-failed`, `blob-missing` or `blob-damaged` and UserError `state-is-link`;
    trees written before stay.
    """
    folder, content = app_folder(root, manifest), manifest.hosts[host]
    try:
        for digest, tree in sorted(content.files.items()):
            _write_tree(folder / "files", digest.removeprefix("sha256:"), tree=tree, blobs=blobs)
        for path in state_paths(content):
            make_state_folder(folder / "state", path)
    except OSError as error:
        raise _folder_failed(folder, host, error) from error


def state_paths(content: HostManifest) -> tuple[str, ...]:
    """The paths that services and volumes of a host keep under `state/`, `$$` undone, sorted."""
    sources = [
        str(mount.get("source", ""))
        for definition in content.compose.get("services", {}).values()
        for mount in definition.get("volumes") or ()
        if mount.get("type") == "bind"
    ]
    volumes: dict[str, dict[str, Any] | None] = content.compose.get("volumes") or {}
    for volume in volumes.values():
        options: dict[str, Any] = (volume or {}).get("driver_opts") or {}
        sources.append(str(options.get("device") or ""))
    found = {
        _inside(source.removeprefix(STATE_PREFIX)).replace("$$", "$")
        for source in sources
        if source.startswith(STATE_PREFIX)
    }
    return tuple(sorted(found))


def write_compose(app: App, manifest: Manifest, *, host: str, root: Path) -> None:
    """Write `compose.yml` unless it says the same. Raises OutsideError `host-folder-failed`."""
    folder = app_folder(root, manifest)
    head, document = _COMPOSE_HEAD, app.document
    if app.host_file is not None:
        head += _BY_HAND.format(path=shlex.quote(app.host_file.path))
        document = mapped_texts(document, needing)
    path, content = folder / "compose.yml", (head + readable_yaml(document)).encode()
    try:
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content, mode=0o644)
    except OSError as error:
        raise _folder_failed(folder, host, error) from error


def _folder_failed(folder: Path, host: str, error: OSError) -> OutsideError:
    return OutsideError(
        HOST_FOLDER_FAILED,
        f"cannot write below {folder}",
        where=Where(host=host),
        why=str(error),
        next="check free space and permissions of that folder",
    )


def _write_tree(parent: Path, name: str, *, tree: FileTree, blobs: BlobStore) -> None:
    """Put a tree in its place in one step; nothing happens when it is there."""
    if (parent / name).is_dir():
        return
    parent.mkdir(parents=True, exist_ok=True)
    for leftover in parent.glob(f".{name}.*"):
        shutil.rmtree(leftover)
    aside = parent / f".{name}.{secrets.token_hex(6)}"
    aside.mkdir()
    aside.chmod(_FOLDER_MODE)
    folders = {aside}
    for entry in tree.entries:
        path = aside / _inside(entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        for above in path.parents:
            if above == parent:
                break
            folders.add(above)
        _write_flushed(path, blobs.get(entry.blob), mode=_PROGRAM_MODE if entry.executable else _FILE_MODE)
    for folder in folders:
        folder.chmod(_FOLDER_MODE)
        _flush(folder)
    aside.rename(parent / name)
    _flush(parent)


def _write_flushed(path: Path, content: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(mode)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
