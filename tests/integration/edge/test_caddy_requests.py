"""What a real Caddy does with requests, once it was brought to what our files say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError, UserError
from events.routes import Route
from projections.edge.caddy import CaddyEdge
from projections.edge.port import ROUTE_NOT_CONFIRMED, Backends, Page, Server
from projections.transport.local import LocalTransport
from tests.contract.edges import backends
from tests.contract.test_edges import MANY
from tests.support.caddy import CaddyProcess, caddy_process
from tests.support.processes import free_port
from tests.support.traefik import process_place
from tests.support.webserver import Asked, Reply, web_server

PATIENCE = 20.0
HOST = "web.localhost"
PLAIN = Route(host=HOST, service="web", port=8080)


@dataclass(frozen=True, slots=True)
class Scene:
    """A Caddy, and how it is told."""

    process: CaddyProcess

    @property
    def edge(self) -> CaddyEdge:
        running = self.process
        place = process_place(
            running.folder,
            admin=running.admin,
            runs=lambda: running.process is not None,
            transport=LocalTransport("h1"),
        )
        return CaddyEdge(place, running.gateway)

    def serve(
        self,
        *servers: Server,
        routes: tuple[Route, ...] = (PLAIN,),
        service: str = "web",
        page: Page | None = None,
    ) -> None:
        """Tell it, and wait until it does so."""
        told = Backends(
            name=f"shop-prod-{service}", service=service, routes=routes, servers=servers, page=page
        )

        async def run() -> None:
            await self.edge.tell(told)
            await self.edge.confirm(told, seconds=PATIENCE)

        asyncio.run(run())

    def says(self, path: str = "/", *, host: str = HOST, cookie: str = "") -> tuple[str, str]:
        """The body of an answer, or its status when it is none, and the cookie that it sets."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.process.entrances['web']}{path}")
        request.add_header("Host", host)
        if cookie:
            request.add_header("Cookie", cookie)
        try:
            with asked(request) as answer:
                return answer.read().decode(), answer.headers["Set-Cookie"] or ""
        except urllib.error.HTTPError as error:
            with error:
                return str(error.code), ""

    def change(self, path: str, value: object) -> None:
        """Somebody else puts something into its configuration."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.process.admin}{path}",
            data=json.dumps(value).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with asked(request) as answer:
            assert answer.status == HTTPStatus.OK


def asked(request: urllib.request.Request) -> HTTPResponse:
    """What comes back; asked again where Caddy, as it takes a configuration over, closes a connection."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer: HTTPResponse = urllib.request.urlopen(request, timeout=10)  # noqa: S310  # as above
        except urllib.error.HTTPError:
            raise
        except (ConnectionError, urllib.error.URLError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return answer


@pytest.fixture
def scene(tmp_path: Path) -> Generator[Scene]:
    with caddy_process(tmp_path) as process:
        yield Scene(process)


@contextlib.contextmanager
def saying(text: str) -> Generator[str]:
    """The address of a server that says this."""

    def answer(asked: Asked) -> Reply:
        del asked
        return Reply(body=text.encode())

    with web_server(answer) as server:
        yield server.address


def at(address: str, *, weight: int = 1) -> Server:
    return Server(host="h1", container="c" * 64, addresses={8080: address}, weight=weight)


def test_requests_go_to_those_who_serve_by_their_shares(scene: Scene) -> None:
    sticky = PLAIN.model_copy(update={"sticky": True})
    with saying("one") as one, saying("two") as two:
        scene.serve(at(one))
        assert {scene.says()[0] for _ in range(4)} == {"one"}
        scene.serve(at(one, weight=3), at(two))
        assert Counter(scene.says()[0] for _ in range(8)) == {"one": 6, "two": 2}
        scene.serve(at(one), at(two), routes=(sticky,))
        first, cookie = scene.says()
        assert {scene.says(cookie=cookie.partition(";")[0])[0] for _ in range(4)} == {first}
        scene.serve(at(two))
        assert {scene.says()[0] for _ in range(4)} == {"two"}
        scene.serve()
        assert scene.says()[0] == "503"


def test_a_page_is_shown_where_nobody_may_answer_and_its_status_says_so(scene: Scene) -> None:
    def answer(one: Asked) -> Reply:
        return Reply(body=f"{one.method} {one.path}: back at noon".encode())

    def visit() -> tuple[int, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{scene.process.entrances['web']}/some/where?x=1",
            data=b"a form",
            headers={"Host": HOST},
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            asked(request)
        with caught.value as found:
            return found.code, found.read().decode()

    with web_server(answer) as server, saying("one") as one:
        shown = Page(port=8080, path="/down.html", servers=(at(server.address),))
        scene.serve(page=shown)
        assert visit() == (503, "GET /down.html: back at noon")
        for servers in ((at(f"127.0.0.1:{free_port()}"),), ()):
            scene.serve(page=shown.model_copy(update={"servers": servers}))
            assert visit() == (503, ""), "nobody serves the page either"
        scene.serve(at(one))
        assert scene.says()[0] == "one"


def test_the_closest_route_wins_and_what_others_configured_stays(scene: Scene) -> None:
    own = {
        "listen": [f":{scene.process.entrances['web']}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [{"handler": "static_response", "body": "theirs"}]}],
    }
    scene.change("/config/apps/http", {"servers": {"own": own}})
    with saying("one") as one, saying("two") as two, saying("three") as three:
        scene.serve(
            at(one), routes=(Route(host="*.example.localhost", service="all", port=8080),), service="all"
        )
        scene.serve(at(two), routes=(Route(host="a.example.localhost", service="web", port=8080),))
        api = Route(host="a.example.localhost", path="/api", service="api", port=8080)
        scene.serve(at(three), routes=(api,), service="api")
        assert scene.says("/x", host="b.example.localhost")[0] == "one"
        assert scene.says("/x", host="a.example.localhost")[0] == "two"
        assert scene.says("/api/x", host="a.example.localhost")[0] == "three"
        assert scene.says(host="other.localhost")[0] == "theirs"

        async def forget() -> None:
            await scene.edge.forget("web")
            await scene.edge.confirm_gone("shop-prod-web", seconds=PATIENCE)

        asyncio.run(forget())
        assert scene.says("/x", host="a.example.localhost")[0] == "one"
        assert scene.says(host="other.localhost")[0] == "theirs"


def test_started_anew_it_knows_its_routes_once_they_are_confirmed(scene: Scene) -> None:
    with saying("one") as one:
        scene.serve(at(one))
        scene.process.stop()
        scene.process.start()
        told = asyncio.run(scene.edge.told()).backends["web"]
        asyncio.run(scene.edge.confirm(told, seconds=PATIENCE))
        assert scene.says()[0] == "one"


def test_what_it_refuses_is_not_confirmed_and_the_former_routes_stay(scene: Scene) -> None:
    with saying("one") as one, socket.create_server(("", scene.process.entrances["websecure"])):
        scene.serve(at(one))
        taken = backends("web", "aa", routes=(PLAIN.model_copy(update={"entry_point": "websecure"}),))

        async def run() -> OutsideError:
            await scene.edge.tell(taken)
            with pytest.raises(OutsideError) as caught:
                await scene.edge.confirm(taken, seconds=0.1)
            return caught.value

        error = asyncio.run(run())
        assert error.code == ROUTE_NOT_CONFIRMED
        assert "address already in use" in error.why
        assert scene.says()[0] == "one"


def test_bytes_and_unknown_entry_points_are_refused(scene: Scene) -> None:
    for route in (MANY[-1], PLAIN.model_copy(update={"entry_point": "other"})):
        with pytest.raises(UserError):
            asyncio.run(scene.edge.tell(backends("web", routes=(route,))))
    assert not asyncio.run(scene.edge.told()).backends
