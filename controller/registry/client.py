"""Asking a registry what a tag means, by the distribution API.

The answer is read, bounded, and its digest is counted here and compared with what the registry says, so a
damaged or exchanged answer is never pinned. HTTPS is the rule; plain HTTP is for registries on loopback and
for those that `controller.yml` names. Each question has one deadline for all that it takes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from controller.registry.challenge import Challenge, challenges, may_ask
from controller.registry.credentials import Credential, DockerCredentials
from controller.registry.manifests import (
    ACCEPT,
    NotAManifestError,
    config_digest,
    objects,
    parse_object,
    platform_of_config,
    platforms_of_index,
)
from controller.registry.messages import Answer, NoAnswerError, Sent
from controller.registry.names import ImageName, image_name, is_no_registry, is_on_this_machine
from events.kernel.clock import Clock
from events.kernel.errors import OutsideError
from projections.engine.errors import IMAGE_NOT_FOUND, shown
from projections.engine.registry import no_answer

if TYPE_CHECKING:
    from controller.registry.wire import Wire

QUESTION_SECONDS = 30.0
_TOKEN_SECONDS = 60.0  # how long a token is good that does not say; so the token specification has it
_MARGIN_SECONDS = 10.0
_MAX_TOKENS = 256

_DIGEST = "docker-content-digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a reference means now."""

    digest: str  # of the index when there is one, else of the manifest
    platforms: tuple[str, ...]  # `os/architecture[/variant]`, sorted; empty when nothing says


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: float  # monotonic


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
        from controller.registry.wire import wire  # noqa: PLC0415  # an HTTP client comes with it

        name = image_name(ref)
        if is_no_registry(name.registry):
            raise _unusable(ref, f"{name.registry} is no address of a registry")
        plain = self.plain_http.get(name.registry, is_on_this_machine(name.registry))
        try:
            trust = self._trusted()
            async with (
                asyncio.timeout(self.seconds),
                wire(trust=trust, plain=plain, clock=self.clock) as connection,
            ):
                question = _Question(client=self, wire=connection, ref=ref, name=name, plain=plain)
                return await question.ask(known)
        except TimeoutError as error:
            raise _unusable(ref, f"there was no answer within {self.seconds:g} s") from error
        except (NoAnswerError, NotAManifestError) as error:
            raise _unusable(ref, str(error)) from error

    def _trusted(self) -> ssl.SSLContext:
        """The certificates that are believed, read once."""
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust

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
    wire: Wire
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
            if answer.headers.get(_DIGEST) == known:
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
            raise NoAnswerError("the image's configuration does not have the digest that its manifest names")
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
    ) -> Answer:
        """The answer at `url` of the registry, logged in if it asks for that.

        Raises OutsideError `image-not-found` when there is no such thing or it is not shown.
        """
        answer = await self._ask(url, method=method, headers=headers or {})
        if answer.status == HTTPStatus.UNAUTHORIZED:
            await self._log_in(answer)
            answer = await self._ask(url, method=method, headers=headers or {})
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._missing(_words(answer), hidden=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            self._missing(_words(answer), hidden=False)
        if answer.status != HTTPStatus.OK:
            raise NoAnswerError(f"it answers {answer.status}: {_words(answer)}")
        return answer

    async def _ask(self, url: str, *, method: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a request with what the registry gave us to show, if it gave something."""
        shown_too = {} if self._authorization is None else {"Authorization": self._authorization}
        return await self.wire.send(Sent(url=url, method=method, headers={**headers, **shown_too}))

    async def _log_in(self, refused: Answer) -> None:
        """Get what the registry asks for; without any way in the question goes on as it is."""
        offers = challenges(refused.offers)
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
            raise NoAnswerError(f"it sends us for a token to {shown(offer.realm)!r}, which is not HTTPS")
        fields = {"service": offer.service, "scope": offer.scope or f"repository:{self.name.repository}:pull"}
        if credential is not None and credential.is_identity_token:
            form = {
                **fields,
                "grant_type": "refresh_token",
                "client_id": "stagecraft",
                "refresh_token": credential.secret,
            }
            request = Sent(url=offer.realm, method="POST", form=form)
        else:
            basic = None if credential is None else (credential.user, credential.secret)
            request = Sent(url=offer.realm, query=fields, basic=basic)
        answer = await self.wire.send(request)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._missing(f"{urlsplit(offer.realm).hostname} gives no token: {answer.status}", hidden=True)
        if answer.status != HTTPStatus.OK:
            raise NoAnswerError(
                f"{urlsplit(offer.realm).hostname} answers {answer.status} in place of a token"
            )
        given = parse_object(answer.body)
        token = given.get("token") or given.get("access_token")
        if not isinstance(token, str):
            raise NoAnswerError(f"{urlsplit(offer.realm).hostname} gives no token")
        seconds = given.get("expires_in")
        good_for = float(seconds) if isinstance(seconds, int | float) else _TOKEN_SECONDS
        self.client.keep_token(self._token_key, token, seconds=good_for)
        return token

    def _missing(self, why: str, *, hidden: bool) -> NoReturn:
        login = ", or log in with `docker login` if the registry hides it" if hidden else ""
        raise OutsideError(
            IMAGE_NOT_FOUND,
            f"the registry has no image {self.ref}" + (" that it shows us" if hidden else ""),
            why=shown(why),
            next=f"push {self.ref}, or correct the reference{login}",
        )


def _unusable(ref: str, why: str) -> OutsideError:
    return no_answer(ref, why, asked_from="this machine")


def _basic(credential: Credential) -> str:
    pair = f"{credential.user}:{credential.secret}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _counted(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _verified(answer: Answer) -> str:
    """The digest of a manifest. Raises NoAnswerError when it is not what the registry says."""
    counted = _counted(answer.body)
    said = answer.headers.get(_DIGEST, counted)
    if said != counted:
        raise NoAnswerError(f"it says that the manifest is {shown(said)}, and it is {counted}")
    return counted


def _words(answer: Answer) -> str:
    """What the registry says is wrong: its own messages, else the status."""
    said: list[str] = []
    with suppress(NotAManifestError):
        errors = objects(parse_object(answer.body).get("errors"))
        said = [str(one.get("message") or one.get("code")) for one in errors]
    return "; ".join(said) or answer.phrase
