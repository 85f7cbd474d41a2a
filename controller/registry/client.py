"""Asking a registry what a tag means, by the distribution API.

The answer is read, bounded, and its digest is counted here and compared with what the registry says, so a
damaged or exchanged answer is never pinned. HTTPS is the rule; plain HTTP is for registries on loopback and
for those that `controller.yml` names. A redirect is followed without credentials and never from HTTPS to
plain HTTP. What may pass (429, 5xx, a broken connection) is asked again a few times, as soon as the registry
says it may be, all within one deadline.

The only module that imports httpx. A client is opened for each question, because questions are rare and come
from several event loops; within one question the connection is kept.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

import httpx

from controller.registry.challenge import Challenge, challenges, may_ask
from controller.registry.credentials import Credential, DockerCredentials
from controller.registry.manifests import (
    ACCEPT,
    MAX_BYTES,
    NotAManifestError,
    config_digest,
    objects,
    parse_object,
    platform_of_config,
    platforms_of_index,
)
from controller.registry.names import ImageName, image_name, is_loopback, is_no_registry
from events.kernel.clock import Clock
from events.kernel.errors import OutsideError
from projections.engine.errors import IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE, shown

QUESTION_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 15.0
_TRIES = 4
_FIRST_WAIT_SECONDS = 0.5  # doubles, unless the registry says how long
_LONGEST_WAIT_SECONDS = 10.0  # a registry that wants more is asked another time
_MAX_REDIRECTS = 5
_TOKEN_SECONDS = 60.0  # how long a token is good that does not say; so the token specification has it
_MARGIN_SECONDS = 10.0
_MAX_TOKENS = 256

_AGAIN = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a reference means now."""

    digest: str  # of the index when there is one, else of the manifest
    platforms: tuple[str, ...]  # `os/architecture[/variant]`, sorted; empty when nothing says


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response that was read to its end."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: float  # monotonic


class _RefusedError(Exception):
    """The registry gives no usable answer; the text says why."""


