"""Who has not been told yet of the files that it should have: a mark beside the files says so.

    <folder>/reload/<service>/mark      {"format": 1, "content": "sha256:…", "untold": ["<container>", …]}

The mark stands with what it speaks of, as the fence does. It is written before the files and names the
containers that are to be told; they are struck off when the signal has been sent and that has been recorded.
So whoever looks next, also after a crash at any place, finds what is left to do: another content in the mark,
other files than the Manifest's, or containers that are still on the list. A container that is not on the list
was made, or started, after the files were written, and needs no signal. A signal may be sent twice over a
crash; none is lost. Without a mark nobody counts as told.

Folding the log for this was dropped: a container that was made just before a crash is in no event, and would
be told of what it had read already. A label with the content on the container was dropped too: Compose
replaces a container for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, cast

from events.manifest import HostManifest, Reload
from projections.transport.port import HostFiles

PLACES = "reload"  # the folder of an environment that holds them
FORMAT = 1
_MOST_BYTES = 1024 * 1024

Untold = Mapping[str, frozenset[str] | None]
"""By service, the containers that do not know the content they should have; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is known of one service's containers."""

    content: str  # digest of all that it mounts and is told of
    untold: frozenset[str] = frozenset()  # containers that may know another content

    def encode(self) -> bytes:
        """The file's content."""
        found = {"format": FORMAT, "content": self.content, "untold": sorted(self.untold)}
        return json.dumps(found, sort_keys=True).encode() + b"\n"


async def untold(content: HostManifest, folder: PurePath, *, files: HostFiles) -> Untold:
    """Who is to be told, on a host with the environment's `folder`.

    Reads the files of services that are told by a signal, and of no others.
    """
    found: dict[str, frozenset[str] | None] = {}
    for name, service in content.services.items():
        if service.reload is None:
            continue
        mark = await read_mark(folder, service.reload, files=files)
        known = mark is not None and mark.content == service.reload.content
        if mark is None or not known or not await _is_there(folder, content, name, files=files):
            found[name] = None
        elif mark.untold:
            found[name] = mark.untold
    return found


async def _is_there(folder: PurePath, content: HostManifest, name: str, *, files: HostFiles) -> bool:
    reload = content.services[name].reload
    mounts = () if reload is None else reload.mounts
    for mount in mounts:
        if not await files.live_is_as_wanted(folder / PLACES, mount, content.files[mount.tree]):
            return False
    return True


def service_folder(reload: Reload) -> str:
    """The folder of a service's places and its mark, below `PLACES`."""
    return reload.mounts[0].place.partition("/")[0]


async def read_mark(folder: PurePath, reload: Reload, *, files: HostFiles) -> Mark | None:
    """What the mark says, None when there is none that can be read."""
    try:
        found: Any = json.loads(await files.read(_path(folder, reload), most=_MOST_BYTES) or b"")
        content, names = found["content"], found["untold"]
        known = found["format"] == FORMAT and isinstance(content, str) and isinstance(names, list)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Mark(content=content, untold=frozenset(map(str, cast("list[Any]", names)))) if known else None


async def write_mark(folder: PurePath, reload: Reload, mark: Mark, *, files: HostFiles) -> None:
    """Write the mark unless it says the same; its folder is there. Raises OSError."""
    if await read_mark(folder, reload, files=files) != mark:
        await files.write(_path(folder, reload), mark.encode(), mode=0o644)


def _path(folder: PurePath, reload: Reload) -> PurePath:
    return folder / PLACES / service_folder(reload) / "mark"
