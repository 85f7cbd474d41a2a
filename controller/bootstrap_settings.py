"""What the operator's settings make of adapters: a part of `bootstrap.py`, which imports it when it wires.

Settings None: those who neither deploy nor ask a registry get the defaults.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from controller.building import BuildWorkshop
from controller.registry.client import RegistryClient
from controller.registry.credentials import DockerCredentials
from projections.converge.offering import loopback_port
from projections.kept import KeptContainers

if TYPE_CHECKING:
    from controller.home import Home
    from events.kernel.clock import Clock
    from gitops.config.controller import ControllerFile
    from projections.engine.image_ports import ImageBuilder


def offered_ports(settings: ControllerFile | None) -> frozenset[int]:
    """Ports of registries on this machine that hosts elsewhere are to reach."""
    listed = {} if settings is None else settings.registries
    ports = {loopback_port(name) for name, one in listed.items() if one.offer_to_hosts}
    return frozenset(port for port in ports if port is not None)


def kept_containers(home: Home, settings: ControllerFile | None) -> KeptContainers:
    """Where containers that failed a Release are kept, and how many."""
    if settings is None:
        return KeptContainers(home.kept)
    return KeptContainers(home.kept, count=settings.kept.count, age=timedelta(seconds=settings.kept.age))


def workshop(home: Home, settings: ControllerFile, builder: ImageBuilder) -> BuildWorkshop:
    """Where images are built from commits, if the operator lets that be."""
    return BuildWorkshop(
        builder=builder,
        allowed=settings.builds.allowed,
        seconds=settings.builds.deadline,
        scratch=home.run,
    )


def registry_client(settings: ControllerFile | None, clock: Clock) -> RegistryClient:
    """Whoever asks registries, with the credentials of the person or service that we run as."""
    registries = {} if settings is None else settings.registries
    plain = {host.lower(): one.plain_http for host, one in registries.items()}
    return RegistryClient(
        credentials=DockerCredentials(environment=dict(os.environ), clock=clock),
        clock=clock,
        plain_http=plain,
    )
