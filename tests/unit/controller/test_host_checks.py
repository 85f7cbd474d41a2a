"""Reaching hosts to see whether a deploy would find what it needs there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest

from controller.host_checks import Asked, HostChecks, check_hosts, doctor_hosts, note_answers
from controller.host_registry import HostEntry
from controller.known_hosts import KnownHost
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from projections.engine.errors import ENGINE_UNREACHABLE
from projections.engine.port import EngineIdentity
from projections.observed import ObservedStore
from tests.support.scripted_host import Programs, ScriptedHost


@dataclass
class _Engine:
    engine: str
    machine: str = "m1"
    silent: bool = False
    hangs: bool = False

    async def identity(self) -> EngineIdentity:
        if self.hangs:
            await asyncio.Event().wait()
        if self.silent:
            raise OutsideError(ENGINE_UNREACHABLE, "the engine does not answer", why="connection refused")
        return EngineIdentity(
            machine=self.machine, engine=self.engine, engine_version="29.1", api_version="1.52"
        )


@dataclass
class _Hosts:
    folder: Path
    known: dict[str, KnownHost] = field(default_factory=dict[str, KnownHost])
    asked: list[Asked] = field(default_factory=list[Asked])

    def add(
        self, name: str, engine: _Engine, *, silent: bool = False, root: Path | None = None, off: int = 0
    ) -> Programs:
        programs = Programs(self.folder / name)
        if off:
            programs.put("date", f'echo "$(( $(/bin/date +%s) + {off} )).5"')
        self.asked.append(
            Asked(
                entry=HostEntry(name=name, origin="controller", address="10.0.0.1", user="deploy"),
                transport=ScriptedHost(name, programs, silent=silent),
                engine=engine,
                root=PurePosixPath(root or self.folder),
            )
        )
        return programs

    def check(self, *, seconds: float = 60) -> dict[str, HostChecks]:
        work = check_hosts(self.asked, known=self.known, clock=SystemClock(), seconds=seconds)
        return {one.host: one for one in asyncio.run(work)}


@pytest.fixture
def hosts(tmp_path: Path) -> _Hosts:
    return _Hosts(tmp_path)


def failing(found: HostChecks) -> dict[str, str]:
    return {one.name: one.detail for one in found.findings if one.status == "FAIL" and "disk" not in one.name}


def test_a_host_that_has_all_passes(hosts: _Hosts) -> None:
    hosts.add("app-1", _Engine("e1"))
    found = hosts.check()["app-1"]
    assert failing(found) == {}
    details = {one.name: one.detail for one in found.findings}
    assert details["ssh"] == "deploy@10.0.0.1"
    assert details["engine"] == "Docker 29.1, API 1.52"
    assert details["folder"].endswith(": writable")
    assert {"binding", "clock", "disk-root"} <= details.keys()


def test_a_host_that_does_not_answer_fails_alone(hosts: _Hosts) -> None:
    hosts.add("app-1", _Engine("e1"), silent=True)
    hosts.add("app-2", _Engine("e2"))
    found = hosts.check()
    assert failing(found["app-1"]) == {"ssh": "host-unreachable: app-1 does not answer: no route"}
    assert [one.next for one in found["app-1"].findings] == ["ssh -p 22 deploy@10.0.0.1"]
    assert failing(found["app-2"]) == {}


def test_an_engine_that_hangs_costs_its_deadline_and_no_more(hosts: _Hosts) -> None:
    hosts.add("app-1", _Engine("e1", hangs=True))
    hosts.add("app-2", _Engine("e2"))
    found = hosts.check(seconds=3)
    assert failing(found["app-1"]) == {"answer": "no answer within 3 s"}
    assert failing(found["app-2"]) == {}


def test_an_engine_that_does_not_answer_is_told_with_the_rest(hosts: _Hosts) -> None:
    hosts.add("app-1", _Engine("e1", silent=True))
    found = hosts.check()["app-1"]
    assert list(failing(found)) == ["engine"]
    assert "folder" in {one.name for one in found.findings}


def test_another_machine_behind_the_name_fails(hosts: _Hosts) -> None:
    hosts.known["app-1"] = KnownHost(machine="m0", engine="e0")
    hosts.add("app-1", _Engine("e1"))
    found = failing(hosts.check()["app-1"])
    assert found["binding"] == "bound to machine m0, engine e0; now machine m1, engine e1 answers"


def test_two_names_for_one_host_are_named_on_both(hosts: _Hosts) -> None:
    hosts.known["old-name"] = KnownHost(machine="m1", engine="e3")
    hosts.add("app-1", _Engine("e1"))
    hosts.add("app-2", _Engine("e1"))
    hosts.add("app-3", _Engine("e3"))
    found = hosts.check()
    assert failing(found["app-1"])["names"] == "app-1 and app-2 are one host: engine e1"
    assert failing(found["app-2"])["names"] == "app-2 and app-1 are one host: engine e1"
    assert failing(found["app-3"])["names"] == "app-3 and old-name are one host: engine e3"


def test_a_clock_that_is_off_and_a_folder_that_is_none_fail(hosts: _Hosts, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    hosts.add("app-1", _Engine("e1"), off=600, root=tmp_path / "file")
    found = failing(hosts.check()["app-1"])
    assert set(found) == {"clock", "folder"}
    assert "before the controller's" in found["clock"]


def test_a_host_that_nobody_places_says_how_to(hosts: _Hosts) -> None:
    entry = HostEntry(name="app-9", origin="none")
    hosts.asked.append(Asked(entry=entry, transport=None, engine=None, root=PurePosixPath("/x")))
    (found,) = hosts.check()["app-9"].findings
    assert found.detail == "nobody says where it is"
    assert "network.static.hosts.app-9.address in controller.yml" in found.next


def test_the_doctor_looks_at_a_bare_machine_without_an_engine(hosts: _Hosts) -> None:
    hosts.add("app-1", _Engine("e1", hangs=True))
    (found,) = asyncio.run(doctor_hosts(hosts.asked, clock=SystemClock()))
    assert failing(found)["docker"] == "no `docker` on its PATH"
    (docker,) = [one for one in found.findings if one.name == "docker"]
    assert docker.next == "stagecraft hosts bootstrap app-1"
    assert not found.passes
    told = found.as_json()
    assert (told["host"], told["ok"]) == ("app-1", False)
    assert told["passed"] < told["of"] == len(told["checks"])


def test_whether_each_host_answers_is_kept_with_why_not(hosts: _Hosts, tmp_path: Path) -> None:
    hosts.known["app-4"] = KnownHost(machine="m0", engine="e0")
    (tmp_path / "file").touch()
    hosts.add("app-1", _Engine("e1"), root=tmp_path / "file")  # what fails there is no silence
    hosts.add("app-2", _Engine("e2"), silent=True)
    hosts.add("app-3", _Engine("e3", silent=True))
    hosts.add("app-4", _Engine("e4"))
    store, at = ObservedStore(tmp_path / "observed.db"), datetime(2026, 11, 22, tzinfo=UTC)
    note_answers(store, hosts.check().values(), at=at)
    found = store.host_answers()
    assert {host: one.answers for host, one in found.items()} == {
        "app-1": True,
        "app-2": False,
        "app-3": False,
        "app-4": False,
    }
    assert {one.at for one in found.values()} == {at}
    assert found["app-1"].reason == ""
    assert found["app-2"].reason == "host-unreachable: app-2 does not answer: no route"
    assert found["app-3"].reason.startswith("engine-unreachable: ")
    assert found["app-4"].reason.startswith("bound to machine m0, engine e0")
