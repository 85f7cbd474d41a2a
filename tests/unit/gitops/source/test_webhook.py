"""Which deliveries are proved, for each kind of Git host."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from gitops.source.webhook import HookKind, refusal

BODY = b'{"ref": "refs/heads/main"}'
SECRET = b"between the two of us"
OTHER = b"of another app"


def signature(secret: bytes = SECRET, body: bytes = BODY, algorithm: str = "sha256") -> str:
    return hmac.new(secret, body, algorithm).hexdigest()


TAKEN: list[tuple[HookKind, str, str]] = [
    ("github", "x-hub-signature-256", f"sha256={signature()}"),
    ("gitea", "x-gitea-signature", signature()),
    ("gitea", "x-forgejo-signature", signature()),
    ("gitea", "x-hub-signature-256", f"sha256={signature()}"),
    ("gitlab", "x-gitlab-token", SECRET.decode()),
    ("generic", "x-signature-256", f"sha256={signature()}"),
    ("generic", "x-signature", signature().upper()),
    ("generic", "x-hub-signature-256", f"sha256={signature()}"),
    ("generic", "x-stagecraft-signature", f"sha256={signature()}"),
]


@pytest.mark.parametrize(("kind", "header", "value"), TAKEN)
def test_a_proof_of_the_secret_is_taken(kind: HookKind, header: str, value: str) -> None:
    assert refusal(kind, {header: value}, BODY, secrets=[SECRET]) is None


@pytest.mark.parametrize(("kind", "header", "value"), TAKEN)
def test_a_proof_of_another_secret_is_not(kind: HookKind, header: str, value: str) -> None:
    assert refusal(kind, {header: value}, BODY, secrets=[OTHER]) == "signature-wrong"


@pytest.mark.parametrize(("kind", "header", "value"), [one for one in TAKEN if one[0] != "gitlab"])
def test_a_signature_is_of_every_byte(kind: HookKind, header: str, value: str) -> None:
    assert refusal(kind, {header: value}, BODY + b" ", secrets=[SECRET]) == "signature-wrong"


def test_one_of_several_secrets_is_enough() -> None:
    headers = {"x-hub-signature-256": f"sha256={signature()}"}
    assert refusal("github", headers, BODY, secrets=[OTHER, SECRET]) is None


@pytest.mark.parametrize("kind", ["generic", "gitea", "github", "gitlab"])
@pytest.mark.parametrize("header", ["x-nothing", "authorization"])
def test_without_the_header_nothing_is_taken(kind: HookKind, header: str) -> None:
    assert refusal(kind, {header: signature()}, BODY, secrets=[SECRET]) == "signature-missing"


@pytest.mark.parametrize(
    "value",
    [
        "sha256=",
        signature()[:-1],
        f"sha256={signature()[:32]}",
        f"sha1={signature(algorithm='sha1')}",
        f"sha512={signature(algorithm='sha512')}",
        f"sha256={hashlib.sha256(BODY).hexdigest()}",
        f"sha256={signature()}, sha256={signature()}",
        "sha256=é",
        "\udce9",
    ],
)
def test_a_short_weak_or_odd_signature_is_not_taken(value: str) -> None:
    assert refusal("github", {"x-hub-signature-256": value}, BODY, secrets=[SECRET]) is not None


def test_sha1_alone_is_taken_from_nobody() -> None:
    headers = {"x-hub-signature": f"sha1={signature(algorithm='sha1')}"}
    assert refusal("github", headers, BODY, secrets=[SECRET]) == "signature-missing"


def test_a_token_is_no_signature_and_a_signature_no_token() -> None:
    assert refusal("gitlab", {"x-gitlab-token": signature()}, BODY, secrets=[SECRET]) == "signature-wrong"
    assert refusal("github", {"x-gitlab-token": SECRET.decode()}, BODY, secrets=[SECRET]) is not None
