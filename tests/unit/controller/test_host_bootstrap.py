"""Making a machine a host, with programs that really run on a PATH of the test's own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from controller.host_bootstrap import (
    HostResult,
    Install,
    Prepared,
    bootstrap_hosts,
    prepare_hosts,
)
from controller.host_checks import Asked
from controller.host_registry import HostEntry
from events.envelope import CONTROLLER
from events.memory import MemoryEventLog
from events.recorder import Recorder
from tests.support.scripted_host import Programs, ScriptedHost
from tests.support.time import CountingIds, FakeClock

DOCKER = """case "$*" in
  *"version --format {{.Server.Version}} {{.Server.APIVersion}}"*) echo "29.1.0 1.52";;
  *"version --format {{.Server.Version}}"*) echo 29.1.0;;
  *) exit 0;;
esac"""


@dataclass
class _Yard:
    folder: Path
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    asked: list[Asked] = field(default_factory=list[Asked])
    said: list[str] = field(default_factory=list[str])
    ids: CountingIds = field(default_factory=CountingIds)

    def add(self, name: str, *, silent: bool = False, root: Path | None = None) -> Programs:
        programs = Programs(self.folder / name)
        entry = HostEntry(name=name, origin="controller", address="10.0.0.1")
        where = PurePosixPath(root or self.folder / f"root-of-{name}")
        host = ScriptedHost(name, programs, silent=silent)
        self.asked.append(Asked(entry=entry, transport=host, engine=None, root=where))
        return programs

    def prepared(self, install: Install = "apt") -> list[Prepared]:
        return asyncio.run(prepare_hosts(self.asked, install=install, clock=FakeClock()))

    def run(self, install: Install = "apt") -> dict[str, HostResult]:
        clock = FakeClock()

        def recorder() -> Recorder:
            return Recorder(log=self.log, ids=self.ids, clock=clock, actor=CONTROLLER)

        async def both() -> list[HostResult]:
            prepared = await prepare_hosts(self.asked, install=install, clock=clock)
            return await bootstrap_hosts(prepared, clock=clock, recorder=recorder, say=self.said.append)

        results = asyncio.run(both())
        assert [one.host for one in results] == sorted(one.name for one in self.asked)
        return {one.host: one for one in results}

    @property
    def events(self) -> list[dict[str, object]]:
        return [json.loads(one.data) for one in self.log.read()]


@pytest.fixture
def yard(tmp_path: Path) -> _Yard:
    return _Yard(tmp_path)


def can_install(programs: Programs) -> None:
    """An `apt-get` that really brings the engine's client."""
    aside = programs.folder.parent / f"{programs.folder.name}.docker"
    aside.write_text(f"#!/bin/sh\n{DOCKER}\n")
    aside.chmod(0o755)
    programs.put("apt-get", f'case "$*" in *"install "*) mv {aside} {programs.folder}/docker;; esac')


def test_a_bare_machine_gets_an_engine_and_a_folder_and_a_second_run_changes_nothing(yard: _Yard) -> None:
    programs = yard.add("app-1")
    can_install(programs)
    root = yard.asked[0].root
    does = ["install the engine: apt-get install docker.io", f"make {root} for root"]
    (before,) = yard.prepared()
    assert [step.does for step in before.steps] == does
    assert programs.called == []
    assert not Path(root).exists()

    result = yard.run()["app-1"]
    assert (result.status, result.code, list(result.done)) == ("success", None, does)
    assert result.engine_version == "29.1.0"
    assert Path(root).is_dir()
    assert yard.events == [
        {
            "host": "app-1",
            "status": "success",
            "code": None,
            "done": does,
            "engine_version": "29.1.0",
            "why": "",
        }
    ]
    assert yard.said == [f"app-1: {one}" for one in does]

    calls = len([call for call in programs.called if call.startswith("apt-get")])
    again = yard.run()["app-1"]
    assert (again.status, again.done) == ("success", ())
    assert len([call for call in programs.called if call.startswith("apt-get")]) == calls == 2
    assert len(yard.events) == 1


def test_a_machine_that_cannot_be_reached_fails_alone(yard: _Yard) -> None:
    yard.add("app-1", silent=True)
    yard.add("app-2").put("docker", DOCKER)
    results = yard.run()
    assert str(results["app-1"]) == "app-1: failed (ssh_failed)"
    assert "no route" in results["app-1"].why
    assert str(results["app-2"]) == "app-2: success"
    assert [one["host"] for one in yard.events] == ["app-1", "app-2"]


