"""Whole Releases behind another gateway than the usual one, and of requests that are no plain HTTP."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import pytest
import yaml
from docker.client import DockerClient
from typing_extensions import override

from controller.home import Home
from events.sqlite import SqliteEventLog
from tests.e2e.traffic_shop import DYNAMIC, NAME, TrafficShop, answers, apps_of, check_told
from tests.support.cleanup import EngineProject
from tests.support.cli import Stagecraft
from tests.support.http2_call import Call, http2_call
from tests.support.images import TestImages
from tests.support.load import Plan
from tests.support.load_wire import Target
from tests.support.processes import free_port, wait_until
from tests.support.repos import Repository
from tests.support.stream_app import BYTES_PORT, H2C_PORT
from tests.support.traffic_images import caddy_image, stream_image, traefik_image

VISITORS = Plan(rate=50, kept=0, echoes=20, patience=60, most_open=40)
"""None of whom keeps a connection: a Caddy closes those as it takes a configuration over."""
MOST_IN_THAT_MOMENT = 10  # of more than a thousand that a Caddy leaves without an answer; mostly none
RAW_NAME = "raw.test"
PATIENCE = 60.0
DRAIN_SECONDS = 6
SERVICES = {
    "gate": {"role": "gateway"},
    "web": {
        "gate": {"tcp": {"port": BYTES_PORT}},
        "rollout": {"traffic": {"drain_seconds": DRAIN_SECONDS}},
    },
}
ENVIRONMENT = {
    "gateway": "gate",
    "traefik": {"mode": "mkcert", "mkcert_cert_dir": "certs"},
    "routes": [
        {"host": NAME, "service": "web", "port": H2C_PORT, "protocol": "h2c", "tls": True},
        {"host": RAW_NAME, "service": "web", "port": BYTES_PORT, "protocol": "tcp", "tls": True},
        {"host": "*", "service": "web", "port": BYTES_PORT, "protocol": "tcp", "entry_point": "raw"},
    ],
    "probe": {"path": "/", "rate": 20},
    "gate": {"settle": "300ms", "deadline": "20s"},
}
COMPOSE = """\
services:
  gate:
    image: "{gate}"
    stop_grace_period: 1s
    ports: ["127.0.0.1:{safe}:443", "127.0.0.1:{raw}:90"]
    command:
      - --entrypoints.web.address=:80
      - --entrypoints.websecure.address=:443
      - --entrypoints.raw.address=:90
      - --providers.file.directory=/etc/traefik/dynamic
      - --providers.providersThrottleDuration=100ms
      - --api=true
      - --entrypoints.stagecraft.address=:8099
  web: {{image: "{web}", stop_grace_period: 1s}}
"""


class CaddyShop(TrafficShop):
    """The usual app behind a Caddy."""

    @override
    def gate(self) -> str:
        return f'image: "{caddy_image(self.images)}", environment: {{CADDY_ADMIN: "0.0.0.0:2019"}}'


class StreamShop(TrafficShop):
    """An app of HTTP/2 and bytes, behind a Traefik whose settings and certificate are the project's."""

    safe: int = 0  # the gateway's port for TLS
    raw: int = 0  # and for bytes

    @override
    def image(self, version: str) -> str:
        return stream_image(self.images, version)

    @override
    def merge(self, image: str) -> str:
        gate = traefik_image(self.images)
        project = {
            "project": {"name": self.name},
            "services": SERVICES,
            "environments": {"prod": ENVIRONMENT},
        }
        return self.repository.commit(
            {
                "stagecraft.yml": yaml.safe_dump(project),
                "compose.yaml": COMPOSE.format(gate=gate, web=image, safe=self.safe, raw=self.raw),
            }
        )

    def give_certificate(self) -> Path:
        """One that nobody signed but itself, in the repository; answers where it is."""
        folder = self.repository.work / "certs"
        folder.mkdir()
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
        names = ["-addext", f"subjectAltName=DNS:{NAME},DNS:{RAW_NAME}"]
        files = ["-keyout", str(folder / "own-key.pem"), "-out", str(folder / "own.pem")]
        subprocess.run([*made, *names, *files], check=True, capture_output=True)
        return folder / "own.pem"

    def event_time(self, kind: str) -> float:
        """When the newest event of a kind happened, in seconds since the epoch."""
        with contextlib.closing(SqliteEventLog(Home(self.home).events_db)) as log:
            return log.read(type_name=kind)[-1].time.timestamp()


@dataclass(frozen=True, slots=True)
class Talk:
    """A connection over which each line is answered."""

    wire: BufferedIOBase
    close: Callable[[], None]

    def say(self, line: str) -> str:
        """The answer to a line; empty: the connection is cut."""
        self.wire.write(f"{line}\n".encode())
        self.wire.flush()
        return self.rest().decode().strip()

    def rest(self) -> bytes:
        """What is said without being asked."""
        return self.wire.readline()


