"""Credentials for registries, from where `docker login` keeps them.

In Docker's order: the helper that `credHelpers` names for the registry, the one that `credsStore` names for
all, what `auths` holds itself. A helper is the operator's own program, found on PATH; it gets the registry's
name on standard input and all of our variables, as Docker gives them, because it may need any of them to
reach its store. Its deadline is short: it must not ask anybody. Nothing of a credential reaches argv, an
error or a log: the redactor learns each secret before anybody else sees it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from events.kernel.clock import Clock
from events.kernel.errors import OutsideError, error_code
from events.kernel.process import Finished, run
from events.kernel.redact import REDACT

CREDENTIALS_UNAVAILABLE = error_code(
    "credentials-unavailable", "Docker's configuration or a credential helper gives no usable answer."
)

HELPER_SECONDS = 10.0
_KEPT_SECONDS = 300.0  # a helper may take a second; what it gives is good for longer than this
_MAX_BYTES = 1024 * 1024
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = "credentials not found"
_TOKEN_USER = "<token>"  # noqa: S105  # what a helper says in place of a user for an identity token


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a registry, or who gives tokens for it, wants to see."""

    user: str
    secret: str = field(repr=False)
    is_identity_token: bool = False  # it is exchanged for tokens and is no password


@dataclass(slots=True, kw_only=True)
class DockerCredentials:
    """Looks credentials up; `environment` is what helpers get and tells where Docker's folder is."""

    environment: Mapping[str, str]
    clock: Clock
    _kept: dict[str, tuple[float, Credential | None]] = field(
        default_factory=dict[str, "tuple[float, Credential | None]"]
    )

    async def find(self, key: str) -> Credential | None:
        """The credential for a registry by its name there, None when there is none.

        Raises OutsideError `credentials-unavailable`.
        """
        now = self.clock.monotonic()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < _KEPT_SECONDS:
            return kept[1]
        found = await self._find(key)
        if found is not None:
            REDACT.learn(found.secret)
        self._kept[key] = (now, found)
        return found

    async def _find(self, key: str) -> Credential | None:
        path = _config_path(self.environment)
        config = await asyncio.to_thread(_load, path)
        helpers = _section(config, "credHelpers")
        named = helpers.get(key, helpers.get(_host(key)))
        helper = named if named is not None else config.get("credsStore")
        if helper:
            found = await self._ask(str(helper), key)
            if found is not None or named is not None:
                return found
        for name, entry in _section(config, "auths").items():
            if name == key or _host(name) == _host(key):
                return _from_entry(entry, path=path)
        return None

    async def _ask(self, helper: str, key: str) -> Credential | None:
        """What `docker-credential-<helper> get` answers."""
        if not _HELPER.fullmatch(helper):
            raise _unavailable(f"{helper!r} is not the name of a credential helper")
        program = f"docker-credential-{helper}"
        try:
            ended = await run(
                [program, "get"],
                env=self.environment,
                stdin=key.encode(),
                deadline_seconds=HELPER_SECONDS,
                grace_seconds=1.0,
            )
        except OutsideError as error:
            raise _unavailable(f"{program} gives no credentials for {_host(key)}", str(error)) from error
        if ended.code != 0:
            words = ended.stdout.decode(errors="replace")
            if _NOT_FOUND in words.lower():
                return None
            raise _unavailable(
                f"{program} gives no credentials for {_host(key)}", f"it ended with {ended.code}"
            )
        return _from_helper(ended, program=program)


def _config_path(environment: Mapping[str, str]) -> Path | None:
    folder = environment.get("DOCKER_CONFIG")
    if folder:
        return Path(folder) / "config.json"
    home = environment.get("HOME")
    return Path(home) / ".docker" / "config.json" if home else None


def _load(path: Path | None) -> dict[str, Any]:
    """Docker's configuration; one that is not there is empty."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _unavailable(f"cannot read {path}", error.strerror or "") from error
    try:
        loaded: object = json.loads(content) if len(content) <= _MAX_BYTES else None
    except ValueError:  # not chained: the parser's error holds the text, with every credential in it
        raise _unavailable(f"{path} is not Docker's configuration") from None
    if not isinstance(loaded, dict):
        raise _unavailable(f"{path} is not Docker's configuration")
    return cast("dict[str, Any]", loaded)


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    section: object = config.get(name)
    return cast("dict[str, Any]", section) if isinstance(section, dict) else {}


def _host(key: str) -> str:
    """The registry of a key, which may be written as a URL."""
    return urlsplit(key if "://" in key else f"//{key}").netloc.lower()


def _from_entry(entry: object, *, path: Path | None) -> Credential | None:
    """A credential that the configuration holds itself."""
    parts = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    identity = str(parts.get("identitytoken") or "")
    if identity:
        return Credential(user=_TOKEN_USER, secret=identity, is_identity_token=True)
    user, secret = str(parts.get("username") or ""), str(parts.get("password") or "")
    if parts.get("auth"):
        try:
            decoded = base64.b64decode(str(parts["auth"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise _unavailable(f"an entry under auths in {path} is not base64") from None
        user, _, secret = decoded.partition(":")
        secret = secret.rstrip("\0")
    return Credential(user=user, secret=secret) if user and secret else None


def _from_helper(ended: Finished, *, program: str) -> Credential | None:
    try:
        answer: object = json.loads(ended.stdout)
    except ValueError:
        raise _unavailable(f"{program} does not answer with JSON") from None
    parts = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    user, secret = str(parts.get("Username") or ""), str(parts.get("Secret") or "")
    if not secret:
        return None
    return Credential(user=user, secret=secret, is_identity_token=user == _TOKEN_USER)


def _unavailable(message: str, why: str = "") -> OutsideError:
    return OutsideError(
        CREDENTIALS_UNAVAILABLE, message, why=why, next="log in anew with `docker login` as this user"
    )
