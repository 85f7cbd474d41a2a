"""Env files that lie on a host: read as text of `NAME=value` lines, and told of by name and keyed digest.

Such a file is a repository's way to use a password that it does not hold. Its values stay on the host: they
go from the file into the Compose client's memory and from there to the engine. What leaves this module are
names, and digests under a key of this home, so that a weak password cannot be guessed from them.

The form is checked here before Compose sees the file, because Compose quotes the line that it cannot read
and the path is the repository's choice: a file of passwords or a key, named as an env file, must not end up
in an error. An error names a line by its number.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from events.kernel.canonical import canonical_json
from events.kernel.errors import UserError, Where, error_code
from events.kernel.redact import Redactor

HOST_ENV_INVALID = error_code(
    "host-env-invalid", "An env file on a host has a line that is not NAME=value, or is no text."
)

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=(?P<value>.*)", re.DOTALL)
_SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH|DSN|(?:^|_)PWD?(?:_|$)", re.IGNORECASE)
_SETTINGS = ("COMPOSE_", "DOCKER_")
_NAMED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_QUOTES = "\"'"
_ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEnvFile:
    """One entry of a service's `env_file` that is an absolute path."""

    path: str
    required: bool = True
    raw: bool = False  # lines as they are: no quotes, nothing put in for variables


def host_env_files(definition: Mapping[str, Any]) -> tuple[HostEnvFile, ...]:
    """The env files that a service of a Manifest takes from its host, in order."""
    entries: list[Mapping[str, Any]] = definition.get("env_file") or []
    return tuple(
        HostEnvFile(
            path=str(entry["path"]).replace("$$", "$"),
            required=entry.get("required") is not False,
            raw=entry.get("format") == "raw",
        )
        for entry in entries
    )


def values_of(content: bytes, file: HostEnvFile) -> dict[str, str]:
    """`{name: value}` of a file's content, quotes taken off. Raises UserError `host-env-invalid`."""
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise _invalid(file, "it is not UTF-8 text") from error
    found: dict[str, str] = {}
    position = 0
    while position < len(lines):
        first = position
        text = lines[position].strip()
        position += 1
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None or "\0" in text:
            raise _invalid(file, f"line {first + 1} is not NAME=value")
        value = match["value"].strip()
        if not file.raw and value[:1] and value[0] in _QUOTES:
            while not _closed(value):
                if position == len(lines):
                    raise _invalid(file, f"the quote in line {first + 1} is not closed")
                value += "\n" + lines[position]
                position += 1
            value = value[1 : value.rindex(value[0])]
        found[match["name"]] = value
    return found


def refuse_settings(values: Mapping[str, str], file: HostEnvFile) -> None:
    """Raise UserError `host-env-invalid` for names that change what a Compose client does, or to whom.

    In an env file of a service they are variables of its container; where references are filled in from
    the file, the client takes them for its own.
    """
    for name in values:
        if name.startswith(_SETTINGS):
            raise _invalid(file, f"it sets {name}, which a Compose client takes for its own setting")


def variable_digests(
    values: Mapping[str, str], names: Collection[str], *, path: str, key: bytes
) -> dict[str, str]:
    """`{name: digest under `key`}` of those names that are there, with what their values are made of.

    A value may refer to other names of the file, as Compose reads it; a change of one of these is a change.
    """
    found: dict[str, str] = {}
    for name in sorted(set(names) & values.keys()):
        meant = {one: values[one] for one in _with_named(name, values)}
        content = canonical_json({"path": path, "name": name, "values": meant})
        found[name] = hmac.new(key, content, hashlib.sha256).hexdigest()
    return found


def combined_digest(files: str | None, variables: Mapping[str, str], key: bytes) -> str:
    """One digest for a service, of its env files' and of the variables that it refers to."""
    content = canonical_json({"files": files, "variables": dict(variables)})
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _with_named(name: str, values: Mapping[str, str]) -> list[str]:
    """A name and all that its value refers to, through any depth, sorted."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in values and one not in found:
            found.add(one)
            waiting += _NAMED.findall(values[one])
    return sorted(found)


def learn_secrets(values: Mapping[str, str], redactor: Redactor) -> None:
    """Mask the values whose names say that they are secrets, wherever they turn up from now on."""
    for name, value in values.items():
        if _SECRET_NAME.search(name):
            redactor.learn(value)


def keyed_digest(contents: Mapping[str, bytes | None], key: bytes) -> str:
    """The digest, under `key`, of files by path; None stands for one that is not there."""
    digests = {
        path: _ABSENT if content is None else hashlib.sha256(content).hexdigest()
        for path, content in contents.items()
    }
    return hmac.new(key, canonical_json(digests), hashlib.sha256).hexdigest()


def _closed(value: str) -> bool:
    """Whether a text that starts with a quote also ends it, with nothing behind but a comment."""
    rest = re.sub(r"\\.", "", value[1:], flags=re.DOTALL) if value[0] == '"' else value[1:]
    return value[0] in rest


def _invalid(file: HostEnvFile, why: str) -> UserError:
    return UserError(
        HOST_ENV_INVALID,
        f"the env file {file.path} of the host cannot be used",
        where=Where(file=file.path),
        why=why,
        next="write one NAME=value a line",
    )
