"""What can go wrong with one of three hosts while a Release goes over them, and how it ends again.

A fault strikes through the lab (tests/support/lab_host.py), which knows nothing of the product; some of them
are the operator's: a user who may not log in, a name that leads to another host, and an image that fails on
one host of a batch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.e2e.shop_hosts import PROJECT, Shop
from tests.support.lab_host import LabHost

COMPOSE = """\
services:
  gate: {{image: "{gate}", stop_grace_period: 1s, ports: ["8081:8080"]}}
  web: {{image: "{web}", stop_grace_period: 1s, ports: ["8082:8080"], volumes: ["./pages:/pages:ro"]}}
  store: {{image: "{store}", stop_grace_period: 1s, ports: ["8083:8080"], volumes: ["./pages:/pages:ro"]}}
"""
_PAGES, _PAGE_BYTES = 40, 100_000
_SERVE = """#!/bin/sh
case "$(cat /etc/resolv.conf)" in
*{sick}*) echo "cannot open the database" >&2; exit 3;;
esac
trap 'exit 0' TERM INT
httpd -f -p 8080 -h /www &
wait
"""
_CLOCK_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRest:
    """The folder of an environment on one host."""

    files: dict[str, bytes]  # another content: it was written since
    trees: frozenset[str]  # likewise
    aside: frozenset[str]
    trees_aside: frozenset[str]


@dataclass(slots=True, kw_only=True)
class FaultyShop(Shop):
    """A shop with many files, whose images fail on a host that is sick for their version."""

    version: str = ""
    rests: dict[str, AtRest] = field(default_factory=dict[str, "AtRest"])  # by host, when all was well last

    def merge(self, version: str, *, crashing: str = "") -> str:
        """All services at a version, and other pages."""
        self.version = version
        return Shop.merge(self, version, crashing=crashing)

    def push(self, service: str, version: str, *, crashes: bool = False) -> str:
        """An image of a service in the registry."""
        files = {
            "bin/serve": _SERVE.format(sick=_sick(version)),
            "www/index.html": f"{service} {version}\n",
        }
        image = (
            self.images.crashing(version, name=service)
            if crashes
            else self.images.make(service, version, command=["/bin/serve"], files=files)
        )
        return self.registry.push(self.engine, image, f"{self.name}/{service}", version)

    def commit(self, message: str) -> str:
        """What stands in the fields."""
        project = PROJECT.format(name=self.name, rollout=self.rollout, settle=self.settle)
        pages = {f"pages/{number}": f"{self.version} " * (_PAGE_BYTES // 5) for number in range(_PAGES)}
        files = {"stagecraft.yml": project, "compose.yaml": COMPOSE.format(**self.versions), **pages}
        return self.repository.commit(files, message)

    def log_in_as(self, user: str, host: str) -> None:
        """Let the operator's file name another user of a host."""
        self._place(host, user=user)

    def take_for_another(self, host: str) -> None:
        """Let the operator's file give a host the address of another one."""
        other = next(name for name in self.lab.hosts if name != host)
        self._place(host, address=str(self.lab.host(other).address))

    def _place(self, host: str, **words: str) -> None:
        path = Path(self.cli.environment["STAGECRAFT_HOME"]) / "controller.yml"
        settings = yaml.safe_load(path.read_text())
        settings["network"]["static"]["hosts"][host].update(words)
        path.write_text(yaml.safe_dump(settings))

    def mend(self) -> None:
        """End every fault."""
        for host in self.lab.hosts.values():
            host.path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.registry.go_on()
        self.lab.heal()
        self.settle_in()


Strike = Callable[[FaultyShop, LabHost], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong with a host."""

    strike: Strike
    silent: bool = False  # while it lasts the host cannot be asked
    engine: bool = False  # its engine is away or was: what ran there may end without anybody's doing
    at_start: bool = False  # it has a meaning only before a command begins


def _sick(version: str) -> str:
    return f"{version}.fails.test"


def _restart_ssh(host: LabHost) -> None:
    host.stop_ssh()
    host.start_ssh()


def _restart_engine(host: LabHost) -> None:
    host.kill_engine()
    host.start_engine()


def _fall_sick(shop: FaultyShop, host: LabHost) -> None:
    path = host.path("/etc/resolv.conf")
    path.write_text(f"nameserver 127.0.0.1\nsearch {_sick(shop.version)}\n")


FAULTS: Mapping[str, Fault] = {
    "host cut": Fault(strike=lambda _, host: host.cut(), silent=True),
    "sshd killed": Fault(strike=lambda _, host: host.stop_ssh(), silent=True),
    "sshd restarted": Fault(strike=lambda _, host: _restart_ssh(host)),
    "sshd frozen": Fault(strike=lambda _, host: host.freeze_ssh(), silent=True),
    "engine killed": Fault(strike=lambda _, host: host.kill_engine(), silent=True, engine=True),
    "engine restarted": Fault(strike=lambda _, host: _restart_engine(host), engine=True),
    "engine frozen": Fault(strike=lambda _, host: host.freeze_engine(), silent=True, engine=True),
    "disk full": Fault(strike=lambda _, host: host.fill()),
    "clock off": Fault(strike=lambda _, host: host.clock_off(_CLOCK_SECONDS)),
    "host key changed": Fault(strike=lambda _, host: host.new_host_key(), silent=True),
    "wrong user": Fault(
        strike=lambda shop, host: shop.log_in_as("nobody", host.name), silent=True, at_start=True
    ),
    "user without rights": Fault(
        strike=lambda shop, host: shop.log_in_as("guest", host.name), silent=True, at_start=True
    ),
    "two names for one host": Fault(
        strike=lambda shop, host: shop.take_for_another(host.name), silent=True, at_start=True
    ),
    "registry gone": Fault(strike=lambda shop, _: shop.registry.freeze()),
    "half a batch fails": Fault(strike=_fall_sick, at_start=True),
}
