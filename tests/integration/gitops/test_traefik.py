"""Traefik itself reads the files that a gateway is given: what they say is what it does."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from events.routes import Route
from gitops.compose.traefik import (
    DYNAMIC_FILE,
    DYNAMIC_FOLDER,
    FOLDER,
    OWN_DYNAMIC_FOLDER,
    STATIC_FILE,
    USERS_VARIABLE,
    Traefik,
    dynamic_file,
    static_file,
)
from gitops.entrances import ADMIN_ENTRANCE, ADMIN_PORT
from projections.edge.port import Backends, Server
from projections.edge.traefik_files import ADMIN_FILE, admin_file, file_name, written
from tests.support.processes import free_port, wait_until
from tests.support.webserver import Asked, Reply, web_server

SECONDS = 60.0
PASSWORD = "a-long-walk"  # noqa: S105  # made up
ENTRY = f"me:{{SHA}}{base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()}"  # noqa: S324  # a form that Traefik takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A Traefik that runs; ports by their names in our file."""

    ports: dict[str, int]
    watched: Path  # its folder of routes

    def answer(
        self, entry: str, path: str, *, login: str = "", host: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[entry]}{path}")
        if host:
            request.add_header("Host", host)
        request.add_header("Origin", "https://login.example.org")
        if login:
            request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310  # http, to this machine
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def is_up(self) -> bool:
        try:
            self.answer("web", "/")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def routers(self) -> list[dict[str, Any]]:
        """All routers, as the dashboard's interface tells them."""
        status, _headers, body = self.answer("traefik", "/api/http/routers", login=f"me:{PASSWORD}")
        assert status == 200
        found: list[dict[str, Any]] = json.loads(body)
        return found


@contextmanager
def running(folder: Path, traefik: Traefik, *, users: str, more: str = "") -> Generator[Gateway]:
    """The program with our files, below `folder` instead of its own and on free ports."""
    names = {":80": "web", ":443": "websecure", ":8080": "traefik", f":{ADMIN_PORT}": ADMIN_ENTRANCE}
    ports = {name: free_port() for name in names.values()}

    def here(content: bytes) -> str:
        text = content.decode().replace(FOLDER, str(folder))
        for said, name in names.items():
            text = text.replace(f"address: {said}\n", f"address: 127.0.0.1:{ports[name]}\n")
        return text

    for path, text in (
        (STATIC_FILE, here(static_file(traefik))),
        (DYNAMIC_FILE, here(dynamic_file(traefik))),
        (f"{OWN_DYNAMIC_FOLDER}/more.yml", more),
    ):
        target = Path(path.replace(FOLDER, str(folder)))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    program = Path(sysconfig.get_path("scripts")) / "traefik"
    static = STATIC_FILE.replace(FOLDER, str(folder))
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(program), f"--configFile={static}"],
            env={USERS_VARIABLE: users},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            gateway = Gateway(ports=ports, watched=Path(DYNAMIC_FOLDER.replace(FOLDER, str(folder))))
            wait_until(f"Traefik: {log.read_text()}", gateway.is_up, seconds=SECONDS)
            yield gateway
        finally:
            process.kill()


ALL = Traefik(
    acme=False,
    dashboard=True,
    hsts=True,
    origins=("https://login.example.org",),
    services=(("api", "http://127.0.0.1:9/"),),  # where nobody is: 502
)
OWN = "http: {routers: {mine: {entryPoints: [web], rule: 'PathPrefix(`/mine`)', service: api}}}\n"


def test_the_dashboard_is_for_the_user_of_the_host_and_the_own_folder_is_read(tmp_path: Path) -> None:
    with running(tmp_path, ALL, users=ENTRY, more=OWN) as gateway:
        wait_until("our files", lambda: gateway.answer("web", "/mine")[0] == 502, seconds=SECONDS)
        wait_until("a login", lambda: gateway.answer("traefik", "/api/version")[0] == 401, seconds=SECONDS)
        assert gateway.answer("traefik", "/api/version", login="me:other")[0] == 401
        found = {one["name"]: one["status"] for one in gateway.routers() if one["provider"] == "file"}
        assert found == {"dashboard@file": "enabled", "mine@file": "enabled"}
        _status, headers, _body = gateway.answer("web", "/mine")
        assert headers["Access-Control-Allow-Origin"] == "https://login.example.org"


