"""What the configuration says of gates, resolved to the Manifest's.

A probe is asked at the address of the container itself, so a service without a network has nothing that a
probe could reach. A log may be silent of plain texts, not of regular expressions: such a one, written badly
in a repository, would keep the controller busy for ever on one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from events.manifest import CommandProbe, Gate, HttpProbe, Probes, TcpProbe, Watch
from gitops.config.faults import Fault
from gitops.config.load import Configuration
from gitops.config.scalars import status_range
from gitops.config.services import GateSection, HttpProbeSection, ServiceGateSection
from gitops.durations import parse_duration

SETTLE_SECONDS = 2.0
DEADLINE_SECONDS = 120.0
PROBE_SECONDS = 5.0
LOG_WATCH_SECONDS = 10.0  # where a log has to be silent and nothing says for how long
_CHECK_MARGIN_SECONDS = 10.0
# The engine's own defaults for a health check that says nothing.
_INTERVAL_SECONDS, _TIMEOUT_SECONDS, _RETRIES = 30.0, 30.0, 3


def gate_over(base: GateSection, over: GateSection) -> ServiceGateSection:
    """`base` with what `over` says, key by key; a probe is replaced as a whole."""
    said = {
        name: value
        for section in (base, over)
        for name in section.model_fields_set
        if (value := getattr(section, name)) is not None
    }
    return ServiceGateSection().model_copy(update=said)


def gate_of(environment: GateSection, section: ServiceGateSection, check: Mapping[str, Any] | None) -> Gate:
    """What is said, or a deadline that lets the service's own health check come to its end."""
    said = gate_over(environment, section)
    default = max(DEADLINE_SECONDS, _check_seconds(check or {}) + _CHECK_MARGIN_SECONDS)
    return Gate(
        settle_seconds=said.settle or SETTLE_SECONDS,
        deadline_seconds=said.deadline or default,
        probes=_probes(said),
        watch=_watch(said),
    )


def gate_faults(
    configuration: Configuration,
    name: str,
    section: ServiceGateSection,
    service: Mapping[str, Any],
    *,
    is_job: bool,
) -> list[Fault]:
    """What of a service's gate comes to nothing, by its Compose definition or because it is a job."""
    impossible: dict[str, str] = {}
    if is_job:
        reason = "the service is a job: it runs to its end, and nothing is asked of it before"
        impossible |= dict.fromkeys(("http", "tcp", "command", "logs", "watch"), reason)
    if service.get("network_mode") == "none":
        reason = "the service has `network_mode: none`, so nothing can reach it; use `command`"
        impossible |= dict.fromkeys(("http", "tcp"), reason)
    logging: Mapping[str, Any] = service.get("logging") or {}
    if logging.get("driver") == "none":
        impossible["logs"] = "the service's log driver is `none`, so nobody can read its log"
    return [
        _fault(configuration, name, key, message)
        for key, message in impossible.items()
        if getattr(section, key) is not None
    ]


def _fault(configuration: Configuration, name: str, key: str, message: str) -> Fault:
    """A fault where the key was written: the environment's word goes over the project's."""
    at = ("services", name, "gate", key)
    over = configuration.environment.services.get(name)
    in_environment = over is not None and getattr(over.gate, key) is not None
    fault = configuration.environment_fault if in_environment else configuration.project_document.fault
    return fault(at, message)


def _probes(said: ServiceGateSection) -> Probes | None:
    if said.http is None and said.tcp is None and said.command is None:
        return None
    return Probes(
        http=None if said.http is None else _http(said.http),
        tcp=None if said.tcp is None else TcpProbe(port=said.tcp.port),
        command=None if said.command is None else CommandProbe(command=tuple(said.command)),
        timeout_seconds=said.timeout or PROBE_SECONDS,
    )


def _http(said: HttpProbeSection) -> HttpProbe:
    first, last = status_range(said.status)
    return HttpProbe(port=said.port, path=said.path, first_status=first, last_status=last, host=said.host)


def _watch(said: ServiceGateSection) -> Watch | None:
    if said.watch is None and said.logs is None:
        return None
    silent_of = () if said.logs is None else tuple(said.logs.silent_of)
    return Watch(seconds=said.watch or LOG_WATCH_SECONDS, silent_of=silent_of)


def _check_seconds(check: Mapping[str, Any]) -> float:
    """How long the engine may take until it calls the service unhealthy."""
    if not check or check.get("disable"):
        return 0.0
    times = {
        key: parse_duration(str(check[key]))
        for key in ("start_period", "interval", "timeout")
        if key in check
    }
    once = times.get("interval", _INTERVAL_SECONDS) + times.get("timeout", _TIMEOUT_SECONDS)
    return times.get("start_period", 0.0) + int(check.get("retries") or _RETRIES) * once
