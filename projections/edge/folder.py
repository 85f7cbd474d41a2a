"""The folder of route files on a gateway's host: what was told, and by whom.

    <root>/apps/<project>/<environment>/traefik/dynamic/
        <service>.route.yml     one service's routes and servers (`traefik_files.py`), complete or absent
        stagecraft-admin.yml    our door to the gateway
        stagecraft.yml, own/    where the gateway's own settings are mounted in its container; empty here

The gateway has the folder mounted and cannot write there. Whatever else it would read is foreign; a file that
is empty is nothing but a place to mount something at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from projections.edge.port import Backends, Place, Told
from projections.edge.traefik_files import ADMIN_FILE, READ, SUFFIX, file_name, read_back, written

FOLDER = PurePath("traefik/dynamic")
"""Below an environment's folder."""

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RouteFolder:
    """The route files of one environment on one host. Raises OSError and what `HostFiles` raises."""

    place: Place

    @property
    def path(self) -> PurePath:
        """Where it is on the host."""
        return self.place.folder / FOLDER

    async def told(self) -> Told:
        """What it says."""
        files = await self.files()
        backends: dict[str, Backends] = {}
        altered: list[str] = []
        for name in sorted(files):
            if not is_ours(name):
                continue
            service = name.removesuffix(SUFFIX)
            found = read_back(files[name] or b"", service)
            if found is None:
                altered.append(service)
            else:
                backends[service] = found
        return Told(backends=backends, altered=tuple(altered), foreign=foreign_of(files))

    async def files(self) -> dict[str, bytes | None]:
        """All of it by path in the folder; None: it cannot be read."""
        return await self.place.transport.files.read_folder(self.path, most=_MOST_BYTES)

    async def tell(self, backends: Backends) -> None:
        """Write a service's file, in one step and flushed. Raises UserError `route-refused`."""
        content = written(backends)
        path = self.path / file_name(backends.service)
        await self.place.transport.files.write(path, content, mode=0o644)

    async def forget(self, service: str) -> None:
        """Take a service's file away."""
        await self.place.transport.files.remove(self.path / file_name(service))

    async def put_admin(self, content: bytes) -> None:
        """Make sure that our door is as wanted."""
        path = self.path / ADMIN_FILE
        try:
            same = await self.place.transport.files.read(path, most=_MOST_BYTES) == content
        except OSError:
            same = False
        if not same:
            await self.place.transport.files.write(path, content, mode=0o644)


def is_ours(name: str) -> bool:
    """Whether a path in the folder is that of a service's file."""
    return name.endswith(SUFFIX) and "/" not in name


def may_be_foreign(name: str) -> bool:
    """Whether a gateway would read what has this name, and it is none of ours."""
    return name.endswith(READ) and not is_ours(name) and name != ADMIN_FILE


def foreign_of(files: Mapping[str, bytes | None]) -> tuple[str, ...]:
    """The paths of foreign files, sorted."""
    return tuple(sorted(name for name in files if may_be_foreign(name) and files[name] != b""))
