"""What a definition of a Manifest would make, in the form in which a container is looked at; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from events import labels as our_labels
from projections.engine.makeup import (
    ANONYMOUS,
    Fields,
    ImageDefaults,
    capabilities,
    check_fields,
    mount_text,
    port_text,
    restart_text,
)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_ENGINES_CHOICE = frozenset({"logging", "runtime", "userns_mode"})  # compared only where they are asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a definition would make."""

    definition: Mapping[str, Any]  # of the document as Compose takes it, paths of the host filled in
    document: Mapping[str, Any]
    image: ImageDefaults
    host_variables: Mapping[str, str]  # from env files of the host
    services: Mapping[str, str]  # service by id of its container, for shared namespaces
    hidden: frozenset[str] = frozenset()  # keys with values of the host in them, which are not shown


def wanted_fields(wish: Wish) -> Fields:
    """Each field that the definition, or the image under it, decides."""
    definition = cast("Mapping[str, Any]", plain(dict(wish.definition)))
    document = cast(
        "Mapping[str, Any]", plain({key: wish.document.get(key) for key in ("name", "networks", "volumes")})
    )
    fields = {
        **_process(definition, wish),
        **_limits(definition),
        **_rights(definition),
        **_surroundings(definition, document, wish),
    }
    return {
        name: value for name, value in fields.items() if name not in _ENGINES_CHOICE or definition.get(name)
    }


def _process(definition: Mapping[str, Any], wish: Wish) -> Fields:
    image, given = wish.image, _at(definition, "environment")
    command, entrypoint = definition.get("command"), definition.get("entrypoint")
    own = {key: str(value) for key, value in given.items() if value is not None}
    labelled = {str(key): str(value) for key, value in _at(definition, "labels").items()}
    every = {**image.labels, **labelled}
    grace = definition.get("stop_grace_period")
    return {
        "image": image.id,
        "command": _words(command) if command or entrypoint else image.command,
        "entrypoint": image.entrypoint if entrypoint is None else _words(entrypoint),
        "environment": {**image.environment, **wish.host_variables, **own},
        "labels": {
            key: value
            for key, value in sorted(every.items())
            if not key.startswith((our_labels.PREFIX, "com.docker.compose."))
        },
        "user": str(definition.get("user") or image.user),
        "working_dir": str(definition.get("working_dir") or image.working_dir),
        "hostname": str(definition.get("hostname") or ""),
        "domainname": str(definition.get("domainname") or ""),
        "tty": bool(definition.get("tty")),
        "stdin_open": bool(definition.get("stdin_open")),
        "stop_signal": str(definition.get("stop_signal") or image.stop_signal),
        "stop_grace_period": None if grace is None else int(seconds(grace)),
        "healthcheck": _healthcheck(_at(definition, "healthcheck"), image),
    }


def _healthcheck(declared: Mapping[str, Any], image: ImageDefaults) -> Fields:
    """The engine fills what a declaration leaves out from the image's."""
    if declared.get("disable"):
        return {**image.healthcheck, "test": ("NONE",)}
    test = declared.get("test")
    own = check_fields(
        {
            "Test": ["CMD-SHELL", test] if isinstance(test, str) else test,
            "Retries": declared.get("retries"),
            **{
                key: round(seconds(declared[name]) * 1_000_000_000)
                for key, name in (
                    ("Interval", "interval"),
                    ("Timeout", "timeout"),
                    ("StartPeriod", "start_period"),
                    ("StartInterval", "start_interval"),
                )
                if declared.get(name)
            },
        }
    )
    return {**image.healthcheck, **own}


