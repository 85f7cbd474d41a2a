"""The files that a gateway is given: Traefik's own settings, what it watches, and the folder of routes.

The settings are collected like any file of the commit: named by content and mounted read-only, so an edit of
the `traefik` section replaces the gateway and nothing else. Routes are no part of them: they change without
the gateway being touched, in a folder of the host that it watches.

The address for ACME is the value of a variable that the repository sets. One that only a host knows cannot
stand in a file that is made here: there is a finding, and certificates are asked for without an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from posixpath import basename, dirname
from typing import Any

from events.manifest import ROUTES_PLACE
from gitops.compose.files import Collector
from gitops.compose.traefik import (
    ACME_FOLDER,
    CERTIFICATES,
    DYNAMIC_FILE,
    DYNAMIC_FOLDER,
    OWN_FOLDER,
    STATIC_FILE,
    Traefik,
    dynamic_file,
    static_file,
)
from gitops.config.faults import KeyPath
from gitops.config.load import Configuration
from gitops.config.rollout import TraefikSection
from gitops.findings import Finding, FindingCode
from gitops.gateway_flags import has_settings, targets_of
from gitops.source.paths import inside, resolve

LOGTO_VARIABLE = "LOGTO_DOMAIN"
HERE = "host.docker.internal"  # what a container calls its own host, by Compose's custom

_STORAGE = "traefik/acme.json"
_MKCERT_NAME = "dev-local"  # as the developer's command calls its pair
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`|~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::\d{1,5})?")
_LOCAL_ADDRESS = re.compile(r"(?P<scheme>https?://)(?:localhost|127\.0\.0\.1|\[::1\])(?![A-Za-z0-9.-])")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")


def wanted_variables(configuration: Configuration) -> frozenset[str]:
    """The variables whose values the gateway's files need."""
    section = configuration.environment.traefik
    if section is None:
        return frozenset()
    email = {section.acme_email_env} if section.acme_email_env and section.mode == "acme" else set[str]()
    return frozenset(email | ({LOGTO_VARIABLE} if section.cors_for_logto else set[str]()))


