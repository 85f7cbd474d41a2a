"""What one service of a document comes to on a simulated engine: its command, ports, networks and volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from events.hostenv import HostEnvFile, values_of
from events.references import filled, mapped_texts
from projections.engine.port import App, PublishedPort
from projections.engine.ports import wanted_ports
from projections.engine.simulated_world import World


def filled_in(app: App, service: str) -> Mapping[str, Any]:
    """The definition with the variables of the host's file."""
    definition: Mapping[str, Any] = app.document["services"][service]
    if app.host_file is None:
        return definition
    file = HostEnvFile(path=app.host_file.path)
    values = values_of(app.host_file.content or b"", file)
    return cast("Mapping[str, Any]", mapped_texts(definition, lambda text: filled(text, values)))


def providers(definition: Mapping[str, Any]) -> list[str]:
    """The services whose container this one is made in: their namespaces or their volumes."""
    texts = [str(definition.get(key) or "") for key in ("network_mode", "ipc", "pid")]
    found = [text.removeprefix("service:") for text in texts if text.startswith("service:")]
    volumes: Iterable[str] = definition.get("volumes_from") or ()
    return [*found, *(one.split(":")[0] for one in volumes if not one.startswith("container:"))]


def replicas(definition: Mapping[str, Any]) -> int:
    """How many containers a service is scaled to."""
    deploy: Mapping[str, Any] = definition.get("deploy") or {}
    scale = definition.get("scale", deploy.get("replicas"))
    return 1 if scale is None or deploy.get("mode") == "global" else int(scale)


def command_line(definition: Mapping[str, Any]) -> str:
    """The command in one line; empty for the image's own."""
    command: object = definition.get("command")
    return " ".join(cast("list[str]", command)) if isinstance(command, list) else str(command or "")


def ports_of(world: World, app: App, service: str) -> tuple[tuple[PublishedPort, ...], tuple[int, ...]]:
    """The fixed ports, the first one of a range, and those of the engine's choice; the numbers of these."""
    everywhere = "0.0.0.0"  # noqa: S104  # what the engine takes for no address
    asked = app.document["services"][service].get("ports") or ()
    targets = {str(port.get("published")).partition("-")[0]: int(port.get("target") or 0) for port in asked}
    fixed = [
        PublishedPort(
            address=port.address or everywhere,
            port=port.first,
            protocol=port.protocol,
            target=targets.get(str(port.first), 0),
        )
        for port in wanted_ports(app.document, [service])
    ]
    chosen = [
        PublishedPort(
            address=str(port.get("host_ip") or everywhere),
            port=world.choose_port(),
            protocol=str(port["protocol"]),
            target=int(port["target"]),
        )
        for port in asked
        if not port.get("published")
    ]
    return (*fixed, *chosen), tuple(port.port for port in chosen)


def networks_of(app: App, service: str) -> tuple[str, ...]:
    """Names of the networks: none of its own for a container that shares another one's."""
    definition = app.document["services"][service]
    if mode := str(definition.get("network_mode") or ""):
        return () if ":" in mode else (mode,)
    declared: Mapping[str, Mapping[str, Any] | None] = app.document.get("networks") or {}
    wanted: Iterable[str] = definition.get("networks") or ("default",)
    names = [str((declared.get(key) or {}).get("name") or f"{app.compose_project}_{key}") for key in wanted]
    return tuple(sorted(names))


def own_networks(app: App, service: str) -> tuple[str, ...]:
    """Those that Compose makes: not a mode of the engine's, not an external one."""
    if app.document["services"][service].get("network_mode"):
        return ()
    declared: Mapping[str, Mapping[str, Any] | None] = app.document.get("networks") or {}
    external = {
        str((one or {}).get("name") or key) for key, one in declared.items() if (one or {}).get("external")
    }
    return tuple(name for name in networks_of(app, service) if name not in external)


def volumes_of(app: App, service: str) -> tuple[str, ...]:
    """Names of the named volumes that a service mounts."""
    known = volume_names(app)
    mounts: Iterable[Mapping[str, Any]] = app.document["services"][service].get("volumes") or ()
    keys = {str(one["source"]) for one in mounts if one.get("type") == "volume" and one.get("source")}
    return tuple(sorted({known.get(key, f"{app.compose_project}_{key}") for key in keys}))


def volume_names(app: App) -> dict[str, str]:
    """The full name of each declared volume."""
    declared: Mapping[str, Mapping[str, Any] | None] = app.document.get("volumes") or {}
    return {
        key: str((one or {}).get("name") or f"{app.compose_project}_{key}") for key, one in declared.items()
    }
