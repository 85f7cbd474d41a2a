"""The rules of an environment that Compose files take as variables.

    postgres_volume: postgres_data   →  ${POSTGRES_VOLUME}
    db_port_publish: ""              →  ${DB_PORT_PUBLISH}, and no port where it stands alone in `ports`
    env_file: /etc/platform/env      →  ${PLATFORM_ENV_FILE}
    services.db.role: db             →  ${DB_HOST}, when the environment has several hosts or the name says so

Rules win over every file of variables; names of hosts are defaults that any file overrules. Compose refuses
an empty entry of `ports`, so such an entry is given an address that no host has, and taken out afterwards.
A rule that no Compose file uses comes to nothing and is reported.

Layers of variables by service, by site and from secrets belong between the files and the rules; they are not
read yet (`prepare.env`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from gitops.config.faults import KeyPath
from gitops.config.load import Configuration
from gitops.findings import Finding, FindingCode
from gitops.source.paths import resolve

ENV_FILE_VARIABLE = "PLATFORM_ENV_FILE"
NO_PORT_ADDRESS = "127.255.255.254"
_NO_PORT = f"{NO_PORT_ADDRESS}:1:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an environment gives to the interpolation of its Compose files."""

    variables: dict[str, str]
    keys: dict[str, KeyPath]  # the key of the environment's entry that each variable comes from
    no_ports: frozenset[str]  # variables that stand for no port


def rules_of(configuration: Configuration, *, port_variables: Collection[str] = ()) -> Rules:
    """The rules of an environment; `port_variables` stand in `ports` by themselves."""
    environment = configuration.environment
    places = {**environment.volumes, **environment.init_scripts}
    variables = {key.upper(): value for key, value in {**places, **environment.ports}.items()}
    keys: dict[str, KeyPath] = {key.upper(): (key,) for key in (*places, *environment.ports)}
    empty = {key.upper() for key, value in environment.ports.items() if not value}
    if environment.env_file is not None:
        variables[ENV_FILE_VARIABLE] = environment.env_file
        keys[ENV_FILE_VARIABLE] = ("env_file",)
    no_ports = frozenset(empty & set(port_variables))
    variables |= dict.fromkeys(no_ports, _NO_PORT)
    return Rules(variables=dict(sorted(variables.items())), keys=keys, no_ports=no_ports)


def env_file_in_tree(configuration: Configuration) -> str | None:
    """The environment's file of variables from the root of the tree, None when it has none or a host's."""
    path = configuration.environment.env_file
    return None if path is None or path.startswith("/") else resolve(configuration.folder, path)


def env_file_of_host(configuration: Configuration) -> str | None:
    """The environment's file of variables on its hosts, None when it has none or one of the tree."""
    path = configuration.environment.env_file
    return path if path is not None and path.startswith("/") else None


def host_variable(service: str) -> str:
    """The variable with the name of the host that a service runs on."""
    return re.sub(r"[^A-Z0-9]", "_", service.upper()) + "_HOST"


def without_empty_ports(document: dict[str, Any], rules: Rules) -> dict[str, Any]:
    """The document without the ports of `no_ports`; where such a variable is used otherwise it is empty."""
    if not rules.no_ports:
        return document
    for service in document.get("services", {}).values():
        ports: list[dict[str, Any]] = service.get("ports") or []
        left = [port for port in ports if port.get("host_ip") != NO_PORT_ADDRESS]
        if ports and not left:
            del service["ports"]
        elif ports:
            service["ports"] = left
    return cast("dict[str, Any]", _emptied(document))


def unused_rules(
    configuration: Configuration, rules: Rules, *, texts: Collection[bytes], used: Collection[str] = ()
) -> list[Finding]:
    """A finding for each rule whose variable none of `texts` has; `used` count anyway."""
    found: list[Finding] = []
    for name, key in rules.keys.items():
        if name in used or mentions(name, texts):
            continue
        fault = configuration.environment_fault(
            key, f"no Compose file uses ${{{name}}}, so it changes nothing", FindingCode.UNUSED_KEY
        )
        found.append(fault.finding)
    return sorted(found, key=lambda one: one.order)


def mentions(variable: str, texts: Collection[bytes]) -> bool:
    """Whether one of `texts` may use the variable; a comment counts too."""
    pattern = re.compile(rb"\$\{?" + variable.encode() + rb"(?![A-Za-z0-9_])")
    return any(pattern.search(text) for text in texts)


def _emptied(value: Any) -> Any:  # noqa: ANN401  # a JSON value
    if isinstance(value, str):
        return value.replace(_NO_PORT, "")
    if isinstance(value, dict):
        return {key: _emptied(inner) for key, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_emptied(inner) for inner in cast("Iterable[Any]", value)]
    return value