@dataclass(slots=True, kw_only=True)
class GatewayFiles:
    """The work on one gateway's files."""

    configuration: Configuration
    collector: Collector
    values: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list[Finding])

    def equip(
        self, service: dict[str, Any], section: TraefikSection | None, *, routes_at: str | None
    ) -> None:
        """Mount the files and what they name; `routes_at` is the folder that it watches for routes.

        None: it is not told of any.
        """
        targets, theirs = targets_of(service), has_settings(service)
        folder = routes_at or DYNAMIC_FOLDER
        mounts = [] if routes_at is None else [_bind(ROUTES_PLACE, routes_at, create=False)]
        traefik = replace(self._traefik(service, section, mounts), told=routes_at is not None)
        if section is not None and section.dynamic_config_dir is not None:
            own = f"{folder}/{OWN_FOLDER}"
            mounts.append(self._mount(("traefik", "dynamic_config_dir"), section.dynamic_config_dir, own))
        if section is not None or not theirs:
            watched = basename(DYNAMIC_FILE)
            mounts.append(self._generated(watched, dynamic_file(traefik), f"{folder}/{watched}"))
        if not theirs:
            mounts.append(self._generated("traefik.yml", static_file(traefik), STATIC_FILE))
        elif section is not None:
            where = f"in {folder}" if routes_at else f"with --providers.file.directory={folder}"
            self.find(
                ("traefik",),
                "the gateway starts with settings of its own, which Traefik takes in place of ours; it finds "
                f"certificates and middlewares {where}",
            )
        for mount in mounts:
            if mount["target"] in targets:
                self.find(
                    ("traefik",), f"the gateway mounts {mount['target']} itself, which is left as it is"
                )
        free = [mount for mount in mounts if mount["target"] not in targets]
        service["volumes"] = [*(service.get("volumes") or ()), *free]
        self._name_this_machine(service)

    def _name_this_machine(self, service: dict[str, Any]) -> None:
        """Let the gateway reach its own host by name, where something that runs there answers."""
        external = [mode for mode in self.configuration.environment.modes.values() if mode.mode == "external"]
        if any(_LOCAL_ADDRESS.match(mode.url or "") for mode in external):
            own = [str(line) for line in service.get("extra_hosts") or ()]
            if not any(line.partition("=")[0] == HERE for line in own):
                service["extra_hosts"] = [*own, f"{HERE}=host-gateway"]

    def no_gateway(self) -> None:
        """Say that what runs outside is not passed on to."""
        for name, mode in sorted(self.configuration.environment.modes.items()):
            if mode.url is not None:
                self.find((name, "url"), "no gateway passes requests on to it")

    def find(self, key: KeyPath, message: str) -> None:
        """Note what comes to nothing, or to less."""
        self.findings.append(
            self.configuration.environment_fault(key, message, FindingCode.GATEWAY_SETTING).finding
        )

    def _traefik(
        self, service: Mapping[str, Any], section: TraefikSection | None, mounts: list[dict[str, Any]]
    ) -> Traefik:
        engine = any(
            str(mount.get("target")) == "/var/run/docker.sock" for mount in service.get("volumes") or ()
        )
        if section is None:
            return Traefik(acme=False, engine=engine, services=self._outside())
        acme = section.mode == "acme"
        strange = ("mkcert_cert_dir",) if acme else ("acme_email_env", "acme_storage")
        for key in strange:
            if getattr(section, key) is not None:
                self.find(("traefik", key), f"it means nothing with `mode: {section.mode}`")
        storage = section.acme_storage or _STORAGE
        if acme:
            mounts.append(self._storage(storage))
        elif section.mkcert_cert_dir is not None:
            mounts.append(self._mount(("traefik", "mkcert_cert_dir"), section.mkcert_cert_dir, CERTIFICATES))
        else:
            self.find(("traefik", "mode"), "no `mkcert_cert_dir` is given, so there are no certificates")
        return Traefik(
            acme=acme,
            email=self._email(section) if acme else None,
            storage=basename(storage.rstrip("/")),
            certificates=() if acme else self._certificates(section),
            dashboard=section.dashboard_auth == "basic",
            hsts=section.hsts,
            origins=self._origins() if section.cors_for_logto else (),
            engine=engine,
            services=self._outside(),
        )

    def _email(self, section: TraefikSection) -> str | None:
        name = section.acme_email_env
        if name is None:
            return None
        value = self.values.get(name)
        if value and _ADDRESS.fullmatch(value):
            return value
        why = "is no e-mail address" if value else "has no value in the repository"
        self.find(
            ("traefik", "acme_email_env"), f"{name} {why}; certificates are asked for without an address"
        )
        return None

    def _origins(self) -> tuple[str, ...]:
        domain = self.values.get(LOGTO_VARIABLE)
        if domain and _DOMAIN.fullmatch(domain):
            return (f"https://{domain}",)
        why = "is no domain" if domain else "has no value in the repository"
        self.find(("traefik", "cors_for_logto"), f"{LOGTO_VARIABLE} {why}; no other page is let in")
        return ()

    def _certificates(self, section: TraefikSection) -> tuple[str, ...]:
        """The pairs that are in the commit, else the one that the developer's command makes."""
        if section.mkcert_cert_dir is None:
            return ()
        found: list[str] = []
        if not section.mkcert_cert_dir.startswith("/"):
            folder = resolve(self.configuration.folder, section.mkcert_cert_dir)
            names = {inside(folder, path) or "" for path, _entry in self.collector.tree.walk(folder)}
            stems = {name.removesuffix("-key.pem") for name in names if name.endswith("-key.pem")}
            found = sorted(stem for stem in stems if f"{stem}.pem" in names and _PLAIN_NAME.fullmatch(stem))
        return tuple(found) or (_MKCERT_NAME,)

    def _outside(self) -> tuple[tuple[str, str], ...]:
        """The services that run outside and say where."""
        found: list[tuple[str, str]] = []
        for name, mode in sorted(self.configuration.environment.modes.items()):
            if mode.url is None:
                continue
            if mode.mode == "container":
                self.find((name, "url"), "it means nothing with `mode: container`")
            else:
                found.append((name, _as_seen_inside(mode.url)))
        return tuple(found)

    def _mount(self, key: KeyPath, path: str, target: str) -> dict[str, Any]:
        """A read-only mount of a folder of the project or the host."""
        if path.startswith("/"):
            return _bind(path, target, create=False)
        place = resolve(self.configuration.folder, path)
        named = f"environments.{self.configuration.name}.{'.'.join(str(part) for part in key)}"
        source, committed = self.collector.mounted(place, key=named)
        return _bind(source.replace("$", "$$"), target, create=not committed)

    def _storage(self, path: str) -> dict[str, Any]:
        """A writable folder of the host for the certificates of ACME."""
        folder = dirname(path.rstrip("/"))
        if path.startswith("/"):
            source = folder
        else:
            state = resolve(self.configuration.folder, folder or dirname(_STORAGE))
            source, _ = self.collector.mounted(
                state, key=f"environments.{self.configuration.name}.traefik", state=True
            )
        mount = _bind(source.replace("$", "$$"), ACME_FOLDER, create=True)
        del mount["read_only"]
        return mount

    def _generated(self, name: str, content: bytes, target: str) -> dict[str, Any]:
        return _bind(self.collector.generated(name, content), target, create=False)


def _as_seen_inside(address: str) -> str:
    """An address of this machine as the gateway's container has to call it."""
    return _LOCAL_ADDRESS.sub(rf"\g<scheme>{HERE}", address)


def _bind(source: str, target: str, *, create: bool) -> dict[str, Any]:
    return {
        "type": "bind",
        "source": source,
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": create},
    }
