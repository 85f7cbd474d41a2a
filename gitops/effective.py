"""A project's configuration as one environment gets it, in the form of a `stagecraft.yml` again.

Overlays are applied and defaults filled in; loading the result gives the same environment, so it can be kept
beside a question or compared with another. Each value knows its origin: the place in a file, or `default`.
What only Compose or a host can say (deadlines by a health check, versions) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from events.kernel.redact import MASK
from events.streams import LOCAL_HOST
from gitops.config.document import Document
from gitops.config.faults import KeyPath
from gitops.config.load import Configuration
from gitops.config.plain import is_list, is_mapping
from gitops.config.services import ServiceSection
from gitops.durations import format_duration
from gitops.gates import SETTLE_SECONDS
from gitops.settings import DEFAULT_ROLE, service_sections

DEFAULT = "default"
_HIDDEN = re.compile(
    r"(?i)(passw(or)?d|passphrase|secret|token|credential|(api|access|private|signing|account|auth)_?key)s?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """The configuration of one environment."""

    values: dict[str, Any]  # in the form of `stagecraft.yml`
    origins: dict[KeyPath, str]  # of each value without values below it


def effective(configuration: Configuration, *, defaults: bool = True) -> Effective:
    """What `configuration` comes to; without `defaults`, what of it is written in a file."""
    values = _pruned(_values(configuration))
    places = {key: _origin(configuration, key) for key, _ in leaves(values)}
    kept = {key: place for key, place in places.items() if defaults or place != DEFAULT}
    made: dict[str, Any] = {}
    for key, value in leaves(values):
        if key in kept:
            _put(made, key, _masked(key, value))
    made.setdefault("environments", {}).setdefault(configuration.name, {})
    return Effective(values=made, origins=kept)


def leaves(value: Any, key: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:  # noqa: ANN401  # plain data
    """All values of nested mappings that are no mapping themselves; an empty one counts as a value."""
    if is_mapping(value) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*key, name))
    else:
        yield key, value


def _values(configuration: Configuration) -> dict[str, Any]:
    project = _plain(configuration.project)
    environment = _plain(configuration.environment)
    sections = service_sections(configuration)
    roles = {section.role or DEFAULT_ROLE for section in sections.values()} | {DEFAULT_ROLE}
    hosts = environment.pop("hosts", None) or project.pop("hosts", None)
    name = project["project"]["name"]
    gate: dict[str, Any] = environment["gate"]
    for taken in ("hosts", "services", "environments"):
        project.pop(taken, None)
    environment.pop("services", None)
    return {
        "project": project.pop("project"),
        "hosts": hosts or {role: [LOCAL_HOST] for role in sorted(roles)},
        "services": {service: _service(section, gate) for service, section in sorted(sections.items())},
        "environments": {
            configuration.name: {"compose_project": f"{name}-{configuration.name}", **environment}
        },
        **project,
    }


def _service(section: ServiceSection, gate: Mapping[str, Any]) -> dict[str, Any]:
    said = _plain(section)
    settle = {"settle": format_duration(SETTLE_SECONDS)}
    return {"role": DEFAULT_ROLE, **said, "gate": {**settle, **gate, **said["gate"]}}


def _plain(section: Any) -> dict[str, Any]:  # noqa: ANN401  # any section
    made: dict[str, Any] = section.model_dump(mode="json", by_alias=True, exclude_none=True)
    return made


def _pruned(values: dict[str, Any]) -> dict[str, Any]:
    """Without mappings and lists that hold nothing."""
    inner: dict[str, Any] = {}
    for key, value in values.items():
        inner[key] = _pruned(value) if is_mapping(value) else value
    return {key: value for key, value in inner.items() if value not in ({}, [])}


def _origin(configuration: Configuration, key: KeyPath) -> str:
    for document, at in _places(configuration, key):
        mark = document.marks.get(at)
        if mark is not None:
            return f"{document.file}:{mark.line}:{mark.column}"
    return DEFAULT


def _places(configuration: Configuration, key: KeyPath) -> Iterator[tuple[Document, KeyPath]]:
    """Where a value may have been written, the place that wins first."""
    head, own = key[0], configuration.environment_document
    if head == "environments":
        yield own, configuration.environment_key(key[2:])
        return
    if head in {"hosts", "services"}:
        yield own, configuration.environment_key(key)
    yield configuration.project_document, key
    if head == "services" and key[2:3] == ("gate",):
        yield own, configuration.environment_key(key[2:])


def _put(values: dict[str, Any], key: KeyPath, value: object) -> None:
    at: dict[Any, Any] = values
    for part in key[:-1]:
        at = at.setdefault(part, {})
    at[key[-1]] = value


def _masked(key: KeyPath, value: Any) -> Any:  # noqa: ANN401  # plain data
    """A value under a name such as `password` is hidden: it does not belong into a repository."""
    if (isinstance(value, str) or is_list(value)) and _HIDDEN.search(str(key[-1])):
        return MASK
    if is_list(value):
        return [_masked_item(item) for item in value]
    return value


def _masked_item(item: Any) -> Any:  # noqa: ANN401  # plain data
    if not is_mapping(item):
        return item
    return {name: _masked((name,), value) for name, value in item.items()}
