"""Hosts over SSH as the operator's file says: one thread, one connection a host, its engine at a socket here.

Nothing is imported or started for it before a host that is elsewhere is asked for, so a home with `local`
alone pays nothing. A key that is taken at first use is recorded; that is done by a thread of its own, because
whoever takes it must not wait for a disk.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from controller.fleet import Reach
from events.catalog.host import HostKeyAccepted
from events.kernel.errors import StagecraftError
from events.streams import host_stream
from projections.engine.docker import DockerEngine
from projections.transport.ssh_loop import SshLoop
from projections.transport.ssh_settings import SshLogin, SshSettings, jump_login

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.home import Home
    from controller.host_registry import HostEntry
    from events.recorder import Recorder
    from gitops.config.operator import SshSection


class SshReaches:
    """Makes what reaches hosts over SSH, and gives back what they share."""

    def __init__(
        self,
        *,
        home: Home,
        ssh: Callable[[], SshSection],
        entries: Callable[[], Mapping[str, HostEntry]],
        recorder: Callable[[], Recorder],
        environ: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        """`recorder` begins an undertaking for each key that is taken; `entries` are the known hosts."""
        self._home = home
        self._ssh = ssh
        self._entries = entries
        self._recorder = recorder
        self._environ = environ
        self._say = say
        self._loop: SshLoop | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._alone = threading.Lock()

    def make(self, entry: HostEntry) -> Reach:
        """What reaches a host; nothing is connected yet. Raises UserError `jump-host-bad`."""
        from projections.transport.ssh import SshTransport  # noqa: PLC0415  # as the module says

        settings = ssh_settings(
            entry, self._ssh(), home=self._home, entries=self._entries(), environ=self._environ
        )
        transport = SshTransport(
            entry.name, settings, loop=self._shared_loop(), on_first_key=self._taken(settings.known_hosts)
        )
        door = transport.engine_door(self._home.run / "hosts")
        engine = DockerEngine(None, self._home.run, door=door)

        def close() -> None:
            engine.close()
            door.close()
            transport.close()

        return Reach(
            transport=transport,
            engine=engine,
            stock=engine.stock,
            carrier=engine.stock,
            watch=engine,
            root=settings.root,
            close=close,
            ssh=settings,
        )

    def close(self) -> None:
        """End the thread that speaks SSH; what was made is closed before. What was taken is recorded."""
        with self._alone:
            loop, self._loop = self._loop, None
            writer, self._writer = self._writer, None
        if loop is not None:
            loop.close()
        if writer is not None:
            writer.shutdown(wait=True)

    def _shared_loop(self) -> SshLoop:
        with self._alone:
            if self._loop is None:
                self._loop = SshLoop()
            return self._loop

    def _taken(self, known_hosts: Path) -> Callable[[str, str], None]:
        """Told of a key that was taken at first use, in the thread that speaks SSH."""

        def told(host: str, fingerprint: str) -> None:
            with self._alone:
                if self._writer is None:
                    self._writer = ThreadPoolExecutor(1, "first-keys")
                self._writer.submit(self._record, host, fingerprint, known_hosts)

        return told

    def _record(self, host: str, fingerprint: str, known_hosts: Path) -> None:
        event = HostKeyAccepted(
            host=host, key_type=key_type(known_hosts, fingerprint), fingerprint=fingerprint
        )
        try:
            self._recorder().append(host_stream(host), event)
        except StagecraftError as error:
            self._say(f"{host}: the key {fingerprint} was taken and could not be recorded: {error.message}")
        else:
            self._say(f"{host}: its SSH key {fingerprint} was not known and is taken from now on")


def ssh_settings(
    entry: HostEntry,
    section: SshSection,
    *,
    home: Home,
    entries: Mapping[str, HostEntry],
    environ: Mapping[str, str],
) -> SshSettings:
    """All that it takes to reach a host by the operator's words. Raises UserError `jump-host-bad`."""
    login = SshLogin(address=entry.address, port=entry.port, user=entry.user)
    jump = None if section.jump is None else _placed(jump_login(section.jump), entries)
    itself = jump is not None and (jump.address, jump.port) == (login.address, login.port)
    known = home.keys / "known_hosts" if section.known_hosts is None else Path(section.known_hosts)
    return SshSettings(
        login=login,
        known_hosts=known,
        host_keys=section.host_keys,
        identity_files=tuple(Path(one) for one in section.identity_files),
        agent=environ.get("SSH_AUTH_SOCK") or None,
        connect_seconds=float(section.connect_seconds),
        jump=None if itself else jump,
        engine_socket=PurePosixPath(entry.engine_socket),
        root=PurePosixPath(entry.root),
    )


def _placed(jump: SshLogin, entries: Mapping[str, HostEntry]) -> SshLogin:
    """A jump host by the name that it has in the registry, at its place there."""
    place = entries[jump.address].place if jump.address in entries else None
    return jump if place is None else replace(jump, address=place.address, port=place.port)


def key_type(known_hosts: Path, fingerprint: str) -> str:
    """The kind of a key in a file of known hosts, by its fingerprint `SHA256:…`; empty: it is not there."""
    try:
        lines = known_hosts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        words = line.split()
        for kind, key in pairwise(words):
            if key.startswith("AAAA") and _fingerprint(key) == fingerprint:
                return kind
    return ""


def _fingerprint(key: str) -> str:
    try:
        digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    except ValueError:
        return ""
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
