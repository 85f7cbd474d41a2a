"""A gateway that brings settings of its own: what its flags say, and whether it can be told of routes.

Traefik takes its start settings from one place only, so a gateway with flags gets none of ours. It can be
told when it watches a folder, which is ours then, and confirm what it does when its API answers: through an
entry point of ours that asks for a login, or, where the project opened it anyway, without one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from events.references import all_references
from events.routes import GatewayKind
from gitops.compose.traefik import DYNAMIC_FOLDER, FOLDER, STATIC_FILE, USERS_VARIABLE
from gitops.durations import parse_duration
from gitops.entrances import ADMIN_ENTRANCE, ADMIN_PORT, Entrances

STATIC_PLACES = (FOLDER, STATIC_FILE, f"{FOLDER}/traefik.yaml", f"{FOLDER}/traefik.toml")
_VARIABLE = "TRAEFIK_"
_INSECURE_ENTRANCE, _INSECURE_PORT = "traefik", 8080
_THROTTLE_SECONDS = 2.0  # Traefik's own
_MOST_THROTTLE_SECONDS = 0.1
_EVERYWHERE = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104  # read in flags, never bound to
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:]*\]|[^:/\[\]]*):(?P<port>\d{1,5})(?:/(?P<protocol>tcp|udp))?")
_FALSE = frozenset({"false", "0", "f"})
_DIRECTORY = re.compile(r"(?:/[A-Za-z0-9._-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A gateway with settings of its own, as far as they can be read."""

    entrances: Entrances
    directory: str | None = None  # where it watches; None: nowhere that is known
    admin_port: int | None = None  # where its API answers; None: nowhere
    authenticated: bool = True
    why: str = ""  # it cannot be told or not confirm; empty: it can
    missing: tuple[str, ...] = ()  # flags that would change that
    notes: tuple[str, ...] = ()  # what is slower, or less, than it could be
    kind: GatewayKind = "traefik"
    labels_unclear: str = ""  # why nobody knows whom Traefik's labels are for; empty: it is known

    @property
    def fits(self) -> bool:
        """Whether it can be told, and confirms."""
        return not self.why


def has_settings(service: Mapping[str, Any]) -> bool:
    """Whether Traefik is started with flags, variables or a file that somebody else wrote."""
    return bool(_arguments(service)) or bool(_variables(service)) or _has_file(service)


def judged(service: Mapping[str, Any]) -> Judged:
    """What a gateway's own settings come to."""
    flags = _Flags(values=_values(_arguments(service)) if _arguments(service) else _variables(service))
    if _has_file(service) or "configfile" in flags.values:
        why = "its settings stand in a file, which is not read; as flags in command: they are"
        return Judged(entrances=Entrances(ports={}, usual=()), why=why)
    entrances = flags.entrances()
    directory = flags.directory()
    admin_port, authenticated = flags.admin(entrances)
    missing = tuple(flags.missing(directory, admin_port))
    why = "it cannot be told of routes, or not say that it follows them" if missing else ""
    if directory is not None and (held := held_by_itself(service, directory)):
        why = f"it watches {directory}, and mounts {held} itself; route files need that folder for themselves"
    return Judged(
        entrances=entrances,
        directory=directory,
        admin_port=admin_port,
        authenticated=authenticated,
        why=why,
        missing=missing,
        notes=tuple(flags.notes()),
        labels_unclear=flags.labels_unclear(),
    )


def targets_of(service: Mapping[str, Any]) -> frozenset[str]:
    """The paths inside at which it mounts something."""
    return frozenset(str(mount.get("target", "")).rstrip("/") for mount in service.get("volumes") or ())


def held_by_itself(service: Mapping[str, Any], directory: str) -> str | None:
    """What a gateway mounts at a folder or above it."""
    above = {directory[:at] for at in range(1, len(directory) + 1) if directory[at : at + 1] in ("/", "")}
    return max(above & targets_of(service), key=len, default=None)


def _has_file(service: Mapping[str, Any]) -> bool:
    return bool(targets_of(service) & set(STATIC_PLACES))


def _arguments(service: Mapping[str, Any]) -> list[str]:
    return [str(one) for one in (*(service.get("command") or ()), *list(service.get("entrypoint") or ())[1:])]


def _variables(service: Mapping[str, Any]) -> dict[str, str]:
    """The flags that stand as variables: `TRAEFIK_API_INSECURE`."""
    given: Mapping[str, Any] = service.get("environment") or {}
    return {
        name.removeprefix(_VARIABLE).replace("_", ".").lower(): str(value if value is not None else "")
        for name, value in given.items()
        if name.startswith(_VARIABLE) and name != USERS_VARIABLE
    }