def test_an_installation_that_fails_is_told_in_its_words(yard: _Yard) -> None:
    yard.add("app-1").put("apt-get", "echo 'E: no package docker.io' >&2; exit 100")
    result = yard.run()["app-1"]
    assert (result.status, result.code, result.done) == ("failed", "docker_install_failed", ())
    assert "E: no package docker.io" in result.why
    assert yard.events[0]["code"] == "docker_install_failed"


def test_a_machine_without_the_means_to_install_is_left_alone(yard: _Yard) -> None:
    yard.add("app-1")
    for install, word in (("apt", "apt-get"), ("script", "curl")):
        result = yard.run(install)["app-1"]  # type: ignore[arg-type]  # the two of them
        assert (result.code, word in result.why) == ("docker_install_failed", True)
    assert not Path(yard.asked[0].root).exists()


def test_an_engine_that_does_not_answer_fails_to_verify(yard: _Yard) -> None:
    yard.add("app-1").put("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    result = yard.run()["app-1"]
    assert result.code == "docker_verify_failed"
    assert "Cannot connect" in result.why
    assert result.done == (f"make {yard.asked[0].root} for root",)
    assert yard.events[0]["done"] == list(result.done)


def test_without_an_installation_a_bare_machine_fails_to_verify_at_once(yard: _Yard) -> None:
    programs = yard.add("app-1")
    programs.put("apt-get", "exit 1")
    result = yard.run("skip")["app-1"]
    assert result.code == "docker_verify_failed"
    assert programs.called == []


def test_what_the_script_installs_is_fetched_first_and_run_then(yard: _Yard) -> None:
    programs = yard.add("app-1")
    content = f"#!/bin/sh\n{DOCKER}"
    aside = yard.folder / "docker"
    aside.write_text(content)
    aside.chmod(0o755)
    fetch = f'for last; do :; done\necho "mv {aside} {programs.folder}/docker" >"$last"'
    programs.put("curl", fetch)
    result = yard.run("script")["app-1"]
    assert (result.status, result.engine_version) == ("success", "29.1.0")
    assert "https://get.docker.com" in programs.called[0]


def test_a_user_without_rights_fails_before_anything_is_done(yard: _Yard) -> None:
    programs = yard.add("app-1")
    can_install(programs)
    programs.put("id", '[ "$1" = -u ] && echo 1000 || echo deploy')
    result = yard.run()["app-1"]
    assert (result.code, result.done) == ("docker_install_failed", ())
    assert "deploy is not root there, and `sudo` asks for a password" in result.why
    assert not [call for call in programs.called if "install" in call]


def test_a_user_who_may_sudo_does_it_so(yard: _Yard) -> None:
    programs = yard.add("app-1")
    can_install(programs)
    programs.put("id", '[ "$1" = -u ] && echo 1000 || echo root')
    programs.put("sudo", 'shift; exec "$@"')
    assert yard.run()["app-1"].status == "success"
    assert any(call.startswith("sudo -n sh -c apt-get") for call in programs.called)


def test_a_folder_that_is_a_file_and_a_host_without_a_place_are_the_configurations_fault(
    yard: _Yard, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    yard.add("app-1", root=tmp_path / "file").put("docker", DOCKER)
    entry = HostEntry(name="app-2", origin="none")
    yard.asked.append(Asked(entry=entry, transport=None, engine=None, root=PurePosixPath("/x")))
    results = yard.run()
    assert [one.code for one in results.values()] == ["config_invalid", "config_invalid"]
    assert "controller.yml" in results["app-2"].why


def test_a_look_that_breaks_off_is_a_failure_to_detect(yard: _Yard) -> None:
    yard.add("app-1").hide("sh")
    assert yard.run()["app-1"].code == "docker_detect_failed"


def test_this_machine_is_skipped(yard: _Yard) -> None:
    host = ScriptedHost("local", Programs(yard.folder / "local"))
    yard.asked.append(
        Asked(
            entry=HostEntry(name="local", origin="local"),
            transport=host,
            engine=None,
            root=PurePosixPath("/x"),
        )
    )
    assert yard.run()["local"].status == "skipped"
    assert yard.events == []
