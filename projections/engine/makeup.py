"""What a container was made with, by the names that Compose has for it; pure.

An inspection says the same thing in many ways: null, nothing or the engine's default. Here each field has
one form, so that two makeups can be compared field by field. What only a running container has (addresses,
its id as host name) is no part of it. Tolerant as `model.py` is: a missing key is what an engine takes for
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from projections.engine.api import Answer

Fields = dict[str, Any]  # by Compose's name; compared with ==
_NANOSECONDS = 1_000_000_000
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_DEFAULT_SHM = 64 * 1024 * 1024
ANONYMOUS = "(anonymous)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Makeup:
    """A container, field by field."""

    fields: Fields
    image_text: str  # as it was asked for
    shares: Mapping[str, str] = field(default_factory=dict[str, str])  # id of a container by field


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDefaults:
    """What an image gives a container that says nothing else."""

    id: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    healthcheck: Fields = field(default_factory=dict[str, Any])
    volumes: tuple[str, ...] = ()  # where it wants a volume, sorted


def image_defaults(answer: Answer) -> ImageDefaults:
    """Of `GET /images/<name>/json`."""
    config = _object(answer, "Config")
    return ImageDefaults(
        id=str(answer.get("Id") or ""),
        command=_words(config, "Cmd"),
        entrypoint=_words(config, "Entrypoint"),
        environment=pairs(_words(config, "Env")),
        labels=_texts(config, "Labels"),
        user=str(config.get("User") or ""),
        working_dir=str(config.get("WorkingDir") or ""),
        stop_signal=str(config.get("StopSignal") or ""),
        healthcheck=check_fields(_object(config, "Healthcheck")),
        volumes=tuple(sorted(_object(config, "Volumes"))),
    )


def makeup_of(answer: Answer) -> Makeup:
    """Of `GET /containers/<id>/json`."""
    config, host = _object(answer, "Config"), _object(answer, "HostConfig")
    made = {**_process(answer, config), **_limits(host), **_rights(host), **_surroundings(answer, host)}
    modes = {"networks": "NetworkMode", "ipc": "IpcMode", "pid": "PidMode"}
    texts = {name: str(host.get(key) or "") for name, key in modes.items()}
    shares = {
        name: text.removeprefix("container:") for name, text in texts.items() if text.startswith("container:")
    }
    return Makeup(fields=made, image_text=str(config.get("Image") or ""), shares=shares)


def pairs(lines: Sequence[str]) -> dict[str, str]:
    """`NAME=value` lines as a mapping; a later one wins."""
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}


def check_fields(declared: Answer) -> Fields:
    """A health check in seconds; empty: none."""
    found: Fields = {
        "test": _words(declared, "Test"),
        "interval": _seconds(declared, "Interval"),
        "timeout": _seconds(declared, "Timeout"),
        "start_period": _seconds(declared, "StartPeriod"),
        "start_interval": _seconds(declared, "StartInterval"),
        "retries": int(declared.get("Retries") or 0),
    }
    return {key: value for key, value in found.items() if value}


def _process(answer: Answer, config: Answer) -> Fields:
    hostname = str(config.get("Hostname") or "")
    return {
        "image": str(answer.get("Image") or ""),
        "command": _words(config, "Cmd"),
        "entrypoint": _words(config, "Entrypoint"),
        "environment": pairs(_words(config, "Env")),
        "labels": {
            key: value for key, value in _texts(config, "Labels").items() if not key.startswith(_NOT_COMPARED)
        },
        "user": str(config.get("User") or ""),
        "working_dir": str(config.get("WorkingDir") or ""),
        "hostname": "" if str(answer.get("Id") or "").startswith(hostname) else hostname,
        "domainname": str(config.get("Domainname") or ""),
        "tty": bool(config.get("Tty")),
        "stdin_open": bool(config.get("OpenStdin")),
        "stop_signal": str(config.get("StopSignal") or ""),
        "stop_grace_period": config.get("StopTimeout"),
        "healthcheck": check_fields(_object(config, "Healthcheck")),
    }


_NOT_COMPARED = ("com.docker.compose.", "stagecraft.", "desktop.docker.io/")


def _limits(host: Answer) -> Fields:
    memory = int(host.get("Memory") or 0)
    swap = int(host.get("MemorySwap") or 0)
    shm = int(host.get("ShmSize") or 0)
    return {
        "mem_limit": memory,
        "memswap_limit": 0 if swap in {0, 2 * memory} else swap,
        "mem_reservation": int(host.get("MemoryReservation") or 0),
        "cpus": int(host.get("NanoCpus") or 0),
        "cpu_shares": int(host.get("CpuShares") or 0),
        "cpu_quota": int(host.get("CpuQuota") or 0),
        "cpu_period": int(host.get("CpuPeriod") or 0),
        "cpuset": str(host.get("CpusetCpus") or ""),
        "pids_limit": max(int(host.get("PidsLimit") or 0), 0),
        "shm_size": 0 if shm == _DEFAULT_SHM else shm,
        "oom_score_adj": int(host.get("OomScoreAdj") or 0),
        "oom_kill_disable": bool(host.get("OomKillDisable")),
        "ulimits": {
            str(one.get("Name")): (int(one.get("Soft") or 0), int(one.get("Hard") or 0))
            for one in _objects(host, "Ulimits")
        },
    }


def _rights(host: Answer) -> Fields:
    return {
        "privileged": bool(host.get("Privileged")),
        "read_only": bool(host.get("ReadonlyRootfs")),
        "cap_add": capabilities(_words(host, "CapAdd")),
        "cap_drop": capabilities(_words(host, "CapDrop")),
        "security_opt": tuple(sorted(_words(host, "SecurityOpt"))),
        "group_add": tuple(sorted(_words(host, "GroupAdd"))),
        "userns_mode": str(host.get("UsernsMode") or ""),
        "devices": tuple(
            sorted(
                f"{one.get('PathOnHost')}:{one.get('PathInContainer')}:{one.get('CgroupPermissions')}"
                for one in _objects(host, "Devices")
            )
        ),
        "device_cgroup_rules": tuple(sorted(_words(host, "DeviceCgroupRules"))),
        "pid": _mode(host, "PidMode"),
        "ipc": _mode(host, "IpcMode", usual=("private", "shareable")),
        "uts": _mode(host, "UTSMode"),
        "cgroup_parent": str(host.get("CgroupParent") or ""),
        "runtime": _mode(host, "Runtime", usual=("runc",)),
        "sysctls": _texts(host, "Sysctls"),
        "storage_opt": _texts(host, "StorageOpt"),
    }


def _surroundings(answer: Answer, host: Answer) -> Fields:
    policy, log = _object(host, "RestartPolicy"), _object(host, "LogConfig")
    return {
        "restart": restart_text(str(policy.get("Name") or ""), int(policy.get("MaximumRetryCount") or 0)),
        "init": bool(host.get("Init")),
        "ports": _ports(host),
        "volumes": tuple(sorted(map(_mount, _objects(answer, "Mounts")))),
        "tmpfs": _texts(host, "Tmpfs"),
        "networks": _networks(answer, host),
        "dns": _words(host, "Dns"),
        "dns_search": _words(host, "DnsSearch"),
        "dns_opt": _words(host, "DnsOptions"),
        "extra_hosts": tuple(sorted(_words(host, "ExtraHosts"))),
        "links": tuple(sorted(_words(host, "Links"))),
        "volumes_from": tuple(sorted(_words(host, "VolumesFrom"))),
        "logging": {"driver": str(log.get("Type") or ""), "options": _texts(log, "Config")},
    }


def restart_text(name: str, retries: int) -> str:
    """`no`, `always`, `on-failure:3`."""
    return f"{name or 'no'}:{retries}" if name == "on-failure" and retries else name or "no"


def capabilities(names: Sequence[str]) -> tuple[str, ...]:
    """Without their prefix, sorted."""
    return tuple(sorted(name.upper().removeprefix("CAP_") for name in names))


def port_text(*, address: str, published: str, target: str) -> str:
    """`127.0.0.1:8080->80/tcp`; no address stands for all of them."""
    everywhere = address in {"", "0.0.0.0", "::"}  # noqa: S104  # what the engine takes for no address
    return f"{'' if everywhere else address + ':'}{'' if published in {'', '0'} else published}->{target}"


def mount_text(*, kind: str, source: str, target: str, read_only: bool) -> str:
    """`volume shop_data -> /data`."""
    return f"{kind} {source} -> {target}{' (read only)' if read_only else ''}"


def _ports(host: Answer) -> tuple[str, ...]:
    found: set[str] = set()
    for target, bindings in _object(host, "PortBindings").items():
        for one in cast("list[Answer]", bindings or [{}]):
            address, published = str(one.get("HostIp") or ""), str(one.get("HostPort") or "")
            found.add(port_text(address=address, published=published, target=str(target)))
    return tuple(sorted(found))


def _mount(one: Answer) -> str:
    kind, name = str(one.get("Type") or ""), str(one.get("Name") or "")
    source = str(one.get("Source") or "")
    if kind == "volume":
        source = ANONYMOUS if _ANONYMOUS.fullmatch(name) else name
    if kind == "tmpfs":
        source = ""
    return mount_text(
        kind=kind, source=source, target=str(one.get("Destination")), read_only=one.get("RW") is False
    )


def _networks(answer: Answer, host: Answer) -> Fields:
    """By name: addresses that were asked for, and aliases beside the usual ones."""
    if str(host.get("NetworkMode") or "").startswith("container:"):
        return {}
    found: Fields = {}
    own = str(answer.get("Id") or "")[:12]
    labels = _texts(_object(answer, "Config"), "Labels")
    usual = {own, str(answer.get("Name") or "").removeprefix("/"), labels.get("com.docker.compose.service")}
    for name, one in _object(_object(answer, "NetworkSettings"), "Networks").items():
        asked = _object(one or {}, "IPAMConfig")
        found[str(name)] = {
            "aliases": tuple(sorted(set(_words(one or {}, "Aliases")) - usual)),
            "addresses": tuple(
                sorted(str(asked[key]) for key in ("IPv4Address", "IPv6Address") if asked.get(key))
            ),
        }
    return found


def _mode(host: Answer, key: str, *, usual: tuple[str, ...] = ()) -> str:
    text = str(host.get(key) or "")
    return "" if text in usual or text.startswith("container:") else text


def _object(answer: Answer, key: str) -> dict[str, Any]:
    value = answer.get(key)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _objects(answer: Answer, key: str) -> list[Answer]:
    value = answer.get(key)
    return cast("list[Answer]", value) if isinstance(value, list) else []


def _words(answer: Answer, key: str) -> tuple[str, ...]:
    value = answer.get(key)
    return tuple(str(one) for one in cast("list[object]", value)) if isinstance(value, list) else ()


def _texts(answer: Answer, key: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in sorted(_object(answer, key).items())}


def _seconds(answer: Answer, key: str) -> float:
    return int(answer.get(key) or 0) / _NANOSECONDS
