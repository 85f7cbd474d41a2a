"""Bringing a ref into a mirror: its history, and the files of the commit that it points at.

From a server that can leave files out the history comes without them, and then the files of the commit, all
at once, so a large history costs what its commits and folders weigh. A server that cannot leave them out
sends everything, as ever. One that does and then does not hand them over is asked for everything from then
on. A path has nothing to spare.

The address is in no argument list and never written into the mirror: a command that only reads must not know
where to fetch what is not here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gitops.source.bare import PROMISED, SOURCE

if TYPE_CHECKING:
    from events.kernel.process import Finished
    from gitops.source.bare import BareCopy
    from gitops.source.exchange import Exchange

_INCOMPLETE: Final = ("did not send all necessary objects", "unresolved deltas")
"""How Git says that what came cannot be used without files that were left out."""

_NOT_SINGLY: Final = ("not our ref", "unadvertised object", *_INCOMPLETE)
"""How a server says that it hands over no single files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Brings refs of one address into one copy; whoever calls sees to it that nobody else does meanwhile."""

    copy: BareCopy
    exchange: Exchange

    async def bring(self, ref: str) -> Finished:
        """Bring `ref` with its history and the files that it has now; the copy is made if need be.

        Raises OutsideError `git-unreachable` or `git-failed`.
        """
        await self.copy.create()
        await self.copy.sweep()
        signs: tuple[str, ...] = _INCOMPLETE
        fetched = await self._history(ref)
        if fetched.code == 0 and self._on_demand:
            fetched, signs = await self._files(ref), _NOT_SINGLY
        if fetched.code == 0 or not self._on_demand or not any(sign in fetched.error_text for sign in signs):
            return fetched
        await self.copy.drop()
        await self.copy.create(wants_all=True)
        return await self._history(ref)

    async def fetch(self, *refs: str, wanted: bytes | None = None) -> Finished:
        """Fetch `refs`, as Git writes them, or the objects that are `wanted`, an id a line."""
        arguments = [
            f"--git-dir={self.copy.folder}",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
        ]
        settings = dict[str, str]()
        source = self.exchange.address.url
        if self._on_demand:
            settings = {f"remote.{SOURCE}.url": source, **PROMISED}
            source = SOURCE
            arguments.append("--filter=blob:none")
        if wanted is not None:
            settings["fetch.negotiationAlgorithm"] = "noop"
            arguments.append("--stdin")
        return await self.exchange.fetch(
            [*arguments, "--", source, *refs], settings=tuple(settings.items()), stdin=wanted
        )

    @property
    def _on_demand(self) -> bool:
        """Whether files are left to be fetched when they are looked at."""
        return not self.exchange.address.local and not self.copy.wants_all

    async def _history(self, ref: str) -> Finished:
        fetched = await self.fetch(f"+{ref}:{ref}")
        if fetched.code != 0 and await self.copy.make_room(ref):
            fetched = await self.fetch(f"+{ref}:{ref}")
        return fetched

    async def _files(self, ref: str) -> Finished:
        """Bring what of the files of `ref` is not here, all at once."""
        missing = await self.copy.missing(ref)
        if missing.code != 0 or not missing.stdout:
            return missing
        fetched = await self.fetch(wanted=missing.stdout)
        if fetched.code != 0:
            return fetched
        left = await self.copy.missing(ref)
        return left if not left.stdout else replace(left, code=1, stdout=b"", stderr=_NOT_SINGLY[0].encode())