@dataclass(slots=True, kw_only=True)
class RegistryClient:
    """Looks references up; `plain_http` is what the operator says of registries by host and port."""

    credentials: DockerCredentials
    clock: Clock
    plain_http: Mapping[str, bool] = field(default_factory=dict[str, bool])
    seconds: float = QUESTION_SECONDS
    _tokens: dict[tuple[str, str], _Token] = field(default_factory=dict[tuple[str, str], _Token])
    _trust: ssl.SSLContext | None = None

    async def find(self, ref: str, *, known: str | None = None) -> Found:
        """What `ref` means now; when that is still `known`, nothing more is read and no platform named.

        Raises OutsideError `image-not-found`, `registry-unreachable` or `credentials-unavailable`.
        """
        name = image_name(ref)
        if is_no_registry(name.registry):
            raise unusable(ref, f"{name.registry} is no address of a registry")
        plain = self.plain_http.get(name.registry, is_loopback(name.registry))
        try:
            async with asyncio.timeout(self.seconds), self._open(plain=plain) as http:
                question = _Question(client=self, http=http, ref=ref, name=name, plain=plain)
                return await question.ask(known)
        except TimeoutError as error:
            raise unusable(ref, f"there was no answer within {self.seconds:g} s") from error
        except (_RefusedError, NotAManifestError) as error:
            raise unusable(ref, str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unusable(ref, str(error) or type(error).__name__) from error

    def _open(self, *, plain: bool) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """A client that follows no redirect by itself; proxies of the environment are for HTTPS only."""
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return httpx.AsyncClient(
            verify=self._trust,
            trust_env=not plain,
            follow_redirects=False,
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            headers={"User-Agent": "stagecraft"},
        )

    def kept_token(self, key: tuple[str, str]) -> str | None:
        """A token that is still good for a registry and repository."""
        token = self._tokens.get(key)
        return token.text if token is not None and token.until > self.clock.monotonic() else None

    def keep_token(self, key: tuple[str, str], text: str, *, seconds: float) -> None:
        """Remember a token for as long as it is good, less a margin."""
        if len(self._tokens) >= _MAX_TOKENS:
            self._tokens.clear()
        self._tokens[key] = _Token(text, self.clock.monotonic() + max(0.0, seconds - _MARGIN_SECONDS))


@dataclass(slots=True, kw_only=True)
class _Question:
    """One reference asked for."""

    client: RegistryClient
    http: httpx.AsyncClient
    ref: str
    name: ImageName
    plain: bool
    _authorization: str | None = field(default=None, repr=False)

    async def ask(self, known: str | None) -> Found:
        """See `RegistryClient.find`."""
        token = self.client.kept_token(self._token_key)
        self._authorization = None if token is None else f"Bearer {token}"
        url = f"{self._base}/manifests/{self.name.reference}"
        if known is not None:
            answer = await self._get(url, method="HEAD", headers={"Accept": ACCEPT})
            if answer.headers.get("Docker-Content-Digest") == known:
                return Found(digest=known, platforms=())
        answer = await self._get(url, headers={"Accept": ACCEPT})
        digest = _verified(answer)
        manifest = parse_object(answer.body)
        platforms = platforms_of_index(manifest)
        if platforms is None:
            platforms = await self._own_platform(config_digest(manifest))
        return Found(digest=digest, platforms=platforms)

    async def _own_platform(self, digest: str | None) -> tuple[str, ...]:
        """The platform that an image's configuration says it is for."""
        if digest is None or not digest.startswith("sha256:"):
            return ()
        answer = await self._get(f"{self._base}/blobs/{digest}")
        if _counted(answer.body) != digest:
            raise _RefusedError("the image's configuration does not have the digest that its manifest names")
        platform = platform_of_config(parse_object(answer.body))
        return () if platform is None else (platform,)

    @property
    def _origin(self) -> str:
        return f"{'http' if self.plain else 'https'}://{self.name.api_host}"

    @property
    def _base(self) -> str:
        return f"{self._origin}/v2/{self.name.repository}"

    @property
    def _token_key(self) -> tuple[str, str]:
        return (self.name.registry, self.name.repository)

    async def _get(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> _Answer:
        """The answer at `url` of the registry, logged in if it asks for that.

        Raises OutsideError `image-not-found` when there is no such thing or it is not shown.
        """
        answer = await self._send(url, method=method, headers=headers or {}, authorized=True)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            await self._log_in(answer)
            answer = await self._send(url, method=method, headers=headers or {}, authorized=True)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._missing(_words(answer), hidden=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            self._missing(_words(answer), hidden=False)
        if answer.status != HTTPStatus.OK:
            raise _RefusedError(f"it answers {answer.status}: {_words(answer)}")
        return answer

    async def _log_in(self, refused: _Answer) -> None:
        """Get what the registry asks for; without any way in the question goes on as it is."""
        offers = challenges(refused.headers.get_list("WWW-Authenticate"))
        credential = await self.client.credentials.find(self.name.credentials_key)
        for offer in offers:
            if offer.scheme == "bearer":
                self._authorization = f"Bearer {await self._token(offer, credential)}"
                return
            if credential is not None and not credential.is_identity_token:
                self._authorization = _basic(credential)
                return
        words = _words(refused)
        self._missing(
            words if credential else f"{words} (no credentials for {self.name.registry})", hidden=True
        )

    async def _token(self, offer: Challenge, credential: Credential | None) -> str:
        """A token from the realm that the registry names."""
        if not may_ask(offer.realm, registry=self._origin, plain=self.plain):
            raise _RefusedError(f"it sends us for a token to {shown(offer.realm)!r}, which is not HTTPS")
        fields = {"service": offer.service, "scope": offer.scope or f"repository:{self.name.repository}:pull"}
        if credential is not None and credential.is_identity_token:
            form = {
                **fields,
                "grant_type": "refresh_token",
                "client_id": "stagecraft",
                "refresh_token": credential.secret,
            }
            answer = await self._send(offer.realm, method="POST", headers={}, form=form)
        else:
            basic = None if credential is None else (credential.user, credential.secret)
            url = str(httpx.URL(offer.realm).copy_merge_params(fields))
            answer = await self._send(url, method="GET", headers={}, basic=basic)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._missing(f"{urlsplit(offer.realm).hostname} gives no token: {answer.status}", hidden=True)
        if answer.status != HTTPStatus.OK:
            raise _RefusedError(
                f"{urlsplit(offer.realm).hostname} answers {answer.status} in place of a token"
            )
        given = parse_object(answer.body)
        token = given.get("token") or given.get("access_token")
        if not isinstance(token, str):
            raise _RefusedError(f"{urlsplit(offer.realm).hostname} gives no token")
        seconds = given.get("expires_in")
        good_for = float(seconds) if isinstance(seconds, int | float) else _TOKEN_SECONDS
        self.client.keep_token(self._token_key, token, seconds=good_for)
        return token

    async def _send(
        self,
        url: str,
        *,
        method: str,
        headers: Mapping[str, str],
        authorized: bool = False,
        basic: tuple[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> _Answer:
        """One request, again while that may help, through redirects, which get no credentials."""
        wait = _FIRST_WAIT_SECONDS
        for tries_left in reversed(range(_TRIES)):
            try:
                answer = await self._through_redirects(
                    url, method=method, headers=headers, authorized=authorized, basic=basic, form=form
                )
            except httpx.TransportError:
                if not tries_left:
                    raise
                await self.client.clock.sleep(wait)
            else:
                asked = _said_wait(answer, now=self.client.clock.now)
                if answer.status not in _AGAIN or not tries_left or (asked or 0) > _LONGEST_WAIT_SECONDS:
                    return answer
                await self.client.clock.sleep(wait if asked is None else asked)
            wait *= 2
        raise AssertionError("unreachable")

    async def _through_redirects(
        self,
        url: str,
        *,
        method: str,
        headers: Mapping[str, str],
        authorized: bool,
        basic: tuple[str, str] | None,
        form: Mapping[str, str] | None,
    ) -> _Answer:
        carried = dict(headers)
        if authorized and self._authorization is not None:
            carried["Authorization"] = self._authorization
        for _ in range(_MAX_REDIRECTS + 1):
            request = self.http.build_request(method, url, headers=carried, data=form)
            response = await self.http.send(request, stream=True, auth=basic)
            try:
                answer = _Answer(response.status_code, response.headers, await _read(response))
            finally:
                await response.aclose()
            if answer.status not in _REDIRECTS or form is not None:
                return answer
            url = self._next(url, answer.headers.get("Location", ""))
            carried.pop("Authorization", None)
            basic = None
        raise _RefusedError(f"it redirects more than {_MAX_REDIRECTS} times")

    def _next(self, url: str, location: str) -> str:
        """Where a redirect leads. Raises _RefusedError for what is neither HTTPS nor as plain as before."""
        target = urljoin(url, location)
        parts = urlsplit(target)
        plain = self.plain and parts.scheme == "http" and parts.hostname == urlsplit(url).hostname
        if not location or not parts.hostname or (parts.scheme != "https" and not plain):
            raise _RefusedError("it redirects to an address that is not HTTPS")
        if is_no_registry(parts.netloc.rpartition("@")[2]):
            raise _RefusedError(f"it redirects to {parts.hostname}, which is no address of a registry")
        return target

    def _missing(self, why: str, *, hidden: bool) -> NoReturn:
        login = ", or log in with `docker login` if the registry hides it" if hidden else ""
        raise OutsideError(
            IMAGE_NOT_FOUND,
            f"the registry has no image {self.ref}" + (" that it shows us" if hidden else ""),
            why=shown(why),
            next=f"push {self.ref}, or correct the reference{login}",
        )


def unusable(ref: str, why: str) -> OutsideError:
    """`registry-unreachable`: nothing was heard, or nothing that says whether the image exists."""
    return OutsideError(
        REGISTRY_UNREACHABLE,
        f"the registry of {ref} gives no usable answer",
        why=shown(why),
        next=f"try `docker pull {ref}` on this machine",
    )


def _basic(credential: Credential) -> str:
    pair = f"{credential.user}:{credential.secret}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


async def _read(response: httpx.Response) -> bytes:
    """The body. Raises _RefusedError when it is longer than any manifest."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise _RefusedError(f"its answer has more than {MAX_BYTES} bytes")
    return bytes(body)


def _counted(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _verified(answer: _Answer) -> str:
    """The digest of a manifest. Raises _RefusedError when it is not what the registry says."""
    counted = _counted(answer.body)
    said = answer.headers.get("Docker-Content-Digest", counted)
    if said != counted:
        raise _RefusedError(f"it says that the manifest is {shown(said)}, and it is {counted}")
    return counted


def _words(answer: _Answer) -> str:
    """What the registry says is wrong: its own messages, else the status."""
    said: list[str] = []
    with suppress(NotAManifestError):
        errors = objects(parse_object(answer.body).get("errors"))
        said = [str(one.get("message") or one.get("code")) for one in errors]
    return "; ".join(said) or httpx.codes.get_reason_phrase(answer.status) or str(answer.status)


def _said_wait(answer: _Answer, *, now: Callable[[], datetime]) -> float | None:
    """What `Retry-After` asks for in seconds, None when it says nothing that can be read."""
    said = answer.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now()).total_seconds())