def _limits(definition: Mapping[str, Any]) -> Fields:
    resources = _at(_at(definition, "deploy"), "resources")
    limits, reserved = _at(resources, "limits"), _at(resources, "reservations")
    memory = _number(limits.get("memory") or definition.get("mem_limit"))
    swap = int(float(str(definition.get("memswap_limit") or 0)))
    cpus = float(str(limits.get("cpus") or definition.get("cpus") or 0))
    ulimits = _at(definition, "ulimits")
    return {
        "mem_limit": memory,
        "memswap_limit": 0 if swap == 2 * memory else swap,
        "mem_reservation": _number(reserved.get("memory") or definition.get("mem_reservation")),
        "cpus": round(cpus * 1_000_000_000),
        "cpu_shares": _number(definition.get("cpu_shares")),
        "cpu_quota": _number(definition.get("cpu_quota")),
        "cpu_period": _number(definition.get("cpu_period")),
        "cpuset": str(definition.get("cpuset") or ""),
        "pids_limit": max(_number(limits.get("pids") or definition.get("pids_limit")), 0),
        "shm_size": _number(definition.get("shm_size")),
        "oom_score_adj": int(definition.get("oom_score_adj") or 0),
        "oom_kill_disable": bool(definition.get("oom_kill_disable")),
        "ulimits": {name: _ulimit(value) for name, value in ulimits.items()},
    }


def _ulimit(value: object) -> tuple[int, int]:
    if isinstance(value, Mapping):
        both = cast("Mapping[str, int]", value)
        return int(both["soft"]), int(both["hard"])
    return int(str(value)), int(str(value))


def _rights(definition: Mapping[str, Any]) -> Fields:
    def lines(key: str) -> tuple[str, ...]:
        return tuple(sorted(str(one) for one in definition.get(key) or ()))

    devices: list[Mapping[str, Any]] = [
        one for one in definition.get("devices") or () if isinstance(one, Mapping)
    ]
    return {
        "privileged": bool(definition.get("privileged")),
        "read_only": bool(definition.get("read_only")),
        "cap_add": capabilities(lines("cap_add")),
        "cap_drop": capabilities(lines("cap_drop")),
        "security_opt": lines("security_opt"),
        "group_add": lines("group_add"),
        "userns_mode": str(definition.get("userns_mode") or ""),
        "devices": tuple(
            sorted(
                f"{one.get('source')}:{one.get('target')}:{one.get('permissions') or 'rwm'}"
                for one in devices
            )
        ),
        "device_cgroup_rules": lines("device_cgroup_rules"),
        "pid": str(definition.get("pid") or ""),
        "ipc": str(definition.get("ipc") or "") if definition.get("ipc") != "shareable" else "",
        "uts": str(definition.get("uts") or ""),
        "cgroup_parent": str(definition.get("cgroup_parent") or ""),
        "runtime": str(definition.get("runtime") or "") if definition.get("runtime") != "runc" else "",
        "sysctls": texts(definition.get("sysctls")),
        "storage_opt": texts(definition.get("storage_opt")),
    }


def _surroundings(definition: Mapping[str, Any], document: Mapping[str, Any], wish: Wish) -> Fields:
    log = _at(definition, "logging")
    return {
        "restart": _restart(definition),
        "init": bool(definition.get("init")),
        "ports": _ports(definition),
        "volumes": _volumes(definition, _at(document, "volumes"), wish.image),
        "tmpfs": {
            str(one).partition(":")[0]: str(one).partition(":")[2] for one in _words(definition.get("tmpfs"))
        },
        "networks": _networks(definition, document),
        "dns": _words(definition.get("dns")),
        "dns_search": _words(definition.get("dns_search")),
        "dns_opt": _words(definition.get("dns_opt")),
        "extra_hosts": _extra_hosts(definition.get("extra_hosts")),
        "logging": {"driver": str(log.get("driver") or ""), "options": texts(log.get("options"))},
    }


def _restart(definition: Mapping[str, Any]) -> str:
    written = str(definition.get("restart") or "")
    if written:
        name, _, retries = written.partition(":")
        return restart_text(name, int(retries or 0))
    policy = _at(_at(definition, "deploy"), "restart_policy")
    if not policy:
        return "no"
    condition = str(policy.get("condition") or "any")
    name = {"none": "no", "any": "always"}.get(condition, condition)
    return restart_text(name, int(policy.get("max_attempts") or 0))


