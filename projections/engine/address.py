"""Where an engine is: one reading of DOCKER_HOST for the SDK and for the Compose client.

Both would read it themselves, and could then speak to different engines. TLS comes from the environment
only, beside DOCKER_HOST, because that is where its certificates are named.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_URL = "unix:///var/run/docker.sock"

_TLS_VARIABLES = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """An address as Docker's tools write it, with the variables that say how to speak TLS to it."""

    url: str  # unix://…, tcp://…
    elsewhere: bool = False  # whether its socket here leads to another machine
    tls: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def chosen(cls, url: str | None) -> EngineAddress:
        """`url`, else what DOCKER_HOST says, else the local socket."""
        if url is not None:
            return cls(url=url)
        tls = {name: os.environ[name] for name in _TLS_VARIABLES if name in os.environ}
        return cls(url=os.environ.get("DOCKER_HOST") or DEFAULT_URL, tls=tls)

    @property
    def local(self) -> bool:
        """Whether the engine runs on this machine."""
        return self.socket_path is not None and not self.elsewhere

    @property
    def socket_path(self) -> Path | None:
        """The socket of this machine at which it is spoken with, None when there is none."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None

    @property
    def variables(self) -> dict[str, str]:
        """The environment that leads a Docker tool there."""
        return {"DOCKER_HOST": self.url, **self.tls}

    def knock(self, *, seconds: float) -> None:
        """Raise OSError when nobody listens at a local engine's socket.

        The SDK would find out too, with a text that hides why, and would lose the socket it tried with. At a
        socket that leads elsewhere somebody always listens, and each knock would be a way there and back.
        """
        if self.local:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(seconds)
                probe.connect(self.url.partition("://")[2])

    def machine(self, *, name: str) -> str:
        """The id of the machine there; where it cannot be read, its `name`, which outlives a boot too."""
        if self.local and _MACHINE_ID.is_file() and (machine_id := _MACHINE_ID.read_text().strip()):
            return machine_id
        return f"name:{name}"
