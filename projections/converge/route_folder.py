"""The folder that a gateway watches for routes, on its host.

    <root>/apps/<project>/<environment>/traefik/dynamic/

The gateway mounts it read-only, and in it, one by one, what the commit has for it: a mount inside a read-only
mount needs a place that is there already. So each such place is made before the gateway is, empty, and never
again: another file under the same name would take the mount away from a gateway that runs.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from events.manifest import FILES_PREFIX, RELOAD_PREFIX, ROUTES_PLACE, HostManifest
from projections.edge.folder import FOLDER
from projections.transport.port import HostFiles

ROUTES_FOLDER = FOLDER.parts[0]
"""Below the folder of an environment; all in it is ours."""
_READ_AS_FILES = (".yml", ".yaml", ".toml")
_PARTS_BEFORE_A_FILE = {FILES_PREFIX: 1, RELOAD_PREFIX: 2}  # in a source, behind its prefix


def routes_folder(folder: PurePath) -> PurePath:
    """The watched folder of the environment with this `folder` on its host."""
    return folder / FOLDER


async def make_routes_folder(folder: PurePath, content: HostManifest, files: HostFiles) -> None:
    """Make it, and the places in it that a gateway mounts something at; nothing where no gateway watches it.

    Raises OSError, UserError `state-is-link`, and OutsideError with a code in `HOST_SILENT`.
    """
    places = dict(_places(content))
    if not places:
        return
    below = [FOLDER / place for place, is_file in places.items() if not is_file]
    await files.make_state_folders(folder, sorted(f"{path}" for path in below))
    for place in sorted(place for place, is_file in places.items() if is_file):
        path = routes_folder(folder) / place
        if not await _is_there(files, path):
            await files.write(path, b"", mode=0o644)


def _places(content: HostManifest) -> Iterator[tuple[str, bool]]:
    """The watched folder itself, as an empty path, and places in it; whether a file is mounted there."""
    for definition in content.compose.get("services", {}).values():
        mounts: list[Mapping[str, Any]] = definition.get("volumes") or []
        for watched in mounts:
            if watched.get("type") != "bind" or watched.get("source") != ROUTES_PLACE:
                continue
            yield "", False
            above = f"{str(watched['target']).rstrip('/')}/"
            for mount in mounts:
                target = str(mount.get("target") or "").rstrip("/")
                inner = target.removeprefix(above)
                if inner != target and ".." not in inner.split("/"):
                    yield inner, _mounts_a_file(mount, inner)


def _mounts_a_file(mount: Mapping[str, Any], place: str) -> bool:
    """Whether a mount is of one file; of a path of the host its name tells, as it tells Traefik."""
    source = str(mount.get("source") or "")
    for prefix, parts in _PARTS_BEFORE_A_FILE.items():
        if source.startswith(prefix):
            return source.removeprefix(prefix).rstrip("/").count("/") >= parts
    return mount.get("type") == "bind" and place.endswith(_READ_AS_FILES)


async def _is_there(files: HostFiles, path: PurePath) -> bool:
    try:
        return await files.read(path, most=0) is not None
    except OSError as error:
        if error.errno in {errno.EFBIG, errno.EINVAL}:  # it says something, or is a folder
            return True
        raise
