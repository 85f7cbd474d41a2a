"""A Manifest becomes what a host needs: a Compose document with the host's own paths, and files by content.

    <root>/apps/<project>/<environment>/
        compose.yml        what runs now, for people; never read back
        fence              who may change this environment here (`fence.py`)
        files/<64 hex>/    a tree of the commit, named by its digest, complete or absent, never changed
        reload/<service>/  files that a service is told of by a signal (`reload.py`)
        state/<path>       what the app keeps on this host
        traefik/dynamic/   the routes that a gateway here is told of (`route_folder.py`)

The paths are the host's, wherever it is; how they are written there is the transport's (`HostFiles`).
"""

from __future__ import annotations

import copy
import errno
import shlex
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import Any

from events import labels
from events.blobs import BlobStore
from events.kernel.errors import InternalError, OutsideError, Where, error_code
from events.manifest import (
    FILES_PREFIX,
    RELOAD_PREFIX,
    ROUTES_PLACE,
    STATE_PREFIX,
    HostManifest,
    Manifest,
)
from events.references import mapped_texts, needing
from projections.converge.readable import readable_yaml
from projections.converge.route_folder import make_routes_folder, routes_folder
from projections.converge.untold import PLACES
from projections.engine.port import App, HostFile
from projections.transport.port import HostFiles

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


def app_folder(root: PurePath, manifest: Manifest) -> PurePath:
    """The folder of an environment on its host, whose `root` is absolute."""
    return root / "apps" / manifest.project / manifest.environment


def app_for(
    manifest: Manifest,
    host: str,
    *,
    root: PurePath,
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


def _on_host(source: str, folder: PurePath) -> str:
    """A source with the app's folder in place of our prefixes; `$` is doubled, as Compose reads it."""
    if source == ROUTES_PLACE:
        return f"{routes_folder(folder)}".replace("$", "$$")
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


async def write_files(
    manifest: Manifest, host: str, *, root: PurePath, files: HostFiles, blobs: BlobStore
) -> None:
    """Write the trees that are not there yet and make the state folders, and the folder of routes.

    Raises OutsideError `host-folder-failed`, `blob-missing` or `blob-damaged` and UserError `state-is-link`;
    trees written before stay.
    """
    folder, content = app_folder(root, manifest), manifest.hosts[host]
    trees = {
        folder / "files" / digest.removeprefix("sha256:"): tree for digest, tree in content.files.items()
    }
    paths = state_paths(content)
    try:
        for place in sorted(await files.missing(trees)) if trees else ():
            await files.put_tree(place, trees[place], blobs=blobs)
        if paths:
            await files.make_state_folders(folder / "state", paths)
        await make_routes_folder(folder, content, files)
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


async def write_compose(app: App, manifest: Manifest, *, host: str, root: PurePath, files: HostFiles) -> None:
    """Write `compose.yml` unless it says the same. Raises OutsideError `host-folder-failed`."""
    folder = app_folder(root, manifest)
    head, document = _COMPOSE_HEAD, app.document
    if app.host_file is not None:
        head += _BY_HAND.format(path=shlex.quote(app.host_file.path))
        document = mapped_texts(document, needing)
    path, content = folder / "compose.yml", (head + readable_yaml(document)).encode()
    try:
        if not await _says(files, path, content):
            await files.write(path, content, mode=0o644)
    except OSError as error:
        raise _folder_failed(folder, host, error) from error


async def _says(files: HostFiles, path: PurePath, content: bytes) -> bool:
    try:
        return await files.read(path, most=len(content)) == content
    except OSError as error:
        if error.errno in {errno.EFBIG, errno.EINVAL}:  # longer, or no file: it is written over or refused
            return False
        raise


def _folder_failed(folder: PurePath, host: str, error: OSError) -> OutsideError:
    return OutsideError(
        HOST_FOLDER_FAILED,
        f"cannot write below {folder}",
        where=Where(host=host),
        why=str(error),
        next="check free space and permissions of that folder",
    )
