"""A registry that wants tokens: the real one, and a small server that gives them."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.controller.registry.conftest import Asker
from tests.support.registry import PASSWORD, USER, Registry, running_registry
from tests.support.webserver import Asked, Reply, WebServer, web_server

ISSUER, SERVICE = "test-issuer", "test-registry"


@dataclass(slots=True, kw_only=True)
class Guarded:
    """A registry and who gives tokens for it."""

    registry: Registry
    realm: WebServer
    certificate: bytes
    key: Path
    expires_in: int | None = 300

    def give(self, asked: Asked) -> Reply:
        """A token for `USER` who shows the password, or the identity token; nothing for others."""
        fields = parse_qs(urlsplit(asked.path).query or asked.body.decode())
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        by_password = asked.headers.get("Authorization") == f"Basic {pair}"
        by_token = fields.get("refresh_token") == ["identity-of-robot"]
        if not (by_password or by_token) or fields["service"] != [SERVICE]:
            return Reply(status=401)
        _kind, name, actions = fields["scope"][0].split(":")
        text = self._signed({"type": "repository", "name": name, "actions": actions.split(",")})
        answer = {("access_token" if by_token else "token"): text}
        body = {**answer, "expires_in": self.expires_in} if self.expires_in is not None else answer
        return Reply(body=json.dumps(body).encode())

    def _signed(self, access: object) -> str:
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "x5c": [base64.b64encode(self.certificate).decode()]}
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": USER,
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 300,
            "jti": "1",
            "access": [access],
        }
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=text.encode(),
            capture_output=True,
            check=True,
        ).stdout
        return f"{text}.{_encoded(signature)}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.fixture
def guarded(tmp_path: Path) -> Generator[Guarded]:
    key, certificate, der = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "cert.der"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["openssl", "x509", "-in", str(certificate), "-outform", "DER", "-out", str(der)], check=True
    )
    with web_server(lambda _: Reply(status=500)) as realm:
        auth = (
            f"{{token: {{realm: 'http://{realm.address}/token', service: {SERVICE}, "
            f"issuer: {ISSUER}, rootcertbundle: {certificate}}}}}"
        )
        with running_registry(tmp_path, auth=auth) as registry:
            made = Guarded(registry=registry, realm=realm, certificate=der.read_bytes(), key=key)
            realm.answer = made.give
            yield made


def test_a_token_is_fetched_with_the_password_and_kept(asker: Asker, guarded: Guarded) -> None:
    asker.log_in(guarded.registry.address, USER, PASSWORD)
    for _ in range(3):
        assert "unknown" in asker.fails(f"{guarded.registry.address}/org/web:v1").why
    assert len(guarded.realm.asked) == 1
    asker.fails(f"{guarded.registry.address}/org/other:v1")
    assert len(guarded.realm.asked) == 2
    asker.clock.advance(301)
    assert "unknown" in asker.fails(f"{guarded.registry.address}/org/web:v1").why
    assert len(guarded.realm.asked) == 3


def test_a_token_that_does_not_say_is_good_for_a_minute(asker: Asker, guarded: Guarded) -> None:
    guarded.expires_in = None
    asker.log_in(guarded.registry.address, USER, PASSWORD)
    asker.fails(f"{guarded.registry.address}/web:v1")
    asker.clock.advance(61)
    asker.fails(f"{guarded.registry.address}/web:v1")
    assert len(guarded.realm.asked) == 2


def test_an_identity_token_of_a_helper_is_exchanged(asker: Asker, guarded: Guarded) -> None:
    asker.configure(credsStore="identity")
    asker.helper("identity", 'echo \'{"Username":"<token>","Secret":"identity-of-robot"}\'')
    assert "unknown" in asker.fails(f"{guarded.registry.address}/org/web:v1").why
    (asked,) = guarded.realm.asked
    assert asked.method == "POST"
    assert "identity-of-robot" not in asked.path


def test_without_a_password_no_token_is_given_and_the_image_is_hidden(asker: Asker, guarded: Guarded) -> None:
    error = asker.fails(f"{guarded.registry.address}/org/web:v1")
    assert error.code == "image-not-found"
    assert "docker login" in error.next


def test_a_realm_that_breaks_is_no_answer(asker: Asker, guarded: Guarded) -> None:
    guarded.realm.answer = lambda _: Reply(status=500)
    assert asker.fails(f"{guarded.registry.address}/org/web:v1").code == "registry-unreachable"
    guarded.realm.answer = lambda _: Reply(body=b"no token")
    assert asker.fails(f"{guarded.registry.address}/org/web:v1").code == "registry-unreachable"
