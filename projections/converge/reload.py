"""Telling the containers of a service that files they have mounted are others now.

First the mark says who is to be told, then the files are written, then each gets the signal, the log gets its
event, and the mark is cleared (`untold.py` says why in this order). What the processes make of the signal is
seen by the gate, as after a replacement: one that ends of it has ended.

A service that is replaced, created or started gets its files by the same way, in the moment before and not
when everything is made ready: what runs must not see other files while the change may still be refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from events.blobs import BlobStore
from events.kernel.errors import OutsideError, Where, error_code
from events.manifest import HostManifest, Reload
from projections.converge.exchange import Exchange
from projections.converge.operations import Operation
from projections.converge.site import Site
from projections.converge.untold import PLACES, Mark, service_folder, write_mark

LIVE_FILES_FAILED = error_code(
    "live-files-failed", "Files that containers have mounted could not be changed in place."
)

_MOST_PATHS = 50  # of changed files that an event names


@dataclass(slots=True, kw_only=True)
class Reloader:
    """Writes and tells, for one Release on one host."""

    exchange: Exchange
    content: HostManifest

    @property
    def site(self) -> Site:
        """Where it works."""
        return self.exchange.site

    async def write(self, name: str, *, telling: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Give the files of a service their content; answers the paths in the container that had another.

        `telling` are the running containers that stay. Nothing happens for a service that is not told.
        Raises OutsideError `live-files-failed`, `blob-missing` or `blob-damaged`.
        """
        reload, site = self.content.services[name].reload, self.site
        if reload is None:
            return ()
        await site.pass_fence()
        with site.errors_here(name):
            return await self._write(reload, frozenset(telling), blobs=site.equipment.blobs)

    async def tell(self, operation: Operation, files: tuple[str, ...]) -> None:
        """Send the signal to the containers of a `reload` and record it; `files` is what `write` answered."""
        reload, site = self.content.services[operation.service].reload, self.site
        if reload is None:
            return
        with site.errors_here(operation.service):
            told = [one for one in operation.containers if await site.engine.signal(one, reload.signal)]
            self.exchange.record_reload(operation, reload, told=tuple(told), files=files)
            await site.pass_fence()
            await self._strike_off(reload)

    async def _write(self, reload: Reload, telling: frozenset[str], *, blobs: BlobStore) -> tuple[str, ...]:
        folder, files = self.site.folder, self.site.files
        changed: list[str] = []
        try:
            await files.make_live_folder(folder / PLACES, service_folder(reload))
            await write_mark(folder, reload, Mark(content=reload.content, untold=telling), files=files)
            for mount in reload.mounts:
                tree = self.content.files[mount.tree]
                changed += await files.put_live(folder / PLACES, mount, tree, blobs=blobs)
        except OSError as error:
            raise self._failed(error) from error
        return tuple(sorted(changed)[:_MOST_PATHS])

    async def _strike_off(self, reload: Reload) -> None:
        try:
            await write_mark(self.site.folder, reload, Mark(content=reload.content), files=self.site.files)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OutsideError:
        return OutsideError(
            LIVE_FILES_FAILED,
            f"cannot change files below {self.site.folder / PLACES}",
            where=Where(host=self.site.host),
            why=str(error),
            next="check free space and permissions of that folder",
        )
