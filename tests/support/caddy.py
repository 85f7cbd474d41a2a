"""A real Caddy of the test's own, as a process on loopback, with nothing but its admin API.

To the product it is a container like any other; see `tests/support/traefik.py`.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from events.routes import Gateway
from tests.support.processes import free_port, wait_until
from tests.support.traefik import ADMIN_PORT, LOG, PROGRAM, START_SECONDS


@dataclass(slots=True)
class CaddyProcess:
    """The process, or none when it was ended."""

    folder: Path  # the environment's
    admin: int = field(default_factory=free_port)
    entrances: Mapping[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("web", "websecure")}
    )
    process: subprocess.Popen[bytes] | None = None

    @property
    def gateway(self) -> Gateway:
        """What the product knows of it."""
        return Gateway(
            service="gateway",
            kind="caddy",
            admin_port=ADMIN_PORT,
            authenticated=False,
            entry_points=dict(self.entrances),
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "caddy.json"
        # Its own certificates are nobody's to trust, least of all this machine's.
        apps = {"pki": {"certificate_authorities": {"local": {"install_trust": False}}}}
        told = {"admin": {"listen": f"127.0.0.1:{self.admin}"}, "apps": apps}
        settings.write_text(json.dumps(told))
        own = {name: str(self.folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        with (self.folder / LOG).open("ab") as output:
            self.process = subprocess.Popen(
                [str(PROGRAM.with_name("caddy")), "run", "--config", str(settings)],
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until("Caddy", self._listens, seconds=START_SECONDS)

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.admin), timeout=1).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def caddy_process(folder: Path) -> Generator[CaddyProcess]:
    """A Caddy for the environment whose folder is `folder`; it is gone after the block."""
    made = CaddyProcess(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
