"""HTTP to a registry: bounded, within limits of patience, and with redirects that carry no credentials.

A redirect is followed without credentials and never from HTTPS to plain HTTP. What may pass (429, 5xx, a
broken connection) is asked again a few times, as soon as the registry says it may be; the caller sets the
deadline of it all.

The only module that imports httpx, and itself imported with the first question. A client is opened for each
question, because questions are rare and come from several event loops; within one the connection is kept.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import httpx

from controller.registry.manifests import MAX_BYTES
from controller.registry.messages import Answer, NoAnswerError, Sent
from controller.registry.names import is_no_registry
from events.kernel.clock import Clock

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 15.0
_TRIES = 4
_FIRST_WAIT_SECONDS = 0.5  # doubles, unless the registry says how long
_LONGEST_WAIT_SECONDS = 10.0  # a registry that wants more is asked another time
_MAX_REDIRECTS = 5

_AGAIN = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def wire(*, trust: ssl.SSLContext, plain: bool, clock: Clock) -> AsyncGenerator[Wire]:
    """A connection that is kept for the block; proxies of the environment are for HTTPS only.

    Raises NoAnswerError out of the block for what goes wrong in HTTP.
    """
    try:
        async with httpx.AsyncClient(
            verify=trust,
            trust_env=not plain,
            follow_redirects=False,
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            headers={"User-Agent": "stagecraft"},
        ) as http:
            yield Wire(http=http, plain=plain, clock=clock)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoAnswerError(str(error) or type(error).__name__) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """Sends requests within one `wire`."""

    http: httpx.AsyncClient
    plain: bool
    clock: Clock

    async def send(self, request: Sent) -> Answer:
        """One request, again while that may help, through redirects. Raises NoAnswerError."""
        wait = _FIRST_WAIT_SECONDS
        for tries_left in reversed(range(_TRIES)):
            try:
                answer = await self._through_redirects(request)
            except httpx.TransportError:
                if not tries_left:
                    raise
                await self.clock.sleep(wait)
            else:
                asked = _said_wait(answer, now=self.clock.now)
                if answer.status not in _AGAIN or not tries_left or (asked or 0) > _LONGEST_WAIT_SECONDS:
                    return answer
                await self.clock.sleep(wait if asked is None else asked)
            wait *= 2
        raise AssertionError("unreachable")

    async def _through_redirects(self, request: Sent) -> Answer:
        url = httpx.URL(request.url)
        if request.query is not None:
            url = url.copy_merge_params(request.query)
        at, carried, basic = str(url), dict(request.headers), request.basic
        for _ in range(_MAX_REDIRECTS + 1):
            built = self.http.build_request(request.method, at, headers=carried, data=request.form)
            response = await self.http.send(built, stream=True, auth=basic)
            try:
                answer = await _read(response)
            finally:
                await response.aclose()
            if answer.status not in _REDIRECTS or request.form is not None:
                return answer
            at = self._next(at, answer.headers.get("location", ""))
            carried.pop("Authorization", None)
            basic = None
        raise NoAnswerError(f"it redirects more than {_MAX_REDIRECTS} times")

    def _next(self, url: str, location: str) -> str:
        """Where a redirect leads. Raises NoAnswerError for what is neither HTTPS nor as plain as before."""
        target = urljoin(url, location)
        parts = urlsplit(target)
        plain = self.plain and parts.scheme == "http" and parts.hostname == urlsplit(url).hostname
        if not location or not parts.hostname or (parts.scheme != "https" and not plain):
            raise NoAnswerError("it redirects to an address that is not HTTPS")
        if is_no_registry(parts.netloc.rpartition("@")[2]):
            raise NoAnswerError(f"it redirects to {parts.hostname}, which is no address of a registry")
        return target


async def _read(response: httpx.Response) -> Answer:
    """All of it. Raises NoAnswerError when the body is longer than any manifest."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise NoAnswerError(f"its answer has more than {MAX_BYTES} bytes")
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        offers=tuple(response.headers.get_list("WWW-Authenticate")),
        body=bytes(body),
    )


def _said_wait(answer: Answer, *, now: Callable[[], datetime]) -> float | None:
    """What `Retry-After` asks for in seconds, None when it says nothing that can be read."""
    said = answer.headers.get("retry-after", "")
    if said.isdigit():
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now()).total_seconds())
