"""Traefik's own configuration, as the two files it reads: settings for its start, and what it watches.

Nothing in them is secret and nothing is asked of the host: the same settings give the same bytes. Who may see
the dashboard is a value of the host, so the watched file takes it from the gateway's own variables when
Traefik reads it; without the variable nobody gets in.

Routes of services are not written here, but all that is needed to tell a gateway of them: it watches the
folder, follows a change within a tenth of a second, counts, and has an entry point for its API. Nothing is
routed there until a file in the folder says who may ask; until then every request to it ends with 404.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from gitops.entrances import ADMIN_ENTRANCE, ADMIN_PORT

FOLDER = "/etc/traefik"
STATIC_FILE = f"{FOLDER}/traefik.yml"
DYNAMIC_FOLDER = f"{FOLDER}/dynamic"
DYNAMIC_FILE = f"{DYNAMIC_FOLDER}/stagecraft.yml"
OWN_FOLDER = "own"  # in a watched folder, whose folders Traefik reads too, though it does not watch them
OWN_DYNAMIC_FOLDER = f"{DYNAMIC_FOLDER}/{OWN_FOLDER}"
CERTIFICATES = f"{FOLDER}/certs"
ACME_FOLDER = f"{FOLDER}/acme"
USERS_VARIABLE = "TRAEFIK_DASHBOARD_USERS"
RESOLVER = "acme"
THROTTLE = "100ms"
"""How long Traefik waits for more changes before it follows one; its own 2 s would delay every switch."""

_HEAD = "# Written by Stagecraft from the settings of the environment.\n"
_HSTS, _CORS, _LOGIN, _DASHBOARD = "hsts", "cors-for-logto", "dashboard-login", "dashboard"
_YEAR_SECONDS = 31_536_000
_PREFLIGHT_SECONDS = 600
_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traefik:
    """What a gateway is to do, with all names resolved."""

    acme: bool  # certificates come from ACME; else from files
    email: str | None = None  # for ACME
    storage: str = "acme.json"  # name of the file in `ACME_FOLDER`
    certificates: tuple[str, ...] = ()  # names in `CERTIFICATES`, without `.pem`
    dashboard: bool = False
    hsts: bool = False
    origins: tuple[str, ...] = ()  # whose pages may call the app
    engine: bool = False  # it sees the engine, and takes routes from labels
    services: tuple[tuple[str, str], ...] = ()  # of those that run outside: name and address
    told: bool = True  # of routes, by the controller


def static_file(traefik: Traefik) -> bytes:
    """The settings that Traefik starts with."""
    shared = [f"{_CORS}@file"] if traefik.origins else []
    secured = [*([f"{_HSTS}@file"] if traefik.hsts else []), *shared]
    tls: dict[str, Any] = {"tls": {"certResolver": RESOLVER} if traefik.acme else {}}
    entries: dict[str, Any] = {
        "web": {
            "address": ":80",
            "asDefault": True,
            **({"http": {"middlewares": shared}} if shared else {}),
        },
        "websecure": {
            "address": ":443",
            "asDefault": True,
            "http": {**({"middlewares": secured} if secured else {}), **tls},
        },
    }
    providers: dict[str, Any] = {"file": {"directory": DYNAMIC_FOLDER, "watch": True}}
    made: dict[str, Any] = {"entryPoints": entries, "providers": providers}
    if traefik.told:
        entries[ADMIN_ENTRANCE] = {"address": f":{ADMIN_PORT}"}
        providers["providersThrottleDuration"] = THROTTLE
        made["metrics"] = {"prometheus": {"manualRouting": True}}
        made["api"] = {"dashboard": False}
    if traefik.engine:
        providers["docker"] = {"exposedByDefault": False}
    if traefik.dashboard:
        entries["traefik"] = {"address": ":8080"}
        made["api"] = {"dashboard": True}
    if traefik.acme:
        account = {} if traefik.email is None else {"email": traefik.email}
        storage = f"{ACME_FOLDER}/{traefik.storage}"
        challenge = {"httpChallenge": {"entryPoint": "web"}}
        made["certificatesResolvers"] = {RESOLVER: {"acme": {**account, "storage": storage, **challenge}}}
    return _written(made)


def dynamic_file(traefik: Traefik) -> bytes:
    """What Traefik watches."""
    middlewares: dict[str, Any] = {}
    routers: dict[str, Any] = {}
    if traefik.hsts:
        middlewares[_HSTS] = {"headers": {"stsSeconds": _YEAR_SECONDS, "forceSTSHeader": True}}
    if traefik.origins:
        middlewares[_CORS] = {
            "headers": {
                "accessControlAllowOriginList": list(traefik.origins),
                "accessControlAllowMethods": _METHODS,
                "accessControlAllowHeaders": ["Authorization", "Content-Type"],
                "accessControlAllowCredentials": True,
                "accessControlMaxAge": _PREFLIGHT_SECONDS,
                "addVaryHeader": True,
            }
        }
    if traefik.dashboard:
        middlewares[_LOGIN] = {"basicAuth": {"users": [f'{{{{ env "{USERS_VARIABLE}" }}}}']}}
        routers[_DASHBOARD] = {
            "entryPoints": ["traefik"],
            "rule": "PathPrefix(`/api`) || PathPrefix(`/dashboard`)",
            "service": "api@internal",
            "middlewares": [_LOGIN],
        }
    services = {name: {"loadBalancer": {"servers": [{"url": address}]}} for name, address in traefik.services}
    sections = {"routers": routers, "middlewares": middlewares, "services": services}
    http = {name: section for name, section in sections.items() if section}
    made: dict[str, Any] = {"http": http} if http else {}
    if traefik.certificates:
        made["tls"] = {
            "certificates": [
                {"certFile": f"{CERTIFICATES}/{name}.pem", "keyFile": f"{CERTIFICATES}/{name}-key.pem"}
                for name in traefik.certificates
            ]
        }
    return _written(made)


def _written(made: dict[str, Any]) -> bytes:
    text = yaml.safe_dump(made, sort_keys=True, default_flow_style=False, allow_unicode=False, width=1000)
    return (_HEAD + (text if made else "")).encode()
