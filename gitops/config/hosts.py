"""The rules for the hosts of `controller.yml` that no single key can be checked by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.streams import LOCAL_HOST
from gitops.config.faults import Fault

if TYPE_CHECKING:
    from gitops.config.document import Document
    from gitops.config.operator import OperatorNetworkSection

LOCAL_LISTED = "`local` is this machine's own engine and has no address; give the host another name"


def host_faults(document: Document, network: OperatorNetworkSection) -> list[Fault]:
    """A fault for a host that cannot be listed."""
    if LOCAL_HOST not in network.static.hosts:
        return []
    return [document.fault(("network", "static", "hosts", LOCAL_HOST), LOCAL_LISTED)]
