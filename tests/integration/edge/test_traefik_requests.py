"""What a real Traefik does with requests, once it was told by our files and says that it does as told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from events.routes import Route
from projections.edge.folder import FOLDER
from projections.edge.port import GATEWAY_FILE_FOREIGN, Backends, Counters, Page, Place, Server
from projections.edge.traefik import TraefikEdge
from projections.edge.traefik_files import file_name, written
from projections.transport.local import LocalTransport
from tests.support.processes import free_port, wait_until
from tests.support.traefik import GATEWAY, PROGRAM, TraefikProcess, place, traefik_process
from tests.support.webserver import Asked, Reply, web_server

PATIENCE = 20.0
HOST = "web.localhost"
PLAIN = Route(host=HOST, service="web", port=8080)


@dataclass(frozen=True, slots=True)
class Scene:
    """A Traefik, and how it is told."""

    process: TraefikProcess
    place: Place

    def serve(
        self,
        *servers: Server,
        routes: tuple[Route, ...] = (PLAIN,),
        retries: bool = False,
        page: Page | None = None,
    ) -> Backends:
        """Tell it, and wait until it does so."""
        told = Backends(
            name="shop-prod-web", service="web", routes=routes, servers=servers, retries=retries, page=page
        )

        async def run() -> None:
            await self.edge.tell(told)
            await self.edge.confirm(told, seconds=PATIENCE)

        asyncio.run(run())
        return told

    @property
    def edge(self) -> TraefikEdge:
        return TraefikEdge(self.place, GATEWAY, binding_key=b"k" * 32)

    def says(self, path: str = "/", *, host: str = HOST, cookie: str = "") -> str:
        """The body of an answer, or its status when it is none."""
        answer = self.process.ask(path, host=host, headers={"Cookie": cookie} if cookie else None)
        assert answer is not None
        return answer[1] if answer[0] == 200 else str(answer[0])


@pytest.fixture
def scene(tmp_path: Path) -> Generator[Scene]:
    with traefik_process(tmp_path) as process:
        yield Scene(process, place(process, LocalTransport("h1")))


@contextlib.contextmanager
def saying(text: str) -> Generator[str]:
    """The address of a server that says this, and 500 below `/broken`."""

    def answer(asked: Asked) -> Reply:
        return Reply(status=500 if asked.path.startswith("/broken") else 200, body=text.encode())

    with web_server(answer) as server:
        yield server.address


def at(address: str, *, port: int = 8080, weight: int = 1) -> Server:
    return Server(host="h1", container="c" * 64, addresses={port: address}, weight=weight)


def test_requests_go_to_those_who_serve_and_to_nobody_else(scene: Scene) -> None:
    with saying("one") as one, saying("two") as two:
        scene.serve(at(one))
        assert {scene.says() for _ in range(5)} == {"one"}
        scene.serve(at(two))
        assert {scene.says() for _ in range(5)} == {"two"}
        scene.serve(at(one), at(two))
        assert {scene.says() for _ in range(5)} == {"one", "two"}
        scene.serve(at(one, weight=0), at(two))
        assert {scene.says() for _ in range(5)} == {"two"}
        scene.serve()
        assert scene.says() == "503"
        assert scene.says(host="other.localhost") == "404"


def test_shares_are_as_weighed_and_a_visitor_stays(scene: Scene) -> None:
    sticky = PLAIN.model_copy(update={"sticky": True})
    with saying("old") as old, saying("new") as new:
        scene.serve(at(old, weight=9), at(new, weight=1))
        assert Counter(scene.says() for _ in range(40)) == {"old": 36, "new": 4}
        scene.serve(at(old), at(new), routes=(sticky,))
        answer = scene.process.ask("/", host=HOST)
        assert answer is not None
        cookie = answer[2]["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert {scene.says(cookie=cookie.partition(";")[0]) for _ in range(6)} == {answer[1]}
        scene.serve(at(new), routes=(sticky,))
        assert scene.says(cookie=cookie.partition(";")[0]) == "new"


def test_the_closest_route_wins(scene: Scene) -> None:
    def told(port: int, host: str, path: str = "/") -> Route:
        return Route(host=host, path=path, service="web", port=port)

    routes = (
        told(1, "a.example.localhost"),
        told(2, "a.example.localhost", "/api"),
        told(3, "*.example.localhost"),
        told(4, "*.example.localhost", "/a/long/path"),
        told(5, "*"),
    )
    with contextlib.ExitStack() as servers:
        addresses = {number: servers.enter_context(saying(str(number))) for number in range(1, 6)}
        scene.serve(Server(host="h1", container="c" * 64, addresses=addresses), routes=routes)
        asked = {
            "1": ("a.example.localhost", "/a/long/path"),
            "2": ("a.example.localhost", "/api/x"),
            "3": ("b.example.localhost", "/a/long"),
            "4": ("b.example.localhost", "/a/long/path/x"),
            "5": ("b.c.example.localhost", "/a/long/path"),
        }
        assert {name: scene.says(path, host=host) for name, (host, path) in asked.items()} == {
            name: name for name in asked
        }


def test_a_service_that_is_away_for_a_moment_is_asked_again(scene: Scene) -> None:
    port, over = free_port(), threading.Event()

    def later() -> None:
        over.wait(0.5)
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(PATIENCE)
            with server.accept()[0] as taken:
                taken.recv(4096)
                taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback")

    scene.serve(at(f"127.0.0.1:{port}"))
    assert scene.says() == "502"
    scene.serve(at(f"127.0.0.1:{port}"), retries=True)
    back = threading.Thread(target=later)
    back.start()
    try:
        assert scene.says() == "back"
    finally:
        back.join()


def test_a_page_is_shown_where_nobody_may_answer_and_its_status_says_so(scene: Scene) -> None:
    asked: list[tuple[str, str]] = []

    def answer(one: Asked) -> Reply:
        asked.append((one.method, one.path))
        return Reply(body=b"back at noon")

    def visit(path: str) -> tuple[int, str]:
        found = scene.process.ask(path, host=HOST)
        assert found is not None
        return found[0], found[1]

    with web_server(answer) as server, saying("one") as one:
        shown = Page(port=8080, path="/down.html", servers=(at(server.address),))
        scene.serve(page=shown, retries=True)
        assert visit("/some/where?x=1") == (503, "back at noon")
        assert asked == [("GET", "/down.html")]
        told = scene.serve(at(one))
        assert visit("/") == (200, "one")
        counted: Callable[[], Counters] = lambda: asyncio.run(scene.edge.counters(told))  # noqa: E731
        wait_until("it is counted", lambda: counted().requests > 0, seconds=PATIENCE)
        assert counted() == Counters(requests=1, failed=0), "the page is no request of the service"
        scene.serve(page=shown.model_copy(update={"servers": (at(f"127.0.0.1:{free_port()}"),)}))
        assert visit("/")[0] == 503, "nobody serves the page either"
        scene.serve(page=shown.model_copy(update={"servers": ()}))
        assert visit("/")[0] == 503


def test_http_2_without_tls_is_spoken_where_it_is_said(scene: Scene, tmp_path: Path) -> None:
    port = free_port()
    settings = tmp_path / "Caddyfile"
    settings.write_text(
        "{\nadmin off\nauto_https off\nservers {\nprotocols h1 h2c\n}\n}\n"
        f'http://:{port} {{\nrespond "{{http.request.proto}}"\n}}\n'
    )
    argv = [str(PROGRAM.with_name("caddy")), "run", "--config", str(settings), "--adapter", "caddyfile"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as caddy:
        try:
            wait_until("Caddy", lambda: _listens(port), seconds=PATIENCE)
            for protocol, said in (("http", "HTTP/1.1"), ("h2c", "HTTP/2.0")):
                scene.serve(
                    at(f"127.0.0.1:{port}"),
                    routes=(PLAIN.model_copy(update={"protocol": protocol}),),
                )
                assert scene.says() == said
        finally:
            caddy.kill()


def test_a_service_that_ends_tls_itself_needs_no_certificate_for_its_container(
    scene: Scene, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"safe")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's word
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            route = PLAIN.model_copy(update={"protocol": "https"})
            scene.serve(at(f"127.0.0.1:{server.server_address[1]}"), routes=(route,))
            assert scene.says() == "safe"
        finally:
            server.shutdown()
            thread.join()


def test_the_gateway_ends_tls_where_it_is_said(scene: Scene) -> None:
    with saying("one") as one:
        scene.serve(at(one), routes=(PLAIN.model_copy(update={"tls": True}),))
        port = scene.process.ports["websecure"]
        asked = ["curl", "-sk", "--http2", "--resolve", f"{HOST}:{port}:127.0.0.1", f"https://{HOST}:{port}/"]
        ran = subprocess.run(
            [*asked, "-w", " %{http_version}"], check=True, capture_output=True, text=True, timeout=PATIENCE
        )
        assert ran.stdout == "one 2"
        assert scene.says() == "404"


def test_bytes_pass_to_weighed_servers(scene: Scene) -> None:
    route = Route(host="*", service="web", port=9000, protocol="tcp", entry_point="raw")
    with saying("old") as old, saying("new") as new:
        scene.serve(at(old, port=9000, weight=3), at(new, port=9000), routes=(route,))
        port = scene.process.ports["raw"]

        def said() -> str:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
                stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: stream.recv(4096), b"")).decode().rpartition("\n")[2]

        assert Counter(said() for _ in range(8)) == {"old": 6, "new": 2}
        scene.serve(at(new, port=9000), routes=(route,))
        assert {said() for _ in range(3)} == {"new"}
        scene.serve(routes=(route,))
        with contextlib.suppress(ConnectionError):
            assert said() == ""


def test_requests_are_counted_and_failures_apart(scene: Scene) -> None:
    with saying("one") as one:
        told = scene.serve(at(one))
        for path in ("/", "/", "/broken/1"):
            scene.says(path)
        scene.says(host="other.localhost")
        counted: Callable[[], Counters] = lambda: asyncio.run(scene.edge.counters(told))  # noqa: E731
        wait_until("all are counted", lambda: counted().requests == 3, seconds=PATIENCE)
        assert counted() == Counters(requests=3, failed=1)


def test_its_own_door_asks_for_the_password_of_this_home(scene: Scene) -> None:
    with saying("one") as one:
        scene.serve(at(one))
    door = scene.process.ports["stagecraft"]
    for path in ("/api/version", "/api/http/services", "/metrics", "/api/rawdata"):
        answer = scene.process.ask(path, entrance="stagecraft")
        assert answer is not None
        assert answer[0] == 401, f"{path} on {door}"
    kept = (scene.process.routes / "stagecraft-admin.yml").read_text()
    assert re.search(r"stagecraft:\{SHA\}[A-Za-z0-9+/]{27}=", kept)
    own = TraefikEdge(scene.place, GATEWAY, binding_key=b"k" * 32)
    assert getattr(own, "_password") not in kept  # noqa: B009  # that it is not there is the point


def test_one_that_starts_beside_a_bad_file_knows_no_route_and_the_file_is_named(scene: Scene) -> None:
    with saying("one") as one:
        told = scene.serve(at(one))
        scene.process.stop()
        bad = scene.process.routes / "bad.yml"
        bad.write_text("http: {routers: {x: {rul: y}}}\n")
        scene.process.start()
        with pytest.raises(OutsideError) as caught:
            asyncio.run(scene.edge.confirm(told, seconds=1.0))
        assert caught.value.code == GATEWAY_FILE_FOREIGN
        assert "bad.yml" in caught.value.message
        bad.unlink()
        asyncio.run(scene.edge.confirm(told, seconds=PATIENCE))
        assert scene.says() == "one"


@pytest.mark.slow
def test_a_thousand_routes_are_no_hindrance(tmp_path: Path) -> None:
    count = 1000
    routes = tmp_path / FOLDER
    routes.mkdir(parents=True)

    def told(number: int, digit: str) -> Backends:
        name = f"web{number}"
        return Backends(
            name=f"shop-prod-{name}",
            service=name,
            routes=(Route(host=f"{name}.localhost", service=name, port=8080),),
            servers=(Server(host="h1", container="a" * 64, addresses={8080: f"{digit * 12}:8080"}),),
        )

    for number in range(count):
        (routes / file_name(f"web{number}")).write_bytes(written(told(number, "a")))
    with traefik_process(tmp_path) as process:
        edge = TraefikEdge(place(process, LocalTransport("h1")), GATEWAY, binding_key=b"k" * 32)

        async def run() -> tuple[float, float]:
            await edge.confirm(told(count - 1, "a"), seconds=PATIENCE)
            begun = time.monotonic()
            assert len((await edge.told()).backends) == count
            read = time.monotonic() - begun
            await edge.tell(told(7, "b"))
            return read, await edge.confirm(told(7, "b"), seconds=PATIENCE)

        read, took = asyncio.run(run())
        print(f"{count} files are read in {read:.2f} s, one is confirmed in {took:.2f} s")  # noqa: T201
        assert took <= 2.0 or _is_busy(), f"{took:.2f} s"


def _is_busy() -> bool:
    """Whether others have this machine's processors now: then a time says nothing of us."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
