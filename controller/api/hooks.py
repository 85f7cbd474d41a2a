"""`POST /hooks/<kind>/<slug>`: a Git host says that there may be something new.

A valid delivery wakes the watches of one repository and is forgotten; they look for themselves, so neither
its content nor how often it is repeated can lead to anything but a look. What a stranger can use up is
bounded: bytes of a body, bodies at a time, seconds for one, and looks. A repository that nobody watches, and
a kind that it does not have, are answered like a wrong signature, so that nobody learns what there is.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from controller.api.allowance import Allowance
from controller.api.refusals import Refusals
from controller.api.too_large import TooLarge
from events.kernel.clock import Clock
from events.kernel.redact import printable
from gitops.source.webhook import HookKind, refusal

MOST_BYTES = 1024 * 1024
_MOST_BODIES = 32  # at a time
_BODY_SECONDS = 10.0
_LOOKS_AT_ONCE, _LOOKS_PER_SECOND = 30.0, 1.0  # of one repository
_TOO_LARGE = "too-large"
_RETRY = {"Retry-After": "1"}
_NOBODYS = (b"a secret that nobody has",)  # what a delivery to nobody is compared with
_KINDS: dict[str, HookKind] = {name: name for name in get_args(HookKind)}

HookSecrets = Mapping[str, Mapping[HookKind, tuple[bytes, ...]]]
"""By slug and kind; several watched branches of one repository may have one each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where deliveries come in, and whom to believe."""

    listening: socket.socket
    secrets: HookSecrets


@dataclass(slots=True, kw_only=True)
class Hooks:
    """Takes deliveries; belongs to one event loop."""

    secrets: HookSecrets
    wake: Callable[[str, str], None]  # the slug of a repository, and why it should be looked at
    clock: Clock
    say: Callable[[str], None]
    accepted: Counter[str] = field(default_factory=Counter[str])  # by slug
    refusals: Refusals = field(init=False)
    _looks: dict[str, Allowance] = field(default_factory=dict[str, Allowance])
    _bodies: int = 0

    def __post_init__(self) -> None:
        self.refusals = Refusals(clock=self.clock, say=self.say)

    def routes(self) -> list[Route]:
        """Where deliveries are taken."""
        return [Route("/hooks/{kind}/{slug}", self._take, methods=["POST"])]

    async def _take(self, request: Request) -> Response:
        if _declared(request) > MOST_BYTES:
            return self._refuse(request, 413, _TOO_LARGE)
        if self._bodies >= _MOST_BODIES:
            return self._refuse(request, 503, "too-many-at-once")
        self._bodies += 1
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            return self._refuse(request, 408, "too-slow")
        except ClientDisconnect:
            return self._refuse(request, 400, "cut-off")
        finally:
            self._bodies -= 1
        if body is None:
            return self._refuse(request, 413, _TOO_LARGE)
        return self._judge(request, body)

    def _judge(self, request: Request, body: bytes) -> Response:
        slug, name = request.path_params["slug"], request.path_params["kind"]
        kind = _KINDS.get(name)
        known = None if kind is None else self.secrets.get(slug, {}).get(kind)
        reason = refusal(kind or "generic", request.headers, body, secrets=known or _NOBODYS)
        if known is None or reason is not None:
            return self._refuse(request, 401, reason or "signature-wrong")
        if not self._looks_of(slug).take():
            return self._refuse(request, 429, "too-often")
        self.accepted[slug] += 1
        self.wake(slug, f"{kind} webhook")
        return JSONResponse({"status": "accepted"}, status_code=202)

    def _looks_of(self, slug: str) -> Allowance:
        if slug not in self._looks:
            self._looks[slug] = Allowance(
                clock=self.clock, at_once=_LOOKS_AT_ONCE, per_second=_LOOKS_PER_SECOND
            )
        return self._looks[slug]

    def _refuse(self, request: Request, status: int, reason: str) -> Response:
        source = "an unknown address" if request.client is None else request.client.host
        where = printable(request.url.path)[:100]
        self.refusals.refused(source, where=where, reason=reason)
        content = {"status": "refused", "reason": reason}
        if reason == _TOO_LARGE:
            return TooLarge(content)
        headers = _RETRY if status in {429, 503} else None
        return JSONResponse(content, status_code=status, headers=headers)


def _declared(request: Request) -> int:
    """How many bytes the body says it has; 0 when it does not say."""
    given = request.headers.get("content-length", "")
    return int(given) if given.isdecimal() else 0


async def _body(request: Request) -> bytes | None:
    """The body, None as soon as it is too large; raises ClientDisconnect."""
    pieces: list[bytes] = []
    count = 0
    async for piece in request.stream():
        count += len(piece)
        if count > MOST_BYTES:
            return None
        pieces.append(piece)
    return b"".join(pieces)