def test_without_users_nobody_sees_the_dashboard(tmp_path: Path) -> None:
    with running(tmp_path, ALL, users="", more=OWN) as gateway:
        wait_until("our files", lambda: gateway.answer("web", "/mine")[0] == 502, seconds=SECONDS)
        for login in ("", ":", "me:", f"me:{PASSWORD}"):
            assert gateway.answer("traefik", "/api/version", login=login)[0] == 404


def test_a_gateway_that_is_to_do_nothing_special_starts(tmp_path: Path) -> None:
    with running(tmp_path, Traefik(acme=False), users="") as gateway:
        assert gateway.answer("web", "/")[0] == 404


def backends(port: int, address: str) -> Backends:
    """What the controller tells of the service `web`."""
    route = Route(host="shop.example.org", path="/shop", service="web", port=port)
    one = Server(host="local", container="c" * 64, addresses={port: address})
    return Backends(name="hello-prod-web", service="web", routes=(route,), servers=(one,))


def put(gateway: Gateway, name: str, content: bytes) -> None:
    """A file of the watched folder in one step, as the controller writes it."""
    aside = gateway.watched / f".{name}.aside"
    aside.write_bytes(content)
    aside.rename(gateway.watched / name)


def test_a_route_that_is_written_into_the_folder_is_followed_and_one_that_goes_is_forgotten(
    tmp_path: Path,
) -> None:
    def asked() -> tuple[int, bytes]:
        status, _headers, body = gateway.answer("web", "/shop/x", host="shop.example.org")
        return status, body

    def says(words: bytes) -> Callable[[Asked], Reply]:
        return lambda _asked: Reply(body=words)

    with (
        web_server(says(b"first")) as first,
        web_server(says(b"second")) as second,
        running(tmp_path, Traefik(acme=False), users="") as gateway,
    ):
        name = file_name("web")
        assert asked()[0] == 404
        for server, words in ((first, b"first"), (second, b"second")):
            put(gateway, name, written(backends(8000, server.address)))
            wait_until("another answer", lambda: asked()[1] == words, seconds=SECONDS)  # noqa: B023  # at once
        assert gateway.answer("web", "/", host="shop.example.org")[0] == 404
        assert gateway.answer("web", "/shop", host="other.example.org")[0] == 404
        (gateway.watched / name).unlink()
        wait_until("no route", lambda: asked()[0] == 404, seconds=SECONDS)


def test_the_admin_port_answers_who_logs_in_and_nobody_without_the_file_for_it(tmp_path: Path) -> None:
    def asked(path: str, login: str = "") -> int:
        return gateway.answer(ADMIN_ENTRANCE, path, login=login)[0]

    with running(tmp_path, Traefik(acme=False), users="") as gateway:
        assert {asked(path, f"me:{PASSWORD}") for path in ("/", "/api/version", "/metrics")} == {404}
        put(gateway, ADMIN_FILE, admin_file(users={"me": ENTRY.removeprefix("me:")}))
        wait_until("the door", lambda: asked("/api/version") == 401, seconds=SECONDS)
        wait_until("counters", lambda: asked("/metrics", f"me:{PASSWORD}") == 200, seconds=SECONDS)
        assert asked("/metrics") == 401
        assert asked("/api/version", "me:other") == 401
        assert asked("/api/http/services", f"me:{PASSWORD}") == 200
        assert asked("/dashboard/", f"me:{PASSWORD}") == 404
        assert gateway.answer("web", "/api/version", login=f"me:{PASSWORD}")[0] == 404


def test_a_gateway_that_nobody_tells_of_routes_has_no_admin_port(tmp_path: Path) -> None:
    with running(tmp_path, Traefik(acme=False, told=False), users="") as gateway:
        assert gateway.answer("web", "/")[0] == 404
        with pytest.raises(OSError, match="refused"):
            gateway.answer(ADMIN_ENTRANCE, "/api/version")
