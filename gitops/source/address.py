"""Where a repository is: a path, or a file, ssh, https or http address, kept apart from its credentials.

Credentials leave the address at once: they are taught to the redactor, never stand in an argument list, and
go to Git through a helper that answers for that one server only. Schemes are an allow-list, because Git's
remote helpers (`ext::`) run programs. A name that starts with `-` is refused before Git sees it.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from events.kernel.errors import UserError, error_code
from events.kernel.redact import REDACT, printable

REPOSITORY_URL_REFUSED = error_code(
    "repository-url-refused", "The address of a repository is not one that is taken."
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_SCP = re.compile(
    r"(?:(?P<user>[A-Za-z0-9._][A-Za-z0-9._-]*)@)?(?P<host>[A-Za-z0-9.\[\]:_-]*[A-Za-z0-9\]]):(?P<path>.+)"
)
_HOST = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+")
_PORTS = {"ssh": 22, "https": 443, "http": 80}
_SLUG_LENGTH = 60
_TOKEN_LENGTH = 16
_MAX_LENGTH = 4095  # bytes; as long as Linux takes a path
_NAME = "STAGECRAFT_GIT_USERNAME"
_WORD = "STAGECRAFT_GIT_PASSWORD"
_HELPER_SCRIPT = (
    f'!f() {{ test "$1" = get && printf "username=%s\\npassword=%s\\n" "${_NAME}" "${_WORD}"; }}; f'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A checked address."""

    url: str  # what Git is given: an absolute path or a URL without a password
    local: bool  # on this machine's file system
    identity: str  # the same for every spelling that differs in credentials only
    origin: str = ""  # `https://host:port` for http and https, which may have credentials
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def settings(self) -> dict[str, str]:
        """Git configuration that makes it use the credentials, and for this server only."""
        return {f"credential.{self.origin}.helper": _HELPER_SCRIPT} if self._given else {}

    def variables(self) -> dict[str, str]:
        """The variables the helper reads."""
        return {_NAME: self.username, _WORD: self.password} if self._given else {}

    @property
    def _given(self) -> bool:
        return bool(self.username or self.password)


def check_address(text: str) -> None:
    """Raise UserError `repository-url-refused` for what is neither a path nor a URL, whatever is there."""
    if not text or text.startswith("-") or _CONTROL.search(text):
        raise _refused(text, "it is empty, starts with '-' or has control characters")
    if len(text.encode()) > _MAX_LENGTH:
        raise _refused(f"{text[:_SLUG_LENGTH]}…", f"it is longer than {_MAX_LENGTH} bytes")


def parse_address(text: str) -> Address:
    """The address in `text`. Raises UserError `repository-url-refused`."""
    check_address(text)
    if _HELPER.match(text):
        raise _refused(text, "remote helpers run programs")
    if scheme := _SCHEME.match(text):
        return _from_url(text, scheme["scheme"].lower())
    scp = _SCP.fullmatch(text)
    if scp and "/" not in text.partition(":")[0]:
        user = f"{scp['user']}@" if scp["user"] else ""
        return _ssh(f"{user}{scp['host']}:{scp['path']}", scp["host"], scp["path"])
    return _path(text)


def shown_address(text: str) -> str:
    """The address as people may see it: without credentials. Raises as `parse_address`."""
    return REDACT(printable(parse_address(text).url))


def anchored(text: str, folder: Path) -> str:
    """`text`, which as a relative path starts in `folder`. Raises as `parse_address`."""
    if not parse_address(text).local or _SCHEME.match(text):
        return text
    return str((folder / Path(text).expanduser()).resolve())


def slug(text: str) -> str:
    """A name for a repository: stable, readable, safe as a file name, without credentials."""
    identity = parse_address(text).identity
    readable = (
        re.sub(r"[^A-Za-z0-9._]+", "-", identity.removesuffix(".git")).strip("-.")[-_SLUG_LENGTH:].strip("-.")
    )
    return f"{readable.lower() or 'repository'}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def repository_name(text: str) -> str:
    """What all spellings of one repository share; for comparing, since nothing can be fetched from it.

    Other credentials, another scheme with its own port, letters of another case, and `/` or `.git` at the
    end make no other repository. Raises as `parse_address`.
    """
    address = parse_address(text)
    name = address.identity
    if not address.local:
        server, _, path = name.partition("/")
        scheme = _SCHEME.match(address.url)
        port = _PORTS[scheme["scheme"].lower() if scheme else "ssh"]
        server = server.removesuffix(f":{port}").rstrip(".")
        place = posixpath.normpath(unquote(path).strip("/"))
        name = f"{server}/{place}".casefold()
    return name.rstrip("/").removesuffix(".git").rstrip("/")


def _from_url(text: str, scheme: str) -> Address:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refused(text, str(error)) from error
    if scheme == "file":
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise _refused(text, "a file address has no host: file:///path")
        return _path(unquote(parts.path))
    if scheme not in {"ssh", "https", "http"}:
        raise _refused(text, f"the scheme {scheme} is not among file, ssh, https and http")
    if not _HOST.fullmatch(host):
        raise _refused(text, "the host is missing or not a host name")
    _learn(parts)
    shown_host = f"[{host}]" if ":" in host else host
    server = f"{shown_host}:{port}" if port is not None else shown_host
    if scheme == "ssh":
        user = unquote(parts.username or "")
        if user.startswith("-"):
            raise _refused(text, "the user name starts with '-'")
        return _ssh(f"ssh://{user}{'@' if user else ''}{server}{parts.path}", server, parts.path)
    origin = f"{scheme}://{server}"
    query = f"?{parts.query}" if parts.query else ""
    return Address(
        url=f"{origin}{parts.path}{query}",
        local=False,
        identity=f"{server}{parts.path.rstrip('/')}{query}",
        origin=origin,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _ssh(url: str, server: str, path: str) -> Address:
    return Address(url=url, local=False, identity=f"{server}/{path.strip('/')}")


def _path(text: str) -> Address:
    path = str(Path(text).expanduser().resolve())
    return Address(url=path, local=True, identity=path)


def _learn(parts: SplitResult) -> None:
    """Teach the redactor the secret: the password, or a name alone that is as long as a token."""
    secret = parts.password or (parts.username if len(parts.username or "") >= _TOKEN_LENGTH else "")
    for form in {secret or "", unquote(secret or "")}:
        REDACT.learn(form)


def _refused(text: str, why: str) -> UserError:
    return UserError(
        REPOSITORY_URL_REFUSED,
        f"the repository address {REDACT(printable(text))!r} is refused: {why}",
        next="give a path or a file, ssh, https or http address",
    )
