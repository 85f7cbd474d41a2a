"""The hosts behind the port, each with what the suite needs around it.

That is a folder on the host that is the test's own, which the suite may look into from here: all of these
hosts have this machine's file system. The suite is all `test_transport_*` modules and asks through the port.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from projections.transport.local import LocalTransport
from projections.transport.port import Transport
from projections.transport.ssh import SshTransport
from projections.transport.ssh_loop import SshLoop
from projections.transport.ssh_settings import SshSettings
from tests.support.host_ssh import ssh_host

SECONDS = 60.0  # for what takes milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A host under test and the world around it."""

    transport: Transport
    here: Path  # the test's own folder, as this machine has it

    @property
    def root(self) -> PurePosixPath:
        """The same folder, as the host has it."""
        return PurePosixPath(self.here)


@contextmanager
def over_ssh(folder: Path) -> Generator[Adapter]:
    """A host that a real SSH server leads to."""
    with ssh_host(folder / "sshd") as host, reached(host.settings) as transport:
        yield Adapter(transport=transport, here=_own(folder))


@contextmanager
def this_machine(folder: Path) -> Generator[Adapter]:
    """This machine itself."""
    yield Adapter(transport=LocalTransport(), here=_own(folder))


@contextmanager
def reached(settings: SshSettings) -> Generator[SshTransport]:
    """A transport for the time of the block, with a thread of its own."""
    loop = SshLoop()
    transport = SshTransport("h1", settings, loop=loop)
    try:
        yield transport
    finally:
        transport.close()
        loop.close()


def _own(folder: Path) -> Path:
    own = folder / "of the $host"
    own.mkdir()
    return own
