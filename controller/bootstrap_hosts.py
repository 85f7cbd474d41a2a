"""The part of `bootstrap` that wires hosts: this machine, and those that are reached over SSH."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from controller.fleet import Fleet, Reach
from controller.host_registry import HostRegistry
from controller.host_uses import UsedHosts
from controller.known_hosts import KnownHosts
from controller.ssh_reach import SshReaches
from controller.states import States
from events.envelope import CONTROLLER
from events.kernel.ids import SystemIds
from events.recorder import Recorder
from projections.transport.local import LocalTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.home import Home
    from events.kernel.clock import Clock
    from events.log import EventLog
    from gitops.config.controller import ControllerFile
    from projections.engine.docker import DockerEngine


def wire_hosts(
    home: Home,
    engine: DockerEngine,
    *,
    file: Callable[[], ControllerFile],
    log: EventLog,
    clock: Clock,
    say: Callable[[str], None],
) -> tuple[Fleet, KnownHosts, Callable[[], None]]:
    """The hosts of a home, what the log says of them, and what gives everything back, the engine too.

    `file` is asked once, when a host that is elsewhere is asked for, and never for `local`.
    """
    known, read = KnownHosts(), cache(file)
    entries = HostRegistry(read, lambda: known.of(log))
    reaches = SshReaches(
        home=home,
        ssh=lambda: read().ssh,
        entries=entries,
        recorder=lambda: Recorder(log=log, ids=SystemIds(clock), clock=clock, actor=CONTROLLER),
        environ=os.environ,
        say=say,
    )
    local = Reach(
        transport=LocalTransport(),
        engine=engine,
        stock=engine.stock,
        carrier=engine.stock,
        watch=engine,
        root=home.local.absolute(),
        close=engine.close,
    )
    fleet = Fleet(local=local, make=reaches.make, entries=entries, used=UsedHosts(log, States()))

    def close() -> None:
        fleet.close()
        reaches.close()

    return fleet, known, close
