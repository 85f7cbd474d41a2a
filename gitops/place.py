"""Where the SSH server of a host is: a name or an address, and a port."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_PORT = 22


class HostPlace(NamedTuple):
    """Where the SSH server of a host is."""

    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"
