"""What a registry asks for when it answers 401, and what it takes in return.

`Bearer` means: ask the realm for a token for this service and scope, show a credential there when there is
one. `Basic` means: show the credential here. A realm is spoken to over HTTPS; over plain HTTP only when the
registry itself is, and then only on the same host, so that no answer can lead a password out in the open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

_CHALLENGE = re.compile(r"(?:^|,\s*)(?P<scheme>Basic|Bearer)(?:\s+|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way in that the registry offers."""

    scheme: Literal["basic", "bearer"]
    realm: str = ""
    service: str = ""
    scope: str = ""


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """What the `WWW-Authenticate` headers offer, tokens first; other schemes are passed over."""
    found: list[Challenge] = []
    for header in headers:
        for mark, following in pairwise([*_CHALLENGE.finditer(header), None]):
            if mark is None:
                continue
            text = header[mark.end() : following.start() if following else len(header)]
            fields = _fields(text)
            scheme: Literal["basic", "bearer"] = "bearer" if mark["scheme"].lower() == "bearer" else "basic"
            found.append(
                Challenge(
                    scheme=scheme,
                    realm=fields.get("realm", ""),
                    service=fields.get("service", ""),
                    scope=fields.get("scope", ""),
                )
            )
    return sorted(found, key=lambda one: one.scheme != "bearer")


def may_ask(realm: str, *, registry: str, plain: bool) -> bool:
    """Whether a token may be asked for at `realm`; `registry` is the URL that named it."""
    parts, origin = urlsplit(realm), urlsplit(registry)
    if not parts.hostname or parts.username is not None:
        return False
    if parts.scheme == "https":
        return True
    return plain and parts.scheme == "http" and parts.hostname == origin.hostname


def _fields(text: str) -> dict[str, str]:
    pairs = [part for part in parse_http_list(text) if "=" in part]
    return {key.lower(): value for key, value in parse_keqv_list(pairs).items()}
