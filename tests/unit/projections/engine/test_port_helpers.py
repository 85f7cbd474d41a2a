"""The engine's own helpers, which hold published ports, among the words of processes."""

from __future__ import annotations

import pytest

from projections.engine.port_helpers import helped
from projections.engine.ports import WantedPort

PROXY = b"/usr/bin/docker-proxy\0-proto\0tcp\0-host-ip\0::\0-host-port\0%d\0-container-ip\0172.17.0.2"
LOOKING = b"grep\0-ahs\0docker-proxy\0-host-port\08080\0/proc/1/cmdline\0"


def wanted(first: int, last: int = 0, protocol: str = "tcp") -> WantedPort:
    return WantedPort(service="web", address="", first=first, last=last or first, protocol=protocol)


@pytest.mark.parametrize(
    ("port", "listing", "is_helped"),
    [
        (wanted(8080), PROXY % 8080, True),
        (wanted(8080), b"\n".join([LOOKING, PROXY % 80, PROXY % 8080]), True),
        (wanted(8079, 8081), PROXY % 8080 + b"\0", True),
        (wanted(8080), PROXY % 80, False),
        (wanted(8080, protocol="udp"), PROXY % 8080, False),
        (wanted(8080), LOOKING, False),
        (wanted(8080), b"docker-proxy\0-host-port\0", False),
        (wanted(8080), b"docker-proxy\0-host-port\0\xff", False),
        (wanted(8080), b"", False),
    ],
)
def test_a_helper_is_known_by_its_words(port: WantedPort, listing: bytes, *, is_helped: bool) -> None:
    assert helped(port, listing) == is_helped
