"""The differences that the reference lists, taken back: what is left must be equal.

Each step does to Compose's document what the list says that Stagecraft does, or takes from ours what it adds,
by its own means, and answers whether there was anything to do. A step without an entry in the list, or an
entry without a step, fails a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from events import labels
from gitops.compose.differences import DROPPED_KEYS
from tests.parity.places import Places

_SECRETS = "/run/secrets/"
_REFERENCE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::?[-?](?P<default>[^{}]*))?\}")
Section = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two documents of an app, which steps change, what we found, and where its files stand."""

    ours: dict[str, Any]
    theirs: dict[str, Any]
    findings: frozenset[str]
    places: Places

    def services(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Theirs, with ours of the same name or nothing."""
        mine = section(self.ours, "services")
        for name, service in section(self.theirs, "services").items():
            yield service, mine.get(name) or {}

    def binds(self) -> Iterator[dict[str, Any]]:
        """Their bind mounts."""
        for service, _mine in self.services():
            for volume in entries(service, "volumes"):
                if volume.get("type") == "bind" and "source" in volume:
                    yield volume


def section(document: dict[str, Any], name: str) -> Section:
    """A mapping of mappings in a document; nothing for an absent one."""
    found: Section | None = document.get(name)
    return found or {}


def mapping(owner: dict[str, Any], name: str) -> dict[str, Any]:
    """A mapping in another; nothing for an absent one."""
    found: dict[str, Any] | None = owner.get(name)
    return found or {}


def entries(owner: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of mappings; nothing for an absent one."""
    found: list[dict[str, Any]] | None = owner.get(name)
    return found or []


def _labels(pair: Pair) -> bool:
    others = section(pair.theirs, "services")
    for name, mine in section(pair.ours, "services").items():
        given = mapping(mine, "labels")
        kept = {
            key: value
            for key, value in given.items()
            if key == labels.RELOAD or not key.startswith(labels.PREFIX)
        }
        if kept or "labels" in others.get(name, {}):
            mine["labels"] = kept
        else:
            mine.pop("labels", None)
    return True


def _finding(code: str) -> Callable[[Pair], bool]:
    """A difference that is in no document, because both sides were told the same; a finding tells of it."""
    return lambda pair: code in pair.findings


def _commit_mount(pair: Pair) -> bool:
    found = False
    for volume in pair.binds():
        path = pair.places.in_tree(volume["source"])
        source = None if path is None else pair.places.committed(path)
        if source is not None:
            options = {**mapping(volume, "bind"), "create_host_path": False}
            volume.update({"source": source, "read_only": True, "bind": options})
            found = True
    return found


def _state_mount(pair: Pair) -> bool:
    found = False
    for volume in pair.binds():
        path = pair.places.in_tree(volume["source"])
        if path is not None:
            options = {**mapping(volume, "bind"), "create_host_path": True}
            volume.update({"source": pair.places.state(path), "bind": options})
            found = True
    return found


def _volume_device(pair: Pair) -> bool:
    found = False
    for volume in section(pair.theirs, "volumes").values():
        options = mapping(volume or {}, "driver_opts")
        path = pair.places.in_tree(str(options.get("device") or ""))
        if path is not None:
            options["device"] = pair.places.state(path)
            found = True
    return found


def _files_mounted(kind: str) -> Callable[[Pair], bool]:
    def step(pair: Pair) -> bool:
        defined = section(pair.theirs, kind)
        pair.theirs.pop(kind, None)
        for service, mine in pair.services():
            uses = entries(service, kind)
            service.pop(kind, None)
            for use in uses:
                name, target = str(use["source"]), _target(kind, use)
                source = _source(pair, name, defined.get(name) or {}) or _from_variable(mine, name, target)
                mount = {"type": "bind", "source": source, "target": target, "read_only": True}
                service["volumes"] = [
                    *entries(service, "volumes"),
                    {**mount, "bind": {"create_host_path": False}},
                ]
        return bool(defined)

    return step


def _target(kind: str, use: dict[str, Any]) -> str:
    name, target = str(use["source"]), str(use.get("target") or "")
    if kind == "configs":
        return target or f"/{name}"
    return target if target.startswith("/") else f"{_SECRETS}{target or name}"


def _source(pair: Pair, name: str, definition: dict[str, Any]) -> str | None:
    """Where a config or secret comes from; None for a variable, of which Compose shows the name alone."""
    if "content" in definition:
        return pair.places.content(name, str(definition["content"]).replace("$$", "$").encode())
    if "file" not in definition:
        return None
    path = pair.places.in_tree(str(definition["file"]))
    if path is None:
        return str(definition["file"])
    return pair.places.committed(path) or pair.places.state(path)


def _from_variable(mine: dict[str, Any], name: str, target: str) -> str:
    """The source that we give, when it is a file of that name."""
    mounted = [str(one["source"]) for one in entries(mine, "volumes") if one.get("target") == target]
    return next((source for source in mounted if source.endswith(f"/{name}")), f"a variable for {name}")


def _key(key: str) -> Callable[[Pair], bool]:
    def step(pair: Pair) -> bool:
        had = [service for service, _mine in pair.services() if key in service]
        for service in had:
            del service[key]
        return bool(had)

    return step


def _built_image(pair: Pair) -> bool:
    found = False
    for service, mine in pair.services():
        if "image" not in service and "build" in service and "image" in mine:
            service["image"] = mine["image"]
            found = True
    return found


def _extensions(pair: Pair) -> bool:
    owners: list[dict[str, Any]] = [pair.theirs]
    for name in ("services", "networks", "volumes"):
        owners += [one for one in section(pair.theirs, name).values() if one]
    found = [(owner, key) for owner in owners for key in owner if key.startswith("x-")]
    for owner, key in found:
        del owner[key]
    return bool(found)


def _jobs(pair: Pair) -> bool:
    return pair.theirs.pop("jobs", None) is not None and "jobs-ignored" in pair.findings


def _empty_placement(pair: Pair) -> bool:
    found = False
    for service, _mine in pair.services():
        deploy = mapping(service, "deploy")
        if deploy.get("placement") == {}:
            del deploy["placement"]
            found = True
    return found


def _absent_dependency(pair: Pair) -> bool:
    found = False
    present = section(pair.theirs, "services").keys()
    for service, _mine in pair.services():
        waits = mapping(service, "depends_on")
        for gone in waits.keys() - present:
            del waits[gone]
            found = True
        if not waits:
            service.pop("depends_on", None)
    return found


def _host_env_file(pair: Pair) -> bool:
    found = False
    for service, mine in pair.services():
        left = [entry for entry in entries(mine, "env_file") if str(entry["path"]).startswith("/")]
        if left:
            service["env_file"] = left
            found = True
    return found


def _reload_mount(pair: Pair) -> bool:
    found = False
    for name, service in section(pair.theirs, "services").items():
        given = mapping(service, "labels")
        if labels.RELOAD not in given:
            continue
        short = str(given[labels.RELOAD]).upper().removeprefix("SIG")
        given[labels.RELOAD] = f"SIG{short}"
        for volume in entries(service, "volumes"):
            source = pair.places.told(name, volume["target"], str(volume.get("source")), number=1)
            if source is not None:
                volume["source"] = source
                found = True
    return found


def _host_variable(pair: Pair) -> bool:
    """Fill our document in from the host's file, where Compose has done so."""
    values = pair.places.host_variables
    if not values:
        return False
    count = 0

    def one(found: re.Match[str]) -> str:
        nonlocal count
        if found["name"] is None:
            return found[0]
        count += 1
        value = values.get(found["name"])
        return (found["default"] or "") if value is None else value.replace("$", "$$")

    def fill(value: Any) -> Any:  # noqa: ANN401  # a JSON value
        if isinstance(value, str):
            return _REFERENCE.sub(one, value)
        if isinstance(value, dict):
            return {key: fill(inner) for key, inner in cast("dict[str, Any]", value).items()}
        return list(map(fill, cast("list[object]", value))) if isinstance(value, list) else value

    for name, mine in section(pair.ours, "services").items():
        pair.ours["services"][name] = fill(mine)
    return count > 0


STEPS: dict[str, Callable[[Pair], bool]] = {
    "labels": _labels,
    "project-name": _finding("name-ignored"),
    "client-settings": _finding("compose-variable-ignored"),
    "override-file": _finding("override-ignored"),
    "commit-mount": _commit_mount,
    "state-mount": _state_mount,
    "volume-device": _volume_device,
    "config-mount": _files_mounted("configs"),
    "secret-mount": _files_mounted("secrets"),
    "reload-mount": _reload_mount,
    "built-image": _built_image,
    **{key.replace("_", "-"): _key(key) for key in DROPPED_KEYS},
    "extensions": _extensions,
    "jobs": _jobs,
    "empty-placement": _empty_placement,
    "absent-dependency": _absent_dependency,
    "host-env-file": _host_env_file,
    "host-variable": _host_variable,
}
"""By the name in the list, in the order in which they are done."""

ALWAYS = frozenset({"labels"})  # every document of ours has them, so they are not worth a word


def take_back(pair: Pair) -> list[str]:
    """Do all steps; the names of the differences that were there."""
    return [name for name, step in STEPS.items() if step(pair) and name not in ALWAYS]
