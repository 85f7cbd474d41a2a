"""What reaches each host: made when it is asked for, in all mappings at once, given back at the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import pytest

from controller.fleet import Fleet, Reach
from controller.host_registry import HostEntry
from projections.engine.simulated import SimulatedEngine
from tests.support.time import FakeClock
from tests.support.unconnected import UnconnectedTransport


@dataclass
class _Yard:
    """Hosts that are listed, and what was made for them."""

    entries: dict[str, HostEntry] = field(default_factory=dict[str, HostEntry])
    used: set[str] = field(default_factory=set[str])
    made: list[str] = field(default_factory=list[str])
    closed: list[str] = field(default_factory=list[str])
    asked: int = 0

    def __post_init__(self) -> None:
        local = HostEntry(name="local", origin="local")
        self.entries["local"] = local
        self.fleet = Fleet(
            local=self._reach(local, "local"), make=self.make, entries=self.ask, used=self.in_use
        )

    def ask(self) -> dict[str, HostEntry]:
        self.asked += 1
        return self.entries

    def in_use(self) -> frozenset[str]:
        return frozenset(self.used)

    def list(self, name: str, address: str) -> None:
        self.entries[name] = HostEntry(name=name, origin="git", address=address)

    def make(self, entry: HostEntry) -> Reach:
        label = f"{entry.name}@{entry.address}"
        self.made.append(label)
        return self._reach(entry, label)

    def _reach(self, entry: HostEntry, label: str) -> Reach:
        engine = SimulatedEngine(clock=FakeClock())
        return Reach(
            transport=UnconnectedTransport(entry.name),
            engine=engine,
            stock=engine.stock,
            carrier=engine.stock,
            watch=engine,
            root=PurePosixPath(entry.root),
            close=lambda: self.closed.append(label),
        )


def test_a_host_is_made_when_it_is_first_asked_for_and_once() -> None:
    yard = _Yard()
    yard.list("app-1", "10.0.0.1")
    assert list(yard.fleet.engines) == ["local", "app-1"]
    assert "app-1" in yard.fleet.engines
    assert yard.made == []
    engine = yard.fleet.engines["app-1"]
    assert yard.fleet.engines["app-1"] is engine
    assert yard.fleet.transports["app-1"].host == "app-1"
    assert yard.fleet.roots["app-1"] == PurePosixPath("/var/lib/stagecraft")
    assert yard.made == ["app-1@10.0.0.1"]


def test_a_host_that_appears_later_is_in_all_mappings() -> None:
    yard = _Yard()
    views = (yard.fleet.engines, yard.fleet.stocks, yard.fleet.transports, yard.fleet.roots)
    assert [len(view) for view in views] == [1, 1, 1, 1]
    yard.list("app-1", "10.0.0.1")
    assert [list(view) for view in views] == [["local", "app-1"]] * 4
    assert all(view["app-1"] is not None for view in views)


def test_a_host_that_moves_is_made_anew_and_its_former_reach_lives_until_the_end() -> None:
    yard = _Yard()
    yard.list("app-1", "10.0.0.1")
    first = yard.fleet.engines["app-1"]
    yard.list("app-1", "10.0.0.2")
    assert yard.fleet.engines["app-1"] is not first
    assert (yard.made, yard.closed) == (["app-1@10.0.0.1", "app-1@10.0.0.2"], [])
    yard.fleet.close()
    assert sorted(yard.closed) == ["app-1@10.0.0.1", "app-1@10.0.0.2", "local"]


def test_roles_of_a_host_do_not_make_it_anew() -> None:
    yard = _Yard()
    yard.list("app-1", "10.0.0.1")
    first = yard.fleet.engines["app-1"]
    yard.entries["app-1"] = replace(yard.entries["app-1"], roles={"shop/prod": ("app",)})
    assert yard.fleet.engines["app-1"] is first


def test_what_nobody_says_the_place_of_is_no_host_of_the_fleet() -> None:
    yard = _Yard()
    yard.entries["app-9"] = HostEntry(name="app-9", origin="none")
    assert "app-9" not in yard.fleet.engines
    for host in ("app-9", "other"):
        with pytest.raises(KeyError):
            yard.fleet.engines[host]
    assert list(yard.fleet.entries) == ["local", "app-9"]


def test_only_hosts_in_use_are_listened_to() -> None:
    yard = _Yard()
    yard.list("app-1", "10.0.0.1")
    yard.list("app-2", "10.0.0.2")
    yard.used.add("app-2")
    assert list(yard.fleet.watches) == ["local", "app-2"]
    assert "app-1" not in yard.fleet.watches
    with pytest.raises(KeyError):
        yard.fleet.watches["app-1"]


def test_this_machine_needs_no_word_of_anybody() -> None:
    yard = _Yard()
    assert "local" in yard.fleet.engines
    assert id(yard.fleet.watches["local"]) == id(yard.fleet.engines["local"])
    assert yard.asked == 0
