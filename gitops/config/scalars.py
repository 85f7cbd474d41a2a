"""The plain values of configuration files: names, lengths of time, paths, addresses.

Each has one rule, said in one sentence when it is broken, and the same rule as a pattern in the JSON Schema,
so that an editor refuses what the controller would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from gitops.durations import format_duration, parse_duration

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REGISTRY = r"[a-z0-9]+(?:[.-][a-z0-9]+)*(?::\d{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
_PUBLISH = r"|(?:[0-9.]+:|\[[0-9a-fA-F:]+\]:)?(?:\d{1,5}(?:-\d{1,5})?:)?\d{1,5}(?:-\d{1,5})?(?:/(?:tcp|udp))?"
_VOLUME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"  # as engines take it; one letter alone would be a drive of Windows
_STEP = (
    r"(?!\.\.?(?:/|$))[^/\x00-\x1f\x7f-\x9f:$\\]+"  # one part of a path: no `..`, nothing a mount cannot hold
)
_HOST_PATH = rf"(?:/{_STEP})+/?"
_PROJECT_PATH = rf"(?!~)(?:\./)?{_STEP}(?:/{_STEP})*/?"
_ADDRESS = r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?(?:/[A-Za-z0-9._~/%-]*)?"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # of a host name
DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|us|µs|ns|h|m|s))+$"
MAX_NAME = 63  # a name becomes a label, a folder and part of a host name
_MAX_HOST = 253
_MAX_TEXT = 4096
_MAX_PORT = 65535


def checked_name(text: str) -> str:
    """A project, environment or role name. Raises ValueError."""
    if len(text) <= MAX_NAME and _NAME.fullmatch(text):
        return text
    proposal = re.sub(r"[^a-z0-9_-]+", "-", text[:MAX_NAME].lower()).strip("-_")
    hint = f"; {proposal!r} would do" if _NAME.fullmatch(proposal) else ""
    raise ValueError(
        "a name has lower-case letters, digits, '-' and '_', starts with a letter or digit and has at most "
        f"{MAX_NAME} characters, because Compose names containers and volumes by it{hint}"
    )


def checked_version(text: str) -> str:
    """A version, which is an image tag too. Raises ValueError."""
    if not _VERSION.fullmatch(text):
        raise ValueError("a version is an image tag: letters, digits, '_', '.' and '-', at most 128")
    return text


@dataclass(frozen=True, slots=True)
class Matching:
    """A rule for a text: the whole of it matches `pattern`."""

    pattern: str
    limit: int  # characters
    rule: str  # what is said when it is broken

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401  # pydantic's protocol
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$", "maxLength": self.limit}

    def _checked(self, text: str) -> str:
        if len(text) > self.limit or not re.fullmatch(self.pattern, text):
            raise ValueError(self.rule)
        return text


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("a length of time is text such as 2s, 500ms or 1m30s")  # noqa: TRY004  # pydantic's way
    return parse_duration(value)


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("it must be more than nothing")
    return seconds


def _inside(text: str) -> str:
    """A path below the file that names it."""
    if not text or text.startswith(("/", "~")) or ".." in text.split("/") or "\0" in text:
        raise ValueError("it must be a relative path without '..'")
    return text


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it must be an http or https address")
    return text


def _with_a_port(text: str) -> str:
    if int(text.rpartition(":")[2]) > _MAX_PORT:
        raise ValueError(f"ports end at {_MAX_PORT}")
    return text


def _status_text(value: object) -> object:
    """A single status may be written as the number that it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _ascending(text: str) -> str:
    first, last = status_range(text)
    if first > last:
        raise ValueError("a range of statuses starts with the lower one")
    return text


