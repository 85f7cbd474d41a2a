"""Letting a host pull from a registry on this machine's loopback, under the very name that it has here.

An image's reference is part of a Manifest and the same on every host, and `127.0.0.1:5000` is a name that
engines trust without a certificate. So the port is offered through the host's own connection. Which ports are
is the operator's word (`registries.<host:port>.offer_to_hosts`): a repository writes references, and must not
open what else listens on the controller's loopback.
"""

from __future__ import annotations

import re

from events.kernel.errors import OutsideError
from projections.converge.site import Site
from projections.transport.port import HOST_PORT_HELD

_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost):(\d{1,5})")


def loopback_port(text: str) -> int | None:
    """The port of `127.0.0.1:5000` and `localhost:5000`, also at the beginning of a reference; else None."""
    found = _LOOPBACK.fullmatch(text.partition("/")[0])
    return None if found is None else int(found[1])


async def offer(site: Site, reference: str) -> None:
    """Before a pull: offer the registry of `reference` to the host, where that is wanted.

    Where somebody listens on that port of the host, that one is meant. Raises OutsideError with a code in
    `HOST_SILENT`.
    """
    port = loopback_port(reference)
    if port is None or port not in site.equipment.offered:
        return
    try:
        await site.transport.offer_port(port)
    except OutsideError as error:
        if error.code != HOST_PORT_HELD:
            raise
        site.tell(f"{error.message}; {error.why}")
