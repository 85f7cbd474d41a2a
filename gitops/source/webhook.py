"""What proves that a webhook comes from the Git host that an operator named.

A delivery says "look again" and nothing else, so its body is authenticated and never parsed: which commit is
deployed is for the repository to say. Each kind of host has its headers and one of two proofs, a keyed digest
of the body or the secret itself; whatever is compared is compared in constant time. SHA-1 is taken from
nobody: each of these hosts has sent SHA-256, or the secret, for years.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Literal

HookKind = Literal["generic", "gitea", "github", "gitlab"]
Refusal = Literal["signature-missing", "signature-wrong"]

_PREFIX = "sha256="

_SIGNATURES: dict[HookKind, tuple[str, ...]] = {
    "generic": ("x-signature-256", "x-signature", "x-hub-signature-256", "x-stagecraft-signature"),
    "gitea": ("x-gitea-signature", "x-forgejo-signature", "x-gogs-signature", "x-hub-signature-256"),
    "github": ("x-hub-signature-256",),
    "gitlab": (),
}
_TOKENS: dict[HookKind, str] = {"gitlab": "x-gitlab-token"}


def refusal(
    kind: HookKind, headers: Mapping[str, str], body: bytes, *, secrets: Collection[bytes]
) -> Refusal | None:
    """Why a delivery is not taken, None when one of `secrets` proves it; headers by lower-case name.

    A signature is the HMAC-SHA256 of the body in hex digits, with or without `sha256=` before it.
    """
    if kind in _TOKENS:
        return _compared(headers.get(_TOKENS[kind]), secrets)
    given = next((headers[name] for name in _SIGNATURES[kind] if name in headers), None)
    digests = [hmac.new(secret, body, hashlib.sha256).hexdigest().encode() for secret in secrets]
    return _compared(None if given is None else given.removeprefix(_PREFIX).lower(), digests)


def _compared(given: str | None, wanted: Collection[bytes]) -> Refusal | None:
    """Compare with every wanted proof, so that the time tells nothing."""
    if not given:
        return "signature-missing"
    shown = given.encode(errors="surrogateescape")
    proved = [hmac.compare_digest(shown, one) for one in wanted]
    return None if any(proved) else "signature-wrong"