def _ports(definition: Mapping[str, Any]) -> tuple[str, ...]:
    found = {
        port_text(
            address=str(one.get("host_ip") or ""),
            published=str(one.get("published") or ""),
            target=f"{one['target']}/{one.get('protocol') or 'tcp'}",
        )
        for one in cast("list[Mapping[str, Any]]", definition.get("ports") or [])
    }
    return tuple(sorted(found))


def _volumes(
    definition: Mapping[str, Any], declared: Mapping[str, Any], image: ImageDefaults
) -> tuple[str, ...]:
    found: list[str] = []
    targets: set[str] = set()
    for one in cast("list[Mapping[str, Any]]", definition.get("volumes") or []):
        kind, source, target = str(one["type"]), str(one.get("source") or ""), str(one["target"])
        targets.add(target.rstrip("/"))
        if kind == "volume":
            source = str(_at(declared, source).get("name") or source) if source else ANONYMOUS
        read_only = bool(one.get("read_only"))
        found.append(mount_text(kind=kind, source=source, target=target, read_only=read_only))
    found.extend(
        mount_text(kind="volume", source=ANONYMOUS, target=target, read_only=False)
        for target in image.volumes
        if target.rstrip("/") not in targets
    )
    return tuple(sorted(found))


def _networks(definition: Mapping[str, Any], document: Mapping[str, Any]) -> Fields:
    """By the names that Compose gives them: its project's, unless the document names them."""
    declared, project = _at(document, "networks"), document.get("name")
    mode = network_mode(definition)
    if mode:
        return {mode: {"aliases": (), "addresses": ()}}
    asked: Mapping[str, Mapping[str, Any] | None] = definition.get("networks") or {"default": None}
    found: Fields = {}
    for key, one in asked.items():
        options = one or {}
        addresses = (options.get(name) for name in ("ipv4_address", "ipv6_address"))
        usual = f"{project}_{key}" if project else key
        found[str(_at(declared, key).get("name") or usual)] = {
            "aliases": tuple(sorted(str(alias) for alias in options.get("aliases") or ())),
            "addresses": tuple(sorted(str(address) for address in addresses if address)),
        }
    return found


def network_mode(definition: Mapping[str, Any]) -> str:
    """What `network_mode:` says, empty when it says nothing."""
    return str(definition.get("network_mode") or "")


def _extra_hosts(value: object) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        return tuple(
            sorted(f"{name}:{address}" for name, address in cast("Mapping[str, str]", value).items())
        )
    return tuple(
        sorted(one if ":" in one.partition("=")[0] else one.replace("=", ":", 1) for one in _words(value))
    )


def plain(value: object) -> object:
    """The value as Compose reads it: each `$$` is one `$`."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list):
        return [plain(one) for one in cast("list[object]", value)]
    return value


def seconds(value: object) -> float:
    """A duration of a Compose document, as in `1m30s`; a bare number is seconds."""
    text = str(value)
    parts = _DURATION.findall(text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else float(text or 0)


def _number(value: object) -> int:
    """A count or a size in bytes as the canonical document has it."""
    return int(float(str(value or 0)))


def _words(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(str(one) for one in cast("list[object]", value))


def _at(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under a key, an empty one where there is none."""
    found = value.get(key)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def texts(value: object) -> dict[str, str]:
    """A mapping of texts, from one or from `NAME=value` lines, sorted by name."""
    if isinstance(value, list):
        lines = (str(one) for one in cast("list[object]", value))
        return {line.partition("=")[0]: line.partition("=")[2] for line in lines}
    found = cast("Mapping[str, object]", value or {})
    return {str(name): str(one) for name, one in sorted(found.items())}
