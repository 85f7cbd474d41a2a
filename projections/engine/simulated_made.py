"""What a simulated container was made with, as an inspection tells it: the keys that drift looks at.

Written from the definition by the rules of Compose a second time, apart from what convergers compare with, so
that a wrong wish shows. A container that a person made has none of this but what its inspection says anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_NANOSECONDS = 1_000_000_000


def made_with(definition: Mapping[str, Any], volumes: Mapping[str, str]) -> dict[str, Any]:
    """`Config`, `HostConfig` and `Mounts` of a container; `volumes` has the full name of each named one."""
    given = cast("Mapping[str, Any]", _undoubled(definition))
    deployed: Mapping[str, Any] = given.get("deploy") or {}
    resources: Mapping[str, Any] = deployed.get("resources") or {}
    limits: Mapping[str, Any] = resources.get("limits") or {}
    return {
        "Config": {
            "Env": [f"{name}={value}" for name, value in _pairs(given.get("environment")).items()] or None,
            "Cmd": _words(given.get("command")),
            "Entrypoint": _words(given.get("entrypoint")),
            "User": str(given.get("user") or ""),
            "WorkingDir": str(given.get("working_dir") or ""),
        },
        "HostConfig": {
            "Memory": int(float(limits.get("memory") or given.get("mem_limit") or 0)),
            "NanoCpus": round(float(limits.get("cpus") or given.get("cpus") or 0) * _NANOSECONDS),
            "PidsLimit": int(limits.get("pids") or given.get("pids_limit") or 0) or None,
            "RestartPolicy": _restart(str(given.get("restart") or "no")),
            "PortBindings": _bindings(given.get("ports") or []),
            "ExtraHosts": _words(given.get("extra_hosts")),
            "Privileged": bool(given.get("privileged")),
            "ReadonlyRootfs": bool(given.get("read_only")),
        },
        "Mounts": [_mount(one, volumes) for one in given.get("volumes") or ()],
    }


def _restart(written: str) -> dict[str, Any]:
    name, _, retries = written.partition(":")
    return {"Name": name, "MaximumRetryCount": int(retries or 0)}


def _bindings(ports: list[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for one in ports:
        binding = {"HostIp": str(one.get("host_ip") or ""), "HostPort": str(one.get("published") or "")}
        found.setdefault(f"{one['target']}/{one.get('protocol') or 'tcp'}", []).append(binding)
    return found


def _mount(one: Mapping[str, Any], volumes: Mapping[str, str]) -> dict[str, Any]:
    source = str(one.get("source") or "")
    named = one["type"] == "volume"
    return {
        "Type": one["type"],
        "Name": volumes.get(source, source) if named else "",
        "Source": "" if named else source,
        "Destination": one["target"],
        "RW": not one.get("read_only"),
    }


def _pairs(value: object) -> dict[str, str]:
    if isinstance(value, list):
        lines = (str(one).partition("=") for one in cast("list[object]", value))
        return {name: text for name, _, text in lines}
    found = cast("Mapping[str, object]", value or {})
    return {name: str(text) for name, text in found.items() if text is not None}


def _words(value: object) -> list[str] | None:
    if value is None:
        return None
    return [value] if isinstance(value, str) else [str(one) for one in cast("list[object]", value)]


def _undoubled(value: object) -> object:
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, Mapping):
        return {key: _undoubled(one) for key, one in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list):
        return [_undoubled(one) for one in cast("list[object]", value)]
    return value