@contextlib.contextmanager
def bytes_talk(port: int, safely: ssl.SSLContext | None = None) -> Generator[Talk]:
    """A connection of bytes, in TLS for the name of that route where there is a context for it."""
    with contextlib.ExitStack() as stack:
        wire = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        if safely is not None:
            wire = stack.enter_context(safely.wrap_socket(wire, server_hostname=RAW_NAME))
        stream = stack.enter_context(wire.makefile("rwb"))
        yield Talk(stream, lambda: wire.shutdown(socket.SHUT_RDWR))


@pytest.fixture
def target() -> Target:
    return Target(address="127.0.0.1", port=free_port(), name=NAME)


def test_a_caddy_is_told_of_a_push_and_a_bad_one_stays_on_the_old(
    repository: Repository,
    cli: Stagecraft,
    engine_project: EngineProject,
    images: TestImages,
    target: Target,
    engine: DockerClient,
) -> None:
    name, published = engine_project.name, f"127.0.0.1:{target.port}"
    shop = CaddyShop(name=name, repository=repository, cli=cli, images=images, published=published)
    folder = shop.home / "local/apps" / name / "prod" / DYNAMIC
    shop.merge(shop.image("v1"))
    shop.look().expect(0)
    assert answers(target) == {"app v1"}

    with shop.under_load(target, VISITORS) as load:
        shop.merge(shop.image("v2"))
        shop.look().expect(0)
        after_good = answers(target)
        check_told(folder, project=name, engines={"local": engine}, gateway="local")
        shop.merge(images.crashing("v3", name="app"))
        failed = shop.look()
        result = load.end()

    assert failed.code == 1, failed.stdout
    assert after_good == answers(target) == {"app v2"}, failed.stderr
    assert result.failed <= MOST_IN_THAT_MOMENT, result.told()
    assert {one.kind for one in result.lost} <= {"cut", "refused"}, result.told()
    assert result.cut == 0, result.told()
    assert all(one.well for one in result.streams.values()), result.told()
    assert set(result.versions) == {"app v1", "app v2"}
    assert len(apps_of(engine, name)) == 1
    check_told(folder, project=name, engines={"local": engine}, gateway="local")
    rolled_back, completed, _first = shop.releases()
    assert (rolled_back["status"], completed["status"]) == ("rolled_back", "completed")
    proof = completed["traffic"]
    assert proof["failed"] <= MOST_IN_THAT_MOMENT
    assert proof["cut"] == 0
    assert proof["requests"] > 10


def test_bytes_and_a_stream_of_http_2_go_on_while_they_are_drained(
    repository: Repository, cli: Stagecraft, engine_project: EngineProject, images: TestImages
) -> None:
    shop = StreamShop(name=engine_project.name, repository=repository, cli=cli, images=images, published="")
    shop.safe, shop.raw = free_port(), free_port()
    certificate = shop.give_certificate()
    context = ssl.create_default_context(cafile=str(certificate))
    shop.merge(shop.image("v1"))
    shop.look().expect(0)

    def call_anew() -> contextlib.AbstractContextManager[Call]:
        context = ssl.create_default_context(cafile=str(certificate))
        return http2_call(shop.safe, NAME, context, seconds=PATIENCE)

    def asked_anew() -> str:
        with bytes_talk(shop.raw) as talk:
            return talk.say("new")

    with (
        call_anew() as call,
        bytes_talk(shop.safe, context) as safe,
        bytes_talk(shop.raw) as raw,
        ThreadPoolExecutor(1) as pool,
    ):
        kept = (call, safe, raw)
        assert [one.say("before") for one in kept] == ["app v1: before"] * 3
        shop.merge(shop.image("v2"))
        look = pool.submit(shop.look)
        wait_until("the new one answers", lambda: asked_anew() == "app v2: new", seconds=PATIENCE)
        assert [one.say("between") for one in kept] == ["app v1: between"] * 3
        assert not look.done()
        assert call.end(), "the stream ends as a whole"
        assert [one.say("after") for one in (safe, raw)] == ["app v1: after"] * 2
        safe.close()
        assert raw.rest() == b"", "nothing is said to it until it is cut"
        cut_at = time.time()
        look.result(PATIENCE).expect(0)

    assert cut_at - shop.event_time("TrafficSwitched") >= DRAIN_SECONDS
    proof = shop.releases()[0]["traffic"]
    assert (proof["failed"], proof["cut"]) == (0, 1)
    assert proof["requests"] > 10
    with call_anew() as call, bytes_talk(shop.safe, context) as safe:
        assert [one.say("new") for one in (call, safe)] == ["app v2: new"] * 2
