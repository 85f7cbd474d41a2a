"""Files of another repository that a Compose file names: how a reference is written, and what allows it.

A reference is `https://host/org/lib.git#<commit>:path/in/it`, as Compose takes it, or the same by `ssh://`,
`git@host:org/lib.git` and `http://`. It counts only when it is pinned, which is a whole commit id and nothing
that can move, and when `controller.yml` lists a prefix of it. Prefixes are compared by parts: scheme, user,
host, port, then whole segments of the path; `https://host/org` is no prefix of `https://host/organ`.

Characters are an allow-list, so nothing has to be decoded, unescaped or quoted anywhere behind this module. A
name with a password in it is refused: what is in a repository is no secret. The two SSH forms are kept apart,
because on a server of one's own `host:a` is a folder of the home and `ssh://host/a` is not. `git://` proves
nothing about who answers, and is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from events.kernel.redact import REDACT
from gitops.grafts import GRAFTS
from gitops.source.address import slug
from gitops.source.paths import join, shown
from gitops.source.tree import Tree

_MAX_LENGTH = 1000
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOOSE_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
_PLAIN = re.compile(r"[A-Za-z0-9._~@+:/#-]+")
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~@+][A-Za-z0-9._~@+-]*")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_USER = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._-]*")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<server>[^/#]*)(?P<path>[^#]*)", re.DOTALL)
_SCP = re.compile(r"(?:(?P<user>[^@:/#]*)@)?(?P<host>[^@:/#]+):(?P<path>[^#]*)", re.DOTALL)
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22}
_MAX_PORT = 65535
_FORM = "#<40 hex digits of a commit>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who is asked and by what means, and the place there."""

    scheme: str  # https, http, ssh, or scp for the short form of SSH
    user: str  # of SSH, "" where none is named
    host: str  # lower case
    port: int
    segments: tuple[str, ...]  # of the path

    @property
    def url(self) -> str:
        """As Git takes it; the same for every spelling of the same parts."""
        user = f"{self.user}@" if self.user else ""
        path = "/".join(self.segments)
        if self.scheme == "scp":
            return f"{user}{self.host}:{path}"
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{user}{self.host}{port}/{path}"

    def begins(self, other: Server) -> bool:
        """Whether it is a prefix of `other`, part by part."""
        mine = (self.scheme, self.user, self.host, self.port)
        theirs = (other.scheme, other.user, other.host, other.port)
        return mine == theirs and self.segments == other.segments[: len(self.segments)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRef:
    """A file or folder of a commit of another repository."""

    server: Server
    commit: str  # 40 hex digits
    folder: str  # from its root, "" for the root; may be a file

    @property
    def url(self) -> str:
        """The repository as Git takes it; there is no credential in it."""
        return self.server.url

    @property
    def graft(self) -> str:
        """Where its files stand in a tree that they are grafted onto."""
        return f"{GRAFTS}/{slug(self.url)}@{self.commit}"

    @property
    def path(self) -> str:
        """What it names, in such a tree."""
        return join(self.graft, self.folder) if self.folder else self.graft

    def __str__(self) -> str:
        return f"{self.url}#{self.commit}{':' if self.folder else ''}{self.folder}"


class RemoteRefusedError(ValueError):
    """Why a reference is not taken; the message is for a person and holds no credential."""

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next = next_step


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRules:
    """Which other repositories a project may name."""

    allowed: tuple[Server, ...] = ()
    key: str = "policy.<project>.remotes"  # of controller.yml, where that is said

    def taken(self, text: str) -> RemoteRef:
        """The reference in `text`, which is pinned and allowed. Raises RemoteRefusedError."""
        address, _sharp, fragment = text.partition("#")
        try:
            server = _server(address)
        except ValueError as error:
            next_step = f"write https://host/org/lib.git{_FORM}:compose.yml, which {self.key} allows"
            raise _refused(text, str(error), next_step) from error
        if not any(prefix.begins(server) for prefix in self.allowed):
            raise _refused(
                text,
                "no policy allows that repository",
                f"list {server.url} under {self.key} in controller.yml",
            )
        commit, colon, folder = fragment.partition(":")
        try:
            _check_commit(commit)
            if colon:
                _check_segments(folder.split("/"))
        except ValueError as error:
            written = f":{folder}" if folder and _PLAIN.fullmatch(folder) else ""
            raise _refused(text, str(error), f"write {server.url}{_FORM}{written}") from error
        return RemoteRef(server=server, commit=commit, folder=folder)


def parse_prefix(text: str) -> Server:
    """What `text` allows; a slash at its end says nothing. Raises ValueError."""
    if "#" in text:
        raise ValueError("a prefix names no commit")
    return _server(text.removesuffix("/"), prefix=True)


class Remotes(Protocol):
    """Who brings the files of other repositories for one project."""

    @property
    def allowed(self) -> tuple[Server, ...]:
        """The prefixes that the operator lists."""
        ...

    async def tree(self, ref: RemoteRef) -> Tree:
        """The files of a pinned commit. Raises UserError or OutsideError."""
        ...


def _server(text: str, *, prefix: bool = False) -> Server:
    """The parts of an address. Raises ValueError with what is wrong with it."""
    if not text or len(text) > _MAX_LENGTH:
        raise ValueError(f"it is empty or longer than {_MAX_LENGTH} characters")
    if text.startswith("-"):
        raise ValueError("it starts with '-'")
    url = _URL.fullmatch(text)
    if url is None:
        return _scp(text, prefix=prefix)
    scheme = url["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f"{scheme}:// is not among https, ssh and http")
    if "?" in text:
        raise ValueError("what stands behind '?' is not taken; the commit follows '#'")
    user, at, server = url["server"].rpartition("@")
    if at and scheme != "ssh":
        raise ValueError("a name or a password does not belong into it")
    _check_characters(text)
    host, colon, port = server.partition(":")
    if colon and not (_PORT.fullmatch(port) and int(port) <= _MAX_PORT):
        raise ValueError("its port is no number of a port")
    segments = url["path"].split("/")[1:]
    return _checked(
        Server(
            scheme=scheme,
            user=_checked_user(user, given=bool(at)),
            host=host.lower(),
            port=int(port) if colon else _DEFAULT_PORTS[scheme],
            segments=tuple(segments),
        ),
        prefix=prefix,
    )


def _scp(text: str, *, prefix: bool) -> Server:
    """The short form of SSH, `git@host:org/lib.git`. Raises ValueError."""
    scp = _SCP.fullmatch(text)
    if scp is None or "::" in text:
        raise ValueError("it is no https, ssh or http address")
    _check_characters(text)
    segments = scp["path"].split("/") if scp["path"] else []
    return _checked(
        Server(
            scheme="scp",
            user=_checked_user(scp["user"] or "", given=scp["user"] is not None),
            host=scp["host"].lower(),
            port=_DEFAULT_PORTS["ssh"],
            segments=tuple(segments),
        ),
        prefix=prefix,
    )


def _checked(server: Server, *, prefix: bool) -> Server:
    """`server`, when its host and its path can be ones. Raises ValueError."""
    if not _HOST.fullmatch(server.host):
        raise ValueError("its host is missing or no plain host name")
    _check_segments(server.segments)
    if prefix:
        return server
    if not server.segments:
        raise ValueError("it names no repository")
    if server.scheme in {"https", "http"} and not server.segments[-1].endswith(".git"):
        raise ValueError("Compose takes it for a repository only when it ends in .git")
    return server


def _check_characters(text: str) -> None:
    if not _PLAIN.fullmatch(text):
        raise ValueError("it has characters beside letters, digits and ._~@+:/-")


def _checked_user(user: str, *, given: bool) -> str:
    if given and ":" in user:
        raise ValueError("a password does not belong into it")
    if given and not _USER.fullmatch(user):
        raise ValueError("its user is no plain name")
    return user


def _check_segments(segments: Iterable[str]) -> None:
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise ValueError(f"{shown(segment)!r} is no plain name of a file or folder")


def _check_commit(text: str) -> None:
    """Raise ValueError for what is no whole commit id, with what it is."""
    if _COMMIT.fullmatch(text):
        return
    if not text:
        raise ValueError("it names no commit")
    if _LOOSE_COMMIT.fullmatch(text):
        raise ValueError(f"{shown(text)!r} is no whole commit id: 40 hex digits in lower case")
    raise ValueError(f"{shown(text)!r} is a branch or a tag, which can move")


def _refused(text: str, why: str, next_step: str) -> RemoteRefusedError:
    return RemoteRefusedError(
        f"{shown(REDACT(text))!r} is not a file of the repository: {why}", next_step=next_step
    )
