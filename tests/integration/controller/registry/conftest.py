"""What the tests of the registry client share: a client, images as documents, a home of Docker's own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.registry.client import Found, RegistryClient
from controller.registry.credentials import DockerCredentials
from events.kernel.errors import OutsideError
from tests.support.time import FakeClock


@dataclass(slots=True)
class Asker:
    """Asks registries as a person whose home is `home`."""

    home: Path
    clock: FakeClock = field(default_factory=FakeClock)
    plain_http: dict[str, bool] = field(default_factory=dict[str, bool])
    path: str = os.environ["PATH"]
    client: RegistryClient = field(init=False)

    def __post_init__(self) -> None:
        environment = {"HOME": str(self.home), "PATH": f"{self.home}/bin:{self.path}"}
        self.client = RegistryClient(
            credentials=DockerCredentials(environment=environment, clock=self.clock),
            clock=self.clock,
            plain_http=self.plain_http,
        )

    def find(self, ref: str, *, known: str | None = None) -> Found:
        return asyncio.run(self.client.find(ref, known=known))

    def fails(self, ref: str) -> OutsideError:
        with pytest.raises(OutsideError) as caught:
            self.find(ref)
        return caught.value

    def configure(self, **sections: Any) -> None:  # noqa: ANN401  # JSON
        """Write Docker's configuration."""
        folder = self.home / ".docker"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(sections))

    def log_in(self, address: str, user: str, password: str) -> None:
        """Keep a password as `docker login` does without a helper."""
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.configure(auths={address: {"auth": pair}})

    def helper(self, name: str, script: str) -> None:
        """Put a credential helper on PATH."""
        program = self.home / "bin" / f"docker-credential-{name}"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def asker(isolated_home: Path) -> Asker:
    return Asker(isolated_home)
