"""A shop on three hosts: a gateway, the app on two of them, a store; and who deploys it over SSH."""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import yaml
from docker.client import DockerClient

from tests.lab.up import controller_settings
from tests.support.cli import COMMAND, Outcome, Stagecraft
from tests.support.images import TestImages
from tests.support.lab_hosts import Lab
from tests.support.registry import Registry
from tests.support.repos import Repository

PROJECT = """\
project: {{name: {name}}}
hosts: {{gateway: [h1], app: [h1, h2], db: [h3]}}
services:
  gate: {{role: gateway}}
  store: {{role: db}}
environments:
  prod:
    gate: {{settle: {settle}, deadline: 20s}}
    rollout: {rollout}
"""
COMPOSE = """\
services:
  gate: {{image: "{gate}", stop_grace_period: 1s, ports: ["8081:8080"]}}
  web: {{image: "{web}", stop_grace_period: 1s, ports: ["8082:8080"]}}
  store: {{image: "{store}", stop_grace_period: 1s, ports: ["8083:8080"]}}
"""
PLACES = {"gate": ("h1", 8081), "web h1": ("h1", 8082), "web h2": ("h2", 8082), "store": ("h3", 8083)}
USERS = {"h2": "deploy", "h3": "operator"}  # in the group docker; with sudo
LOOK_SECONDS = 120.0
CONNECT_SECONDS = 5  # what each look at a host that is cut off costs
ANSWER_SECONDS = 5


_AnyShop = TypeVar("_AnyShop", bound="Shop")


@dataclass(slots=True, kw_only=True)
class Shop:
    """Merges, looks and asks; images are in the registry under the version's name."""

    lab: Lab
    repository: Repository
    cli: Stagecraft
    images: TestImages
    registry: Registry
    engine: DockerClient  # of this machine, which the images come from
    name: str = field(default_factory=lambda: f"shop-{uuid4().hex[:8]}")
    rollout: str = "{hosts: {canary: h2}}"
    settle: str = "300ms"
    versions: dict[str, str] = field(default_factory=dict[str, str])  # by service, as references

    def settle_in(self) -> None:
        """The operator's file, which reaches the lab's hosts and lets the repository name them."""
        home = Path(self.cli.environment["STAGECRAFT_HOME"])
        home.mkdir(exist_ok=True)
        listed = {"url": str(self.repository.origin), "hosts": ["h*"]}
        offered = {self.registry.address: {"offer_to_hosts": True}}
        reached = controller_settings(self.lab)
        reached["ssh"]["connect_seconds"] = CONNECT_SECONDS
        for host, user in USERS.items():
            reached["network"]["static"]["hosts"][host]["user"] = user
        settings = {**reached, "repositories": [listed], "registries": offered}
        (home / "controller.yml").write_text(yaml.safe_dump(settings))
        self.on("h2", "install -d -o deploy /var/lib/stagecraft")  # who has no sudo needs an administrator
        self.cli.run("hosts", "bootstrap", "h1", "h2", "h3", "--yes", seconds=LOOK_SECONDS).expect(0)

    def push(self, service: str, version: str, *, crashes: bool = False) -> str:
        """An image of a service in the registry."""
        image = (
            self.images.crashing(version, name=service) if crashes else self.images.web(version, name=service)
        )
        return self.registry.push(self.engine, image, f"{self.name}/{service}", version)

    def merge(self, version: str, *, crashing: str = "") -> str:
        """All services at a version, of which one may crash."""
        for service in ("gate", "web", "store"):
            self.versions[service] = self.push(service, version, crashes=service == crashing)
        return self.commit(f"version {version}")

    def commit(self, message: str) -> str:
        """What stands in the fields."""
        project = PROJECT.format(name=self.name, rollout=self.rollout, settle=self.settle)
        files = {"stagecraft.yml": project, "compose.yaml": COMPOSE.format(**self.versions)}
        return self.repository.commit(files, message)

    def look(self) -> Outcome:
        """One look of the controller, however it ends."""
        return self.cli.run("controller", "run", "--once", seconds=LOOK_SECONDS)

    @contextlib.contextmanager
    def looking(self) -> Generator[subprocess.Popen[bytes]]:
        """A look that goes on beside the test; ended with the block."""
        command: list[str | Path] = [COMMAND, "controller", "run", "--once"]
        with subprocess.Popen(
            command,
            cwd=self.cli.cwd,
            env={**os.environ, **self.cli.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def replaced(self, service: str) -> str:
        """The host on which the newest Release exchanged a service last; empty: on none yet."""
        release = self.cli.ok("releases", "list", "--json").json()[0]["id"]
        events = self.cli.ok("events", "list", "--json", "--type", "ServiceReplaced").json_lines()
        found = [one["data"] for one in events if one["stream"] == f"release/{release}"]
        return next((one["host"] for one in reversed(found) if one["service"] == service), "")

    def answers(self) -> dict[str, str]:
        """What each container says to a GET from here, by its place."""
        return {place: self._answer(host, port) for place, (host, port) in PLACES.items()}

    def _answer(self, host: str, port: int) -> str:
        try:
            url = f"http://{self.lab.host(host).address}:{port}/"
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as response:
                body: bytes = response.read()
                return body.decode().strip()
        except OSError as error:
            return f"no answer: {error}"

    def verdict(self) -> dict[str, Any]:
        """The newest verdict of a Release: its type and its data."""
        kinds = ("ReleaseCompleted", "ReleaseFailed", "ReleaseRolledBack")
        events: list[dict[str, Any]] = self.cli.ok("events", "list", "--json").json_lines()
        newest = [one for one in events if one["type"] in kinds][-1]
        return {"type": newest["type"], **newest["data"]}

    def statuses(self) -> dict[str, str]:
        """How the newest verdict says that each host ended."""
        hosts: dict[str, dict[str, str]] = self.verdict()["hosts"]
        return {host: said["status"] for host, said in hosts.items()}

    def _inspected(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for place, (host, _port) in PLACES.items():
            with contextlib.closing(self.lab.host(host).client()) as client:
                service = place.split()[0]
                labels = [f"stagecraft.project={self.name}", f"stagecraft.service={service}"]
                (one,) = client.containers.list(filters={"label": labels})
                found[place] = one.attrs
        return found

    def births(self) -> dict[str, str]:
        """When the container at each place was made, by the engines."""
        return {place: str(one["Created"]) for place, one in self._inspected().items()}

    def containers(self) -> dict[str, str]:
        """The ids of what runs at each place."""
        return {place: str(one["Id"]) for place, one in self._inspected().items()}

    def clear(self) -> None:
        """Leave nothing of it on the hosts."""
        for host in self.lab.hosts.values():
            with contextlib.closing(host.client()) as client:
                for one in client.containers.list(
                    all=True, filters={"label": f"stagecraft.project={self.name}"}
                ):
                    one.remove(force=True, v=True)
                client.networks.prune()

    def on(self, host: str, command: str) -> str:
        """What a command of an operator says that logs in there."""
        return self.lab.ssh(host, command)


class OpenShop(Protocol):
    """Opens a shop of a kind on the lab's hosts, with a registry of its own."""

    def __call__(self, kind: type[_AnyShop], /) -> _AnyShop: ...


def everywhere(version: str) -> dict[str, str]:
    """What `answers` is when every service runs at a version."""
    return {place: f"{place.split()[0]} {version}" for place in PLACES}
