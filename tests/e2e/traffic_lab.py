"""An app and its gateway on different hosts of a lab, and what can go wrong in the middle of a switch.

A fault strikes through the lab or through an engine, which know nothing of the product. `lossless` says of it
whether requests may be lost: they may where what passes them on is gone itself, and nowhere else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from docker.client import DockerClient
from docker.models.containers import Container

from tests.e2e.traffic_shop import DYNAMIC, NAME, TrafficShop, answers, apps_of, check_told, clients
from tests.lab.up import controller_settings
from tests.support.lab_host import LabHost
from tests.support.lab_hosts import Lab
from tests.support.lab_machine import CommandFailedError
from tests.support.load_wire import Target
from tests.support.traffic_images import traefik_image

PUBLISHED = 8081
GATEWAY, SECOND, APP = "h1", "h3", "h2"
MOST_LOOKS = 6
_ADMIN_PORT = 8099
_BAD_FILE = "zz-somebody.yml"
_CLOSED = ("OUTPUT", "-p", "tcp", "--dport", str(_ADMIN_PORT), "-j", "DROP")


@dataclass(slots=True, kw_only=True)
class LabShop(TrafficShop):
    """The gateway on h1, or on h1 and h3; the app on h2."""

    lab: Lab
    engine: DockerClient  # of this machine, which the images come from
    gateways: tuple[str, ...] = (GATEWAY,)
    versions: dict[str, str] = field(default_factory=dict[str, str])  # by commit

    def settle_in(self) -> None:
        """The operator's file; the hosts have the gateway's image."""
        self.hosts = f"hosts: {{gateway: [{', '.join(self.gateways)}], app: [{APP}]}}\n"
        self.home.mkdir(exist_ok=True)
        listed = {"url": str(self.repository.origin), "hosts": ["h*"]}
        settings = {**controller_settings(self.lab), "repositories": [listed]}
        (self.home / "controller.yml").write_text(yaml.safe_dump(settings))
        self._spread(traefik_image(self.images), self.gateways)

    def deliver(self, version: str, **environment: str) -> None:
        """Commit a version whose image the app's host has."""
        self.environment = {**self.environment, **environment}
        image = self.image(version)
        self._spread(image, (APP,))
        self.versions[self.merge(image)] = f"app {version}"

    def target(self, host: str = GATEWAY) -> Target:
        """A gateway as one asks it from here."""
        return Target(address=str(self.lab.host(host).address), port=PUBLISHED, name=NAME)

    def folder(self, host: str) -> Path:
        """What the gateway of a host is told."""
        return self.lab.host(host).path(f"/var/lib/stagecraft/apps/{self.name}/prod/{DYNAMIC}")

    def deployed(self) -> str:
        """What the app says at the version that the log calls deployed."""
        status = self.cli.ok("status", "--env", "prod", "--json").json()
        release = self.cli.ok("releases", "show", status["deployed"]["release"], "--json").json()
        return self.versions[release["revision"]]

    def come_to_rest(self) -> None:
        """Look until one version serves everywhere, it is the deployed one, and nobody names the dead."""
        said = ""
        for _ in range(MOST_LOOKS):
            look = self.look()
            try:
                self.check()
            except AssertionError as error:
                said = f"{error}\nthe last look ended with {look.code}:\n{look.stdout}\n{look.stderr}"
            else:
                return
        raise AssertionError(f"after {MOST_LOOKS} looks: {said}")

    def check(self) -> None:
        """One container of one version serves, all gateways are told of it alone, and the log agrees."""
        hosts = {name: self.lab.host(name) for name in {APP, *self.gateways}}
        with clients(hosts) as engines:
            assert len(apps_of(engines[APP], self.name)) == 1
            for gateway in self.gateways:
                check_told(self.folder(gateway), project=self.name, engines=engines, gateway=gateway)
        for gateway in self.gateways:
            said = answers(self.target(gateway))
            assert said == {self.deployed()}, f"{gateway} says {said}, deployed is {self.deployed()}"

    def of_service(self, host: str, service: str) -> Container:
        """Its newest container there."""
        with contextlib.closing(self.lab.host(host).client()) as client:
            labels = [f"stagecraft.project={self.name}", f"stagecraft.service={service}"]
            return client.containers.list(filters={"label": labels})[0]

    def clear(self) -> None:
        """Leave nothing of it on the hosts."""
        for host in self.lab.hosts.values():
            with contextlib.closing(host.client()) as client:
                labels = f"stagecraft.project={self.name}"
                for one in client.containers.list(all=True, filters={"label": labels}):
                    one.remove(force=True, v=True)
                client.networks.prune()

    def mend(self) -> None:
        """End every fault."""
        for name in (GATEWAY, SECOND):
            (self.folder(name) / _BAD_FILE).unlink(missing_ok=True)
            with contextlib.suppress(CommandFailedError):
                self.lab.host(name).run("iptables", "-D", *_CLOSED)
        self.lab.heal()

    def _spread(self, image: str, names: tuple[str, ...]) -> None:
        for name in names:
            with contextlib.closing(self.lab.host(name).client()) as client:
                missing = not client.images.list(name=image)
            if missing:
                self.lab.spread(self.engine, image, names=(name,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    strike: Callable[[LabShop], None]
    after: str = "TrafficSwitched"  # the event in the middle; empty: before the look
    lossless: bool = True


def _kill(shop: LabShop, host: str, service: str) -> None:
    """As the kernel kills for want of memory: the engine learns of it afterwards."""
    pid = shop.of_service(host, service).attrs["State"]["Pid"]
    shop.lab.host(host).run("kill", "-KILL", str(pid))


def _remove(shop: LabShop, host: str, service: str) -> None:
    with contextlib.closing(shop.lab.host(host).client()) as client:
        client.containers.get(shop.of_service(host, service).id or "").remove(force=True)


def _close_admin_port(host: LabHost) -> None:
    """What the controller says to it gets lost, and nobody is told."""
    host.run("iptables", "-I", *_CLOSED)


def _restart_engine(host: LabHost) -> None:
    host.kill_engine()
    host.start_engine()


FAULTS: Mapping[str, Fault] = {
    "Traefik killed before the route moves": Fault(
        strike=lambda shop: _kill(shop, GATEWAY, "gate"), after="PhaseStarted", lossless=False
    ),
    "Traefik killed while the old ones drain": Fault(
        strike=lambda shop: _kill(shop, GATEWAY, "gate"), lossless=False
    ),
    "Traefik removed": Fault(strike=lambda shop: _remove(shop, GATEWAY, "gate"), after="", lossless=False),
    "admin port closed": Fault(strike=lambda shop: _close_admin_port(shop.lab.host(GATEWAY)), after=""),
    "a bad file of somebody's": Fault(
        strike=lambda shop: write_bad_file(shop.folder(GATEWAY)),
        after="",
    ),
    "the new container dies after the route moved": Fault(
        strike=lambda shop: _kill(shop, APP, "web"), lossless=False
    ),
    "disk full on the gateway": Fault(strike=lambda shop: shop.lab.host(GATEWAY).fill(), after=""),
    "engine of the gateway restarted": Fault(
        strike=lambda shop: _restart_engine(shop.lab.host(GATEWAY)), lossless=False
    ),
}


def write_bad_file(folder: Path) -> None:
    """YAML that Traefik cannot take: it takes no change of any file from then on."""
    (folder / _BAD_FILE).write_text("http: {services: {web: {loadBalancer: {srvers: []}}}}\n")
