"""The names of the variables that a render takes from files of this machine, for who looks at a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.bootstrap import LOCAL_HOST
from events.hostenv import HostEnvFile
from events.references import names_of
from projections.converge.hostenv import environment_values, lacking_names, read_local, variable_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops.manifest import Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReferences:
    """The variables of the environment's file on this machine that one service refers to."""

    service: str
    file: str
    names: tuple[str, ...]  # sorted
    missing: tuple[str, ...] | None  # needed, and not in the file; None: the file cannot be used

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        missing = None if self.missing is None else list(self.missing)
        return {"service": self.service, "file": self.file, "names": list(self.names), "missing": missing}


def host_names(made: Draft) -> dict[str, tuple[str, ...] | None]:
    """Names by path; None for a file that is not there or cannot be used. Values are read and dropped."""
    local = made.hosts.get(LOCAL_HOST)
    return {} if local is None else variable_names(local.document["services"], read=read_local)


def host_references(made: Draft) -> tuple[HostReferences, ...]:
    """What the services of this machine refer to, by service. Values are read and dropped."""
    local = made.hosts.get(LOCAL_HOST)
    if local is None or local.env_file is None:
        return ()
    values = environment_values(HostEnvFile(path=local.env_file), read=read_local)
    services: Mapping[str, Mapping[str, Any]] = local.document["services"]
    return tuple(
        HostReferences(
            service=name,
            file=local.env_file,
            names=names_of(definition),
            missing=None if values is None else tuple(lacking_names(definition, values)),
        )
        for name, definition in sorted(services.items())
        if names_of(definition)
    )
