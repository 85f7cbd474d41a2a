"""Registries that break, lie, send us elsewhere or want us to wait."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Generator

import pytest

from tests.integration.controller.registry.conftest import Asker
from tests.support.webserver import Asked, Reply, WebServer, web_server

INDEX = b'{"schemaVersion":2,"manifests":[{"platform":{"os":"linux","architecture":"amd64"}}]}'
DIGEST = f"sha256:{hashlib.sha256(INDEX).hexdigest()}"
GOOD = Reply(body=INDEX, headers={"Docker-Content-Digest": DIGEST})


@pytest.fixture
def server() -> Generator[WebServer]:
    with web_server(lambda _: GOOD) as running:
        yield running


@pytest.fixture
def elsewhere() -> Generator[WebServer]:
    with web_server(lambda _: GOOD) as running:
        yield running


def redirect(address: str) -> Reply:
    return Reply(status=307, headers={"Location": f"http://{address}/stored"})


def basic(server: WebServer) -> None:
    """The server wants a password first."""
    good = server.answer

    def answer(asked: Asked) -> Reply:
        if "Authorization" not in asked.headers:
            return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return good(asked)

    server.answer = answer


def test_a_good_answer_is_taken(asker: Asker, server: WebServer) -> None:
    found = asker.find(f"{server.address}/org/web:v1")
    assert (found.digest, found.platforms) == (DIGEST, ("linux/amd64",))
    (asked,) = server.asked
    assert asked.path == "/v2/org/web/manifests/v1"
    assert "application/vnd.oci.image.index.v1+json" in asked.headers["Accept"]
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in asked.headers["Accept"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(body=INDEX, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}), "and it is"),
        (Reply(body=INDEX + b" ", headers={"Docker-Content-Digest": DIGEST}), "and it is"),
        (Reply(body=b"x" * (4 * 1024 * 1024 + 1)), "more than 4194304 bytes"),
        (Reply(body=b"<html>"), "not JSON"),
        (Reply(body=b"[]"), "not a JSON object"),
        (Reply(body=b'{"schemaVersion":1}'), "do not pull any more"),
        (Reply(status=302), "not HTTPS"),
        (Reply(status=302, headers={"Location": "ftp://127.0.0.1/x"}), "not HTTPS"),
        (Reply(status=302, headers={"Location": "http://127.0.0.2/x"}), "not HTTPS"),
        (Reply(status=302, headers={"Location": "https://169.254.169.254/x"}), "no address of a registry"),
        (Reply(status=302, headers={"Location": "/v2/again"}), "more than 5 times"),
        (Reply(status=418), "418"),
    ],
)
def test_what_cannot_be_trusted_is_no_answer(
    asker: Asker, server: WebServer, reply: Reply, words: str
) -> None:
    server.answer = lambda _: reply
    error = asker.fails(f"{server.address}/web:v1")
    assert error.code == "registry-unreachable"
    assert words in error.why


def test_a_redirect_is_followed_without_the_password(
    asker: Asker, server: WebServer, elsewhere: WebServer
) -> None:
    server.answer = lambda _: redirect(elsewhere.address)
    basic(server)
    asker.log_in(server.address, "robot", "correct-horse")
    assert asker.find(f"{server.address}/web:v1").digest == DIGEST
    assert server.asked[-1].headers["Authorization"].startswith("Basic ")
    (asked,) = elsewhere.asked
    assert "Authorization" not in asked.headers
    assert "Cookie" not in asked.headers


@pytest.mark.parametrize(
    "realm", ["http://127.0.0.2:1/token", "ftp://127.0.0.1/token", "http://u:p@127.0.0.1/"]
)
def test_no_token_is_asked_for_in_the_open(asker: Asker, server: WebServer, realm: str) -> None:
    server.answer = lambda _: Reply(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
    error = asker.fails(f"{server.address}/web:v1")
    assert error.code == "registry-unreachable"
    assert "not HTTPS" in error.why


def test_what_may_pass_is_asked_again(asker: Asker, server: WebServer) -> None:
    replies = [Reply(status=503), Reply(status=429, headers={"Retry-After": "7"}), Reply(status=500), GOOD]
    server.answer = lambda _: replies.pop(0)
    began = asker.clock.monotonic()
    assert asker.find(f"{server.address}/web:v1").digest == DIGEST
    assert asker.clock.monotonic() - began == pytest.approx(0.5 + 7 + 2)


def test_what_does_not_pass_is_given_up(asker: Asker, server: WebServer) -> None:
    server.answer = lambda _: Reply(status=503)
    error = asker.fails(f"{server.address}/web:v1")
    assert error.code == "registry-unreachable"
    assert "503" in error.why
    assert len(server.asked) == 4


def test_a_registry_that_wants_an_hour_is_asked_another_time(asker: Asker, server: WebServer) -> None:
    server.answer = lambda _: Reply(status=429, headers={"Retry-After": "3600"})
    assert "429" in asker.fails(f"{server.address}/web:v1").why
    assert len(server.asked) == 1


def test_a_registry_that_is_silent_is_given_up_in_time(asker: Asker, server: WebServer) -> None:
    asker.client.seconds = 0.3
    heard = threading.Event()

    def answer(_: Asked) -> Reply:
        heard.wait(10)
        return GOOD

    server.answer = answer
    try:
        assert "within 0.3 s" in asker.fails(f"{server.address}/web:v1").why
    finally:
        heard.set()


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0:5000", "224.0.0.1:5000"])
def test_what_is_no_address_of_a_registry_is_not_asked(asker: Asker, address: str) -> None:
    error = asker.fails(f"{address}/web:v1")
    assert error.code == "registry-unreachable"
    assert "no address of a registry" in error.why


def test_a_configuration_that_is_not_the_one_named_is_no_answer(asker: Asker, server: WebServer) -> None:
    config = b'{"os":"linux","architecture":"amd64"}'
    named = f"sha256:{hashlib.sha256(config).hexdigest()}"
    manifest = f'{{"schemaVersion":2,"config":{{"digest":"{named}"}}}}'.encode()
    given = config

    def answer(asked: Asked) -> Reply:
        return Reply(body=given if "/blobs/" in asked.path else manifest)

    server.answer = answer
    assert asker.find(f"{server.address}/web:v1").platforms == ("linux/amd64",)
    given = config + b" "
    assert "does not have the digest" in asker.fails(f"{server.address}/web:v1").why