def _values(arguments: list[str]) -> dict[str, str]:
    """Flags by their names in lower case, as Traefik takes them; one without a value is true."""
    found: dict[str, str] = {}
    at = 0
    while at < len(arguments):
        text = arguments[at]
        at += 1
        if not text.startswith("-"):
            continue
        name, given, value = text.lstrip("-").partition("=")
        if not given:
            value = "true"
            if at < len(arguments) and not arguments[at].startswith("-"):
                value = arguments[at]
                at += 1
        found[name.lower()] = value.replace("$$", "$")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flags:
    """Traefik's start settings, by dotted names."""

    values: Mapping[str, str] = field(default_factory=dict[str, str])

    def entrances(self) -> Entrances:
        """The entry points for TCP, and what routers get of them."""
        ports: dict[str, int] = {}
        for name in self._below("entrypoints"):
            match = _ADDRESS.fullmatch(self.values.get(f"entrypoints.{name}.address", ""))
            if match is not None and match["protocol"] != "udp":
                ports[name] = int(match["port"])
        public = sorted(ports.keys() - {_INSECURE_ENTRANCE, ADMIN_ENTRANCE})
        chosen = [name for name in public if self._is(f"entrypoints.{name}.asdefault")]
        tls = {name for name in public if self._has(f"entrypoints.{name}.http.tls")}
        resolvers = {name: self.values.get(f"entrypoints.{name}.http.tls.certresolver") for name in tls}
        return Entrances(
            ports={name: ports[name] for name in public},
            tls=frozenset(tls),
            resolvers={name: who for name, who in resolvers.items() if who},
            usual=tuple(chosen or public),
            labels_count=self.values.get("providers.docker.exposedbydefault", "true").lower() not in _FALSE,
        )

    def directory(self) -> str | None:
        """The folder that it watches."""
        text = self.values.get("providers.file.directory", "").rstrip("/")
        return text if _DIRECTORY.fullmatch(text) else None

    def admin(self, entrances: Entrances) -> tuple[int | None, bool]:
        """The port of the API, and whether it asks for a login."""
        own = self._port(ADMIN_ENTRANCE)
        if own is not None and own not in entrances.ports.values() and self._has("api"):
            return own, True
        if self._is("api.insecure"):
            listens = f"entrypoints.{_INSECURE_ENTRANCE}.address" in self.values
            return (self._port(_INSECURE_ENTRANCE) if listens else _INSECURE_PORT), False
        return None, True

    def missing(self, directory: str | None, admin_port: int | None) -> Iterator[str]:
        """The flags without which it cannot be told, or not confirm."""
        if directory is None:
            yield f"--providers.file.directory={DYNAMIC_FOLDER}"
        if self.values.get("providers.file.watch", "true").lower() in _FALSE:
            yield "--providers.file.watch=true"
        if admin_port is None:
            yield "--api=true"
            yield f"--entrypoints.{ADMIN_ENTRANCE}.address=:{ADMIN_PORT}"

    def notes(self) -> Iterator[str]:
        """What works, and would work better with another flag."""
        text = self.values.get("providers.providersthrottleduration", f"{_THROTTLE_SECONDS}s")
        try:
            seconds = float(text) if text.isdecimal() else parse_duration(text)
        except ValueError:
            seconds = _THROTTLE_SECONDS
        if seconds > _MOST_THROTTLE_SECONDS:
            yield (
                f"the gateway waits up to {seconds:g} s before it follows a change; with "
                "--providers.providersThrottleDuration=100ms a switch takes that much less"
            )
        if not self._has("metrics.prometheus"):
            yield (
                "the gateway counts nothing, so a failing version is not seen by its answers; with "
                "--metrics.prometheus=true and --metrics.prometheus.manualRouting=true it does"
            )

    def labels_unclear(self) -> str:
        """Why it cannot be known which labels the gateway follows."""
        if self.values.get("providers.docker.constraints"):
            return "the gateway chooses services by --providers.docker.constraints"
        return ""

    def _port(self, entrance: str) -> int | None:
        """The port of an entry point that can be published: it listens on every address of its container."""
        match = _ADDRESS.fullmatch(self.values.get(f"entrypoints.{entrance}.address", ""))
        if match is None or match["protocol"] == "udp" or match["host"] not in _EVERYWHERE:
            return None
        return int(match["port"])

    def _below(self, name: str) -> Collection[str]:
        start = f"{name}."
        return {one.removeprefix(start).partition(".")[0] for one in self.values if one.startswith(start)}

    def _has(self, name: str) -> bool:
        """Whether a section is there: by its own flag or by one below it."""
        own = self.values.get(name)
        if own is not None:
            return own.lower() not in _FALSE
        return bool(self._below(name))

    def _is(self, name: str) -> bool:
        text = self.values.get(name)
        return text is not None and text.lower() not in _FALSE and not any(all_references(text))
