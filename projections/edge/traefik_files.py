"""What Traefik is told of one service: a file of its file provider, and the same read back.

A file is made from the checked model alone, never from text that somebody wrote as YAML. Its second line is a
comment with the model itself: so it can be read back without understanding Traefik's words, and since the
same model always gives the same bytes, a file that says anything else was changed by somebody.

Traefik fills a file in as a Go template and then reads it as YAML, and a rule is a language of its own. So a
text that could mean something in any of them is refused, whoever has checked it before.

In each gateway the names are unique, because those of services are: `r<number>-<name>` for a router,
`<kind><port>-<name>` for a service (the kind has no `-`), `<name>` for how its servers are spoken with. An
answer of Traefik's therefore says whose it is (`owner`).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import yaml
from pydantic import ValidationError

from events.kernel.errors import UserError, Where
from events.routes import Route
from projections.edge.port import ROUTE_REFUSED, Backends, Page, Server

SUFFIX = ".route.yml"
ADMIN_FILE = "stagecraft-admin.yml"
ADMIN_ENTRANCE = "stagecraft"  # the entry point, where the gateway's settings are ours
READ = (".yml", ".yaml", ".toml")  # what Traefik takes for a file of its own

PAGE = "page"  # the kind of a service that is a page
_NOBODY = 503  # what Traefik says where no server is
_HEAD = "# Routes of the service {service}, written by Stagecraft; changes made here are put back.\n"
_MODEL = "# model: "
_KEPT_FILES = 4096
_IDLE_SECONDS = 1  # an idle connection to a container that serves no more is closed after it
_ATTEMPTS, _ATTEMPT_PAUSE = 30, "100ms"
_NO_TEXT = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029`'\"\\]|\{\{")
_NO_PATH = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029`]|\{\{")
_OWNED = re.compile(r"[a-z0-9]+-(?P<name>.+)@file")
# Of rules that name a host exactly the longest wins; those that name many come after all of them.
_AFTER_ONE, _AFTER_ALL = -100_000, -200_000

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast, where it was built

Section = dict[str, Any]


def file_name(service: str) -> str:
    """The name of a service's file."""
    return f"{service}{SUFFIX}"


def written(backends: Backends) -> bytes:
    """The file of a service. Raises UserError `route-refused`."""
    _refuse(backends)
    told = backends.model_dump(mode="json")
    if backends.page is None:
        del told["page"]  # as it was written before there were pages
    model = json.dumps(told, sort_keys=True, separators=(",", ":"))
    text = yaml.dump(configuration(backends), Dumper=_DUMPER, sort_keys=True, width=10_000)
    return f"{_HEAD.format(service=backends.service)}{_MODEL}{model}\n{text}".encode("ascii")


@lru_cache(maxsize=_KEPT_FILES)
def read_back(content: bytes, service: str) -> Backends | None:
    """What a service's file says; None when it is not as it was written.

    Remembered, because the same files are looked at again and again.
    """
    lines = content.split(b"\n", maxsplit=2)
    marked = len(lines) > 1 and lines[1].startswith(_MODEL.encode())
    try:
        found = Backends.model_validate_json(lines[1].removeprefix(_MODEL.encode())) if marked else None
        sound = found is not None and found.service == service and written(found) == content
    except (ValidationError, UserError, UnicodeEncodeError):
        return None
    return found if sound else None


def owner(name: str) -> str | None:
    """The `Backends.name` behind the name of a router or service; None for a name that is not of our form."""
    found = _OWNED.fullmatch(name)
    return None if found is None else found["name"]


def configuration(backends: Backends) -> Section:
    """The file's content as Traefik names things."""
    http = [route for route in backends.routes if route.protocol != "tcp"]
    made: Section = {}
    if http:
        made["http"] = _http(backends, http)
    if len(http) < len(backends.routes):
        made["tcp"] = _tcp(backends, [route for route in backends.routes if route.protocol == "tcp"])
    return made


def _http(backends: Backends, routes: Sequence[Route]) -> Section:
    name = backends.name
    routers: Section = {}
    services: Section = {}
    middlewares = _middlewares(backends)
    if backends.page is not None:
        services[_page_key(backends.page, name)] = {"loadBalancer": _page_balancer(backends, backends.page)}
    for route in routes:
        key = f"{route.protocol}{route.port}{'sticky' if route.sticky else ''}-{name}"
        services[key] = {"loadBalancer": _balancer(backends, route)}
        routers[_router(backends, route)] = {
            "entryPoints": [route.entrance],
            "service": key,
            **_rule(route),
            **({"middlewares": sorted(middlewares)} if middlewares else {}),
            **({"tls": _tls(route)} if route.tls else {}),
        }
    transport: Section = {"forwardingTimeouts": {"idleConnTimeout": f"{_IDLE_SECONDS}s"}}
    if any(route.protocol == "https" for route in routes):
        transport["insecureSkipVerify"] = True  # no certificate names a container by its id
    return {
        "routers": routers,
        "services": services,
        "serversTransports": {name: transport},
        **({"middlewares": middlewares} if middlewares else {}),
    }


def _middlewares(backends: Backends) -> Section:
    """By name, what requests pass on their way: the page where there is one, else the further tries.

    Traefik tells of a router which ones it uses and not what they say. So the name of a page has its path's
    digest, and whoever asks sees that it is this one.
    """
    page = backends.page
    if page is not None:
        digest = zlib.crc32(page.path.encode())
        shown: Section = {
            "status": [str(_NOBODY)],
            "service": _page_key(page, backends.name),
            "query": page.path,
        }
        return {f"page-{digest:08x}-{backends.name}": {"errors": shown}}
    retried = {"retry": {"attempts": _ATTEMPTS, "initialInterval": _ATTEMPT_PAUSE}}
    return {f"retry-{backends.name}": retried} if backends.retries else {}


