"""The gateway of an environment: which service is Traefik, and the files that its `traefik` section becomes.

The files are collected like any file of the commit: named by content and mounted read-only, so an edit of the
section replaces the gateway and nothing else. A gateway that brings settings of its own (flags, or a mount in
place of ours) keeps them, because Traefik takes its start settings from one place only; what of the section
is lost by that is said.

The address for ACME is the value of a variable that the repository sets. One that only a host knows cannot
stand in a file that is made here: there is a finding, and certificates are asked for without an address.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname
from typing import Any

from gitops.compose.files import Collector
from gitops.compose.traefik import (
    ACME_FOLDER,
    CERTIFICATES,
    DYNAMIC_FILE,
    DYNAMIC_FOLDER,
    FOLDER,
    OWN_DYNAMIC_FOLDER,
    STATIC_FILE,
    Traefik,
    dynamic_file,
    static_file,
)
from gitops.config.faults import ConfigInvalidError, KeyPath, unknown
from gitops.config.load import Configuration
from gitops.config.rollout import TraefikSection
from gitops.config.services import ModeSection
from gitops.findings import Finding, FindingCode
from gitops.source.paths import inside, resolve

LOGTO_VARIABLE = "LOGTO_DOMAIN"
ROLE = "gateway"
HERE = "host.docker.internal"  # what a container calls its own host, by Compose's custom

_STATIC_PLACES = (FOLDER, STATIC_FILE, f"{FOLDER}/traefik.yaml", f"{FOLDER}/traefik.toml")
_STORAGE = "traefik/acme.json"
_MKCERT_NAME = "dev-local"  # as the developer's command calls its pair
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`|~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::\d{1,5})?")
_LOCAL_ADDRESS = re.compile(r"(?P<scheme>https?://)(?:localhost|127\.0\.0\.1|\[::1\])(?![A-Za-z0-9.-])")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")
_IMAGE = re.compile(r"traefik(?:[:@].*)?", re.DOTALL)


def wanted_variables(configuration: Configuration) -> frozenset[str]:
    """The variables whose values the gateway's files need."""
    section = configuration.environment.traefik
    if section is None:
        return frozenset()
    email = {section.acme_email_env} if section.acme_email_env and section.mode == "acme" else set[str]()
    return frozenset(email | ({LOGTO_VARIABLE} if section.cors_for_logto else set[str]()))


def equip_gateway(
    configuration: Configuration,
    collector: Collector,
    *,
    services: Mapping[str, dict[str, Any]],
    roles: Mapping[str, str],
    values: Mapping[str, str],
) -> list[Finding]:
    """Give the gateway among `services` its files; answers what comes to nothing.

    Raises UserError `config-invalid` for a `gateway` that is no service, and as `Collector` does.
    """
    made = _Gateway(configuration=configuration, collector=collector, values=values)
    name = made.choose(services, roles)
    section = configuration.environment.traefik
    if name is not None and section is not None:
        made.equip(services[name], section)
    return made.findings


