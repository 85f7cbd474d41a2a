"""Hosts as the operator's file says, reached over a real SSH server; no engine is behind it."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from controller.fleet import Reach
from controller.home import Home
from controller.host_facts import facts_of
from controller.host_registry import HostEntry
from controller.ssh_reach import SshReaches, key_type, ssh_settings
from events.envelope import CONTROLLER
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from events.memory import MemoryEventLog
from events.recorder import Recorder
from gitops.config.operator import SshSection
from projections.transport.ssh_settings import SshLogin
from tests.support.host_ssh import SshHost, ssh_host
from tests.support.time import CountingIds


@dataclass
class _Scene:
    server: SshHost
    folder: Path
    host_keys: str = "first-use"
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    said: list[str] = field(default_factory=list[str])
    ids: CountingIds = field(default_factory=CountingIds)

    @property
    def entry(self) -> HostEntry:
        return HostEntry(
            name="app-1",
            origin="controller",
            address="127.0.0.1",
            port=self.server.port,
            user=getpass.getuser(),
            engine_socket=str(self.folder / "no-engine.sock"),
            root=str(self.folder / "root"),
        )

    def reaches(self) -> SshReaches:
        section = SshSection.model_validate(
            {"identity_files": [str(self.server.person.key)], "host_keys": self.host_keys}
        )
        return SshReaches(
            home=Home(self.folder / "home"),
            ssh=lambda: section,
            entries=dict[str, HostEntry],
            recorder=lambda: Recorder(log=self.log, ids=self.ids, clock=SystemClock(), actor=CONTROLLER),
            environ={},
            say=self.said.append,
        )

    def opened(self) -> None:
        """Reach the host once, and give everything back."""
        reaches = self.reaches()
        reach: Reach = reaches.make(self.entry)
        try:
            asyncio.run(reach.transport.open())
        finally:
            reach.close()
            reaches.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[_Scene]:
    with ssh_host(tmp_path / "sshd") as server:
        yield _Scene(server=server, folder=tmp_path)


def test_a_key_that_is_taken_at_first_use_is_recorded_once(scene: _Scene) -> None:
    scene.opened()
    scene.opened()
    (stored,) = scene.log.read()
    told = json.loads(stored.data)
    assert (stored.stream, stored.type) == ("host/app-1", "HostKeyAccepted")
    assert (told["host"], told["key_type"]) == ("app-1", "ssh-ed25519")
    assert told["fingerprint"].startswith("SHA256:")
    known = scene.folder / "home" / "keys" / "known_hosts"
    assert key_type(known, told["fingerprint"]) == "ssh-ed25519"
    assert key_type(known, "SHA256:other") == key_type(scene.folder / "none", told["fingerprint"]) == ""
    assert len(scene.said) == 1


def test_a_key_that_nobody_knows_is_refused_where_keys_are_strict(scene: _Scene) -> None:
    scene.host_keys = "strict"
    with pytest.raises(OutsideError) as caught:
        scene.opened()
    assert caught.value.code == "host-key-unknown"
    assert scene.log.head() == 0


def test_a_host_is_looked_at_with_one_command_over_ssh(scene: _Scene) -> None:
    reaches = scene.reaches()
    reach = reaches.make(scene.entry)
    try:
        facts = asyncio.run(
            facts_of(
                reach.transport,
                root=PurePosixPath(scene.entry.root),
                engine_socket=scene.entry.engine_socket,
                clock=SystemClock(),
            )
        )
    finally:
        reach.close()
        reaches.close()
    assert (facts.user, facts.root, facts.server) == (getpass.getuser(), "missing", "")
    assert facts.disks["/"].total > 0
    assert facts.ahead == 0.0


def test_a_jump_host_may_be_one_of_the_registry_and_is_no_way_to_itself(scene: _Scene) -> None:
    edge = HostEntry(name="edge-1", origin="git", address="10.0.0.1", port=2222)
    section = SshSection(jump="deploy@edge-1")

    def jump(entry: HostEntry) -> SshLogin | None:
        home = Home(scene.folder)
        return ssh_settings(entry, section, home=home, entries={"edge-1": edge}, environ={}).jump

    assert jump(scene.entry) == SshLogin(address="10.0.0.1", port=2222, user="deploy")
    assert jump(edge) is None
