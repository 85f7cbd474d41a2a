"""What reaches each host, made when it is first asked for, and anew when the host is somewhere else.

The converger, the daemon and the commands take mappings by host and know nothing of how a host is reached.
These mappings are views of one fleet: a host that a commit brings while the daemon runs is in them at once,
and one that nobody asks for costs no connection. Who makes the parts of a reach is passed in, so the fleet
itself knows neither SSH nor Docker.

What was made for a host's former place is kept until the end: an operation under way may still use it, and
hosts seldom move. (To close it at once was dropped: a Release would fail in the middle for a word in Git.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from events.streams import LOCAL_HOST

if TYPE_CHECKING:
    from pathlib import PurePath

    from controller.host_registry import HostEntry
    from projections.engine.image_ports import ImageCarrier
    from projections.engine.port import Engine
    from projections.engine.stock_port import Stock
    from projections.engine.watch_port import EngineWatch
    from projections.transport.port import Transport
    from projections.transport.ssh_settings import SshSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """All that reaches one host. Nothing is connected before it is used."""

    transport: Transport
    engine: Engine
    stock: Stock
    carrier: ImageCarrier
    watch: EngineWatch
    root: PurePath  # the folder there that holds `apps/`, absolute
    close: Callable[[], None]  # gives back connections and threads
    ssh: SshSettings | None = None  # how a person gets there; None: it is this machine


class ByHost(Mapping[str, T], Generic[T]):
    """One part of each host's reach, by the host's name, as the fleet has it at that moment."""

    def __init__(self, fleet: Fleet, part: Callable[[Reach], T], *, in_use: bool = False) -> None:
        """With `in_use` only the hosts that something of ours may run on are in it."""
        self._fleet = fleet
        self._part = part
        self._in_use = in_use

    def __getitem__(self, host: str) -> T:
        if host not in self:
            raise KeyError(host)
        return self._part(self._fleet.reach(host))

    def __contains__(self, host: object) -> bool:
        return isinstance(host, str) and self._fleet.has(host, in_use=self._in_use)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fleet.names(in_use=self._in_use))

    def __len__(self) -> int:
        return len(self._fleet.names(in_use=self._in_use))


class Fleet:
    """The reaches of one controller's hosts; threads may share it."""

    def __init__(
        self,
        *,
        local: Reach,
        make: Callable[[HostEntry], Reach],
        entries: Callable[[], Mapping[str, HostEntry]],
        used: Callable[[], frozenset[str]],
    ) -> None:
        """`entries` are all hosts as they are known now, `used` those that something of ours may run on.

        Both are asked again and again, and must be cheap. `make` connects to nothing yet.
        """
        self._local = local
        self._make = make
        self._entries = entries
        self._used = used
        self._made: dict[str, tuple[HostEntry, Reach]] = {}
        self._former: list[Reach] = []
        self._alone = threading.Lock()
        self.engines: Mapping[str, Engine] = ByHost(self, lambda one: one.engine)
        self.stocks: Mapping[str, Stock] = ByHost(self, lambda one: one.stock)
        self.carriers: Mapping[str, ImageCarrier] = ByHost(self, lambda one: one.carrier)
        self.transports: Mapping[str, Transport] = ByHost(self, lambda one: one.transport)
        self.roots: Mapping[str, PurePath] = ByHost(self, lambda one: one.root)
        self.addresses: Mapping[str, str] = ByHost(
            self, lambda one: "" if one.ssh is None else one.ssh.login.address
        )
        self.watches: Mapping[str, EngineWatch] = ByHost(self, lambda one: one.watch, in_use=True)

    @property
    def entries(self) -> Mapping[str, HostEntry]:
        """All hosts as they are known now, those that cannot be reached too."""
        return self._entries()

    def reach(self, host: str) -> Reach:
        """What reaches a host now. Raises KeyError for one that nobody says the place of."""
        if host == LOCAL_HOST:
            return self._local
        entry = self._entries()[host]
        if not entry.reachable:
            raise KeyError(host)
        with self._alone:
            before = self._made.get(host)
            if before is not None and before[0].reached_as(entry):
                return before[1]
            if before is not None:
                self._former.append(before[1])
            made = self._make(entry)
            self._made[host] = (entry, made)
            return made

    def close(self) -> None:
        """Give back everything that was made; it may not be used any more."""
        with self._alone:
            every = [self._local, *(reach for _, reach in self._made.values()), *self._former]
            self._made.clear()
            self._former.clear()
        for one in every:
            one.close()

    def has(self, host: str, *, in_use: bool = False) -> bool:
        """Whether there is a way to a host, and with `in_use` a reason to take it by itself."""
        if host == LOCAL_HOST:
            return True  # which needs no word of the operator, so no file is read for it
        entry = self._entries().get(host)
        return entry is not None and entry.reachable and (not in_use or host in self._used())

    def names(self, *, in_use: bool = False) -> list[str]:
        """All hosts that `has` is true of, `local` first."""
        used = self._used() if in_use else frozenset[str]()
        return [
            name
            for name, entry in self._entries().items()
            if entry.reachable and (not in_use or name == LOCAL_HOST or name in used)
        ]