def _page_key(page: Page, name: str) -> str:
    return f"{PAGE}{page.port}-{name}"


def _page_balancer(backends: Backends, page: Page) -> Section:
    addresses = [_address(backends, server, page.port) for server in page.servers]
    return {"servers": [{"url": f"http://{one}"} for one in addresses], "serversTransport": backends.name}


def _balancer(backends: Backends, route: Route) -> Section:
    serving = _serving(backends)
    weighed = any(server.weight != 1 for server in serving)
    sticky: Section = {"name": f"stagecraft-{route.port}", "httpOnly": True, "sameSite": "lax"}
    if route.tls:
        sticky["secure"] = True
    return {
        "servers": [
            {
                "url": f"{route.protocol}://{_address(backends, server, route.port)}",
                **({"weight": server.weight} if weighed else {}),
            }
            for server in serving
        ],
        "serversTransport": backends.name,
        **({"sticky": {"cookie": sticky}} if route.sticky else {}),
    }


def _tcp(backends: Backends, routes: Sequence[Route]) -> Section:
    routers: Section = {}
    services: Section = {}
    for route in routes:
        key = f"tcp{route.port}-{backends.name}"
        services |= _tcp_services(backends, route.port, key)
        routers[_router(backends, route)] = {
            "entryPoints": [route.entrance],
            "service": key,
            "rule": f"HostSNI(`{route.host}`)",
            **({"tls": _tls(route)} if route.tls else {}),
        }
    return {"routers": routers, "services": services}


def _tcp_services(backends: Backends, port: int, key: str) -> Section:
    """Servers have no weights here: those of one weight are a service below one that weighs services."""
    serving = _serving(backends)
    by_weight: dict[int, list[Section]] = {}
    for server in serving:
        by_weight.setdefault(server.weight, []).append({"address": _address(backends, server, port)})
    if len(by_weight) <= 1:
        return {key: {"loadBalancer": {"servers": [one for group in by_weight.values() for one in group]}}}
    parts = {
        f"tcp{port}of{weight}-{backends.name}": (weight * len(group), group)
        for weight, group in sorted(by_weight.items())
    }
    return {
        key: {"weighted": {"services": [{"name": name, "weight": parts[name][0]} for name in parts]}},
        **{name: {"loadBalancer": {"servers": group}} for name, (_, group) in parts.items()},
    }


def _router(backends: Backends, route: Route) -> str:
    return f"r{backends.routes.index(route)}-{backends.name}"


def _rule(route: Route) -> Section:
    path = f"PathPrefix(`{route.path}`)"
    below = "" if route.path == "/" else f" && {path}"
    if route.host == "*":
        return {"rule": path, "priority": _AFTER_ALL + len(route.path)}
    if route.host.startswith("*."):
        pattern = re.escape(route.host.removeprefix("*"))
        return {"rule": f"HostRegexp(`^[^.]+{pattern}$`){below}", "priority": _AFTER_ONE + len(route.path)}
    return {"rule": f"Host(`{route.host}`){below}"}


def _tls(route: Route) -> Section:
    return {} if route.resolver is None else {"certResolver": route.resolver}


def _serving(backends: Backends) -> list[Server]:
    return [server for server in backends.servers if server.weight > 0]


def _address(backends: Backends, server: Server, port: int) -> str:
    address = server.addresses.get(port)
    if address is None:
        raise _refused(backends, f"no address leads to the port {port} of a container on {server.host}")
    return address


def _refuse(backends: Backends) -> None:
    """Raise UserError `route-refused` for what Traefik could take for something else than a text."""
    if not backends.routes:
        raise _refused(backends, "there is no route")
    names = [backends.name, backends.service]
    shown = () if backends.page is None else backends.page.servers
    names += [address for one in (*backends.servers, *shown) for address in one.addresses.values()]
    paths = [route.path for route in backends.routes]
    paths += [] if backends.page is None else [backends.page.path]
    for path in paths:
        if _NO_PATH.search(path):
            raise _refused(backends, f"the path {path!r} has characters that no rule may have")
    for route in backends.routes:
        names += [route.host, route.entrance, route.resolver or ""]
    for text in names:
        if _NO_TEXT.search(text) or "/" in text:
            raise _refused(backends, f"{text!r} has characters that no rule may have")


def _refused(backends: Backends, why: str) -> UserError:
    return UserError(
        ROUTE_REFUSED,
        f"a route of {backends.service} is not told to any gateway",
        where=Where(service=backends.service),
        why=why,
        next="correct the route in the environment's descriptor",
    )


def admin_file(*, users: Mapping[str, str]) -> bytes:
    """Our own door to a gateway: its interface and its counters, for who has a password.

    `users` has what Traefik keeps of a password, by name.
    """
    login = "stagecraft-login"

    def router(path: str, service: str) -> Section:
        return {
            "entryPoints": [ADMIN_ENTRANCE],
            "rule": f"PathPrefix(`{path}`)",
            "service": service,
            "middlewares": [login],
        }

    made = {
        "http": {
            "routers": {
                "stagecraft-api": router("/api", "api@internal"),
                "stagecraft-metrics": router("/metrics", "prometheus@internal"),
            },
            "middlewares": {
                login: {"basicAuth": {"users": [f"{name}:{kept}" for name, kept in sorted(users.items())]}}
            },
        }
    }
    head = "# How Stagecraft asks this gateway what it does; changes made here are put back.\n"
    return (head + yaml.safe_dump(made, sort_keys=True, width=10_000)).encode()
