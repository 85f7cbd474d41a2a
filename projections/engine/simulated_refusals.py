"""What Compose, or the engine below it, refuses on a simulated engine, in their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from events.kernel.errors import OutsideError, UserError, Where
from projections.engine.errors import COMPOSE_FAILED, COMPOSE_REFUSED, shown
from projections.engine.port import App
from projections.engine.simulated_definition import providers
from projections.engine.simulated_world import SimulatedContainer, World

_KEYS = """
    annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs
    container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares
    cpus cpuset credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt
    dns_search domainname entrypoint env_file environment expose extends external_links extra_hosts gpus
    group_add healthcheck hostname image init ipc isolation label_file labels links logging mac_address
    mem_limit mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable
    oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles provider
    pull_policy pull_refresh_after read_only restart runtime scale secrets security_opt shm_size
    stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user
    userns_mode uts volumes volumes_from working_dir
"""
_SERVICE_KEYS = frozenset(_KEYS.split())  # of the Compose specification


def refuse_bad(app: App, services: Sequence[str]) -> None:
    """Raise UserError `compose-refused` for a document, or a choice of services, that Compose refuses."""
    given = app.document.get("services")
    if not isinstance(given, Mapping):
        raise _refused("services must be a mapping")
    known = cast("Mapping[str, object]", given)
    for name, definition in known.items():
        if not isinstance(definition, Mapping):
            raise _refused(f"services.{name} must be a mapping")
        unknown = sorted(set(cast("Mapping[str, object]", definition)) - _SERVICE_KEYS)
        if unknown:
            raise _refused(f"services.{name} additional properties '{unknown[0]}' not allowed")
        if "provider" in definition:
            raise _refused("a `provider` is not supported", service=name)
    for name in services:
        if name not in known:
            raise _refused(f"no such service: {name}")


def refuse_missing_images(world: World, app: App, services: Sequence[str]) -> None:
    """Raise OutsideError `compose-failed`: nothing is pulled, and nothing was touched."""
    for service in services:
        image = str(app.document["services"][service].get("image") or "")
        if world.has_image(image) is None:
            raise compose_failed(service, f"Error response from daemon: No such image: {image}")


def refuse_homeless(app: App, services: Sequence[str]) -> None:
    """Raise OutsideError `compose-failed` for a service that lives in one which was not asked for."""
    for service in services:
        for home in providers(app.document["services"][service]):
            if home not in services:
                raise compose_failed(service, f"cannot share namespaces with {home}: container missing")


def refuse_fixed_names(app: App, counts: Mapping[str, int]) -> None:
    """Raise OutsideError `compose-failed` for several containers that should all have one name."""
    for service, count in sorted(counts.items()):
        fixed = app.document["services"][service].get("container_name")
        if fixed and count > 1:
            raise compose_failed(
                service, f'the "{service}" service is using the custom container name "{fixed}"'
            )


def refuse_taken_ports(world: World, one: SimulatedContainer, service: str, *, now: float) -> None:
    """Raise OutsideError `compose-failed` when another container that runs holds a port of `one`."""
    held = {
        (port.port, port.protocol)
        for other in world.containers.values()
        if other is not one and world.moment(other, now).state == "running"
        for port in other.ports
    }
    if any((port.port, port.protocol) in held for port in one.ports):
        words = "driver failed programming external connectivity: port is already allocated"
        raise compose_failed(service, words)


def compose_failed(service: str, words: str) -> OutsideError:
    """Compose accepted the document and could not bring it up."""
    return OutsideError(
        COMPOSE_FAILED,
        f"Compose could not bring up {service}",
        where=Where(service=service or None),
        why=shown(words),
        next="see what is there now: `docker ps -a`",
    )


def _refused(words: str, *, service: str | None = None) -> UserError:
    return UserError(
        COMPOSE_REFUSED,
        "Compose does not accept the document",
        where=Where(service=service),
        why=words,
        next="see the document with `stagecraft config render` and correct the Compose file",
    )