def status_range(text: str) -> tuple[int, int]:
    """The first and the last status of a `StatusRange`."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)


_NAME_SCHEMA = {"type": "string", "pattern": f"^{_NAME.pattern}$", "maxLength": MAX_NAME}

Name = Annotated[str, AfterValidator(checked_name), WithJsonSchema(_NAME_SCHEMA)]
HostName = Annotated[
    str,
    Matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", _MAX_HOST, "a host name has letters, digits, '.', '_' and '-'"),
]
HostAddress = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f.]{0,15}){2,8}",
        _MAX_HOST,
        "an address of a host is a name or an IP address, without a port",
    ),
]
HostPath = Annotated[
    str,
    Matching(_HOST_PATH, 4096, "it is an absolute path on the host, without '..', ':' and '$'"),
]
ServiceName = Annotated[
    str, Matching(r"[A-Za-z0-9._-]+", 255, "a service name has letters, digits, '.', '_' and '-'")
]
Registry = Annotated[
    str,
    Matching(
        _REGISTRY, 255, "a registry is a host and a path as in an image name: ghcr.io/org/app, no scheme"
    ),
]
Version = Annotated[
    str,
    AfterValidator(checked_version),
    WithJsonSchema({"type": "string", "pattern": f"^{_VERSION.pattern}$"}),
]
VariableName = Annotated[
    str,
    Matching(
        r"[A-Za-z_][A-Za-z0-9_]*",
        255,
        "it is the name of a variable, of letters, digits and '_'; a value never stands here",
    ),
]
PublishedPort = Annotated[
    str,
    Matching(
        _PUBLISH, 100, "a published port is text such as 8080:80 or 127.0.0.1:5433:5432, or '' for none"
    ),
]
VolumePlace = Annotated[
    str,
    Matching(
        rf"{_VOLUME}|{_HOST_PATH}",
        4096,
        "it is the name of a volume, of at least two letters, or an absolute path on the host, without '..', "
        "':' and '$'",
    ),
]
FilePlace = Annotated[
    str,
    Matching(
        rf"{_HOST_PATH}|{_PROJECT_PATH}",
        4096,
        "it is a path inside the project or an absolute one on the host, without '..', ':' and '$'",
    ),
]
ServiceAddress = Annotated[
    str,
    Matching(
        _ADDRESS, 2048, "it must be an http or https address of a host, a port and a path, without a password"
    ),
]
ListenAddress = Annotated[
    str,
    Matching(
        r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}",
        255,
        "an address to listen on is HOST:PORT, as in 127.0.0.1:8700",
    ),
    AfterValidator(_with_a_port),
]
RequestPath = Annotated[
    str,
    Matching(
        r"/[!-\"$-~]*", 2048, "it must be a path such as /health: it starts with '/', without spaces and '#'"
    ),
]
AskedHost = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9._-]+(?::\d{1,5})?",
        255,
        "it is the name of a host, with a port or without, and no scheme",
    ),
]
RouteHost = Annotated[
    str,
    Matching(
        rf"\*|(?:\*\.)?{_LABEL}(?:\.{_LABEL})*",
        _MAX_HOST,
        "the host of a route is a name such as shop.example.org, '*.example.org', or '*' for every one",
    ),
]
RoutePath = Annotated[
    str,
    Matching(
        r"/[A-Za-z0-9._~@:+,=/-]*",
        1024,
        "the path of a route starts with '/' and has letters, digits and '._~@:+,=/-'",
    ),
]
EntryPointName = Annotated[
    str,
    Matching(r"[A-Za-z][A-Za-z0-9_-]*", MAX_NAME, "an entry point has letters, digits, '-' and '_'"),
]
StatusRange = Annotated[
    str,
    BeforeValidator(_status_text),
    Matching(
        r"[1-5]\d\d(?:-[1-5]\d\d)?", 7, "it is a status such as 204, or a range of them such as 200-399"
    ),
    AfterValidator(_ascending),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[1-5]\d\d(-[1-5]\d\d)?$", "examples": ["200-399", "204"]},
                {"type": "integer", "minimum": 100, "maximum": 599},
            ]
        }
    ),
]
WebAddress = Annotated[
    str, AfterValidator(_web_address), WithJsonSchema({"type": "string", "pattern": "^https?://"})
]
Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
PathInside = Annotated[str, Field(max_length=_MAX_TEXT), AfterValidator(_inside)]
Port = Annotated[int, Field(ge=1, le=_MAX_PORT)]
Count = Annotated[int, Field(gt=0)]
Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    AfterValidator(_positive),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["2s", "500ms", "1m30s"]}),
]
Hosts = dict[Name, Annotated[list[HostName], Field(min_length=1)]]
