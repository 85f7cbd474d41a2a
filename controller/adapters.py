"""The adapters that reach hosts, engines and registries, wired when somebody first asks for one.

A hold, a suspend or a resume changes the log alone, and a person who asks for one on a bad day should neither
wait for the clients of engines and registries nor be stopped by what is wrong with them. So a context has
`LateAdapters`; the first use of any adapter wires them all. Wiring each by itself was dropped: whoever needs
one of them works on hosts and needs nearly all.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.building import BuildWorkshop
    from controller.fleet import Fleet
    from controller.known_hosts import KnownHosts
    from gitops.pins import ImageCatalogue
    from projections.converge.converger import Converger
    from projections.engine.watch_port import EngineWatch
    from projections.observed import ObservedStore


def _nothing() -> None:
    """What adapters that hold nothing open do at their end."""


def _known_hosts() -> KnownHosts:
    from controller.known_hosts import KnownHosts  # noqa: PLC0415  # all events of hosts come with it

    return KnownHosts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """What stands behind the ports of one home."""

    catalogue: ImageCatalogue
    converger: Converger
    observed: ObservedStore
    workshop: BuildWorkshop | None = None  # None: nothing is built here
    watches: Mapping[str, EngineWatch] = field(default_factory=dict[str, "EngineWatch"])  # by host
    fleet: Fleet | None = None  # None: there is this machine alone
    known_hosts: KnownHosts = field(default_factory=_known_hosts)
    listed_hosts: frozenset[str] = frozenset()  # that the operator says the place of
    close: Callable[[], None] = _nothing  # gives back what they hold open


class LateAdapters:
    """Adapters that `wire` makes at the first use; threads may share them."""

    def __init__(self, wire: Callable[[], Adapters]) -> None:
        self._wire = wire
        self._wired: Adapters | None = None
        self._alone = threading.Lock()

    @property
    def wired(self) -> Adapters:
        """All of them. Raises what wiring raises, and tries again the next time."""
        with self._alone:
            if self._wired is None:
                self._wired = self._wire()
            return self._wired

    def close(self) -> None:
        """Give back what was wired, if anything was."""
        with self._alone:
            if self._wired is not None:
                self._wired.close()