@dataclass(slots=True, kw_only=True)
class _Gateway:
    """The work on one environment's gateway."""

    configuration: Configuration
    collector: Collector
    values: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list[Finding])

    def choose(self, services: Mapping[str, Mapping[str, Any]], roles: Mapping[str, str]) -> str | None:
        """The service that the section is for."""
        environment = self.configuration.environment
        named = environment.gateway
        modes = environment.modes
        if named is not None and named not in services and named not in modes:
            message = unknown("service", named, services)
            raise ConfigInvalidError(
                [self.configuration.environment_fault(("gateway",), message, FindingCode.SERVICE_UNKNOWN)]
            )
        if environment.traefik is None:
            if named is not None:
                self._find(("gateway",), "the environment has no `traefik`, so nothing is given to it")
            self._no_gateway()
            return None
        candidates = [
            name
            for name in sorted(services)
            if roles[name] == ROLE and _IMAGE.fullmatch(str(services[name]["image"]).rpartition("/")[2])
        ]
        if named is not None:
            candidates = [named] if named in services else []
        if len(candidates) == 1:
            return candidates[0]
        why = f"{', '.join(candidates)} could be meant" if candidates else "none runs here"
        self._find(("traefik",), f"no single service is the gateway ({why}); name it with `gateway`")
        self._no_gateway()
        return None

    def equip(self, service: dict[str, Any], section: TraefikSection) -> None:
        """Mount the files and what they name."""
        targets = {str(mount.get("target", "")).rstrip("/") for mount in service.get("volumes") or ()}
        if FOLDER in targets or DYNAMIC_FOLDER in targets:
            self._find(("traefik",), f"the gateway mounts a folder of its own there: {FOLDER} is left to it")
            self._no_gateway()
            return
        mounts: list[dict[str, Any]] = []
        traefik = self._traefik(service, section, mounts)
        if section.dynamic_config_dir is not None:
            mounts.append(
                self._mount(("traefik", "dynamic_config_dir"), section.dynamic_config_dir, OWN_DYNAMIC_FOLDER)
            )
        mounts.append(self._generated("stagecraft.yml", dynamic_file(traefik), DYNAMIC_FILE))
        if _has_settings(service, targets):
            self._find(
                ("traefik",),
                "the gateway starts with settings of its own, which Traefik takes in place of ours; it finds "
                f"certificates and middlewares with --providers.file.directory={DYNAMIC_FOLDER}",
            )
        else:
            mounts.append(self._generated("traefik.yml", static_file(traefik), STATIC_FILE))
        free = [mount for mount in mounts if mount["target"] not in targets]
        for mount in mounts:
            if mount["target"] in targets:
                self._find(
                    ("traefik",), f"the gateway mounts {mount['target']} itself, which is left as it is"
                )
        service["volumes"] = [*(service.get("volumes") or ()), *free]
        if any(_LOCAL_ADDRESS.match(mode.url or "") for mode in self._external().values()):
            own = [str(line) for line in service.get("extra_hosts") or ()]
            if not any(line.partition("=")[0] == HERE for line in own):
                service["extra_hosts"] = [*own, f"{HERE}=host-gateway"]

    def _traefik(
        self, service: Mapping[str, Any], section: TraefikSection, mounts: list[dict[str, Any]]
    ) -> Traefik:
        acme = section.mode == "acme"
        strange = ("mkcert_cert_dir",) if acme else ("acme_email_env", "acme_storage")
        for key in strange:
            if getattr(section, key) is not None:
                self._find(("traefik", key), f"it means nothing with `mode: {section.mode}`")
        storage = section.acme_storage or _STORAGE
        if acme:
            mounts.append(self._storage(storage))
        elif section.mkcert_cert_dir is not None:
            mounts.append(self._mount(("traefik", "mkcert_cert_dir"), section.mkcert_cert_dir, CERTIFICATES))
        else:
            self._find(("traefik", "mode"), "no `mkcert_cert_dir` is given, so there are no certificates")
        engine = any(
            str(mount.get("target")) == "/var/run/docker.sock" for mount in service.get("volumes") or ()
        )
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
        self._find(
            ("traefik", "acme_email_env"), f"{name} {why}; certificates are asked for without an address"
        )
        return None

    def _origins(self) -> tuple[str, ...]:
        domain = self.values.get(LOGTO_VARIABLE)
        if domain and _DOMAIN.fullmatch(domain):
            return (f"https://{domain}",)
        why = "is no domain" if domain else "has no value in the repository"
        self._find(("traefik", "cors_for_logto"), f"{LOGTO_VARIABLE} {why}; no other page is let in")
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
                self._find((name, "url"), "it means nothing with `mode: container`")
            else:
                found.append((name, _as_seen_inside(mode.url)))
        return tuple(found)

    def _external(self) -> dict[str, ModeSection]:
        modes = self.configuration.environment.modes
        return {name: mode for name, mode in modes.items() if mode.mode == "external"}

    def _no_gateway(self) -> None:
        for name, mode in sorted(self.configuration.environment.modes.items()):
            if mode.url is not None:
                self._find((name, "url"), "no gateway passes requests on to it")

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

    def _find(self, key: KeyPath, message: str) -> None:
        self.findings.append(
            self.configuration.environment_fault(key, message, FindingCode.GATEWAY_SETTING).finding
        )


def _has_settings(service: Mapping[str, Any], targets: Collection[str]) -> bool:
    """Whether Traefik is started with flags or a file that somebody else wrote."""
    flags = [*(service.get("command") or ()), *list(service.get("entrypoint") or ())[1:]]
    return bool(flags) or any(place in targets for place in _STATIC_PLACES)


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
