"""What the log says of hosts, folded as it grows."""

from __future__ import annotations

from controller.known_hosts import KnownHost, KnownHosts
from events.catalog import Event
from events.catalog.host import (
    HostBootstrapped,
    HostDeclared,
    HostKeyAccepted,
    HostReached,
    HostRebound,
    HostUnreachable,
    ImagesForgotten,
)
from events.envelope import CONTROLLER
from events.memory import MemoryEventLog
from events.recorder import Recorder
from events.streams import host_stream
from tests.support.time import CountingIds, FakeClock


class _Told:
    def __init__(self) -> None:
        self.log = MemoryEventLog()
        self.clock = FakeClock()
        self.known = KnownHosts()
        self._recorder = Recorder(log=self.log, ids=CountingIds(), clock=self.clock, actor=CONTROLLER)

    def of(self, *events: Event, host: str = "app-1") -> KnownHost:
        self._recorder.append(host_stream(host), *events)
        return self.known.of(self.log)[host]


def reached(machine: str = "m1", engine: str = "e1") -> HostReached:
    return HostReached(
        host="app-1", machine=machine, engine=engine, engine_version="29.1", api_version="1.52"
    )


def declared(address: str, environment: str = "prod") -> HostDeclared:
    return HostDeclared(
        host="app-1", address=address, port=22, origin="git", project="shop", environment=environment
    )


def test_the_newest_word_places_a_host_and_each_environment_keeps_its_own() -> None:
    told = _Told()
    told.of(declared("10.0.0.5"))
    host = told.of(declared("10.0.0.6", "staging"))
    assert str(host.place) == "10.0.0.6"
    assert {title: str(place) for title, place in host.words.items()} == {
        "shop/prod": "10.0.0.5",
        "shop/staging": "10.0.0.6",
    }


def test_whether_it_answers_is_what_was_said_last() -> None:
    told = _Told()
    first = told.of(reached())
    assert (first.answers, first.engine_version, first.since) == (True, "29.1", told.clock.now())
    lost = told.of(HostUnreachable(host="app-1", reason="no route"))
    assert (lost.answers, lost.reason, lost.engine_version) == (False, "no route", "29.1")
    again = told.of(reached("m2", "e2"))
    assert (again.answers, again.reason, again.machine, again.engine) == (True, "", "m1", "e1")
    rebound = HostRebound(
        host="app-1", machine="m2", engine="e2", former_machine="m1", former_engine="e1", reason="new"
    )
    assert told.of(rebound).machine == "m2"


def test_keys_and_how_it_was_made_ready_are_kept() -> None:
    told = _Told()
    told.of(HostKeyAccepted(host="app-1", key_type="ssh-ed25519", fingerprint="SHA256:x"))
    failed = told.of(HostBootstrapped(host="app-1", status="failed", code="ssh_failed", done=()))
    assert (failed.keys, failed.bootstrapped) == (("SHA256:x",), None)
    ready = told.of(HostBootstrapped(host="app-1", status="success", done=("made /x",)))
    assert ready.bootstrapped == told.clock.now()


def test_nothing_new_is_the_same_object_and_other_events_are_passed_over() -> None:
    told = _Told()
    told.of(declared("10.0.0.5"))
    before = told.known.of(told.log)
    assert told.known.of(told.log) is before
    told.of(ImagesForgotten(host="app-1", count=1, names=("x",), in_use=0, kept=0))
    assert told.known.of(told.log) is before
    assert set(told.known.of(MemoryEventLog())) == set()
