"""The rendered document as it is run: mounts rewritten, and without what has no meaning on a host.

Dropped are keys about building, about development, about reading files and about selecting services, which
have all been done; nothing that the engine would act on. Configs and secrets turn into mounts, so their
sections go too. Labels that start with `stagecraft.` are refused, but for the one that people write
(`gitops.compose.reload`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from events import labels
from events.kernel.errors import UserError, Where, error_code
from gitops.compose.differences import DROPPED_KEYS
from gitops.compose.faults import COMPOSE_PATH_REFUSED, VOLUME_AMBIGUOUS
from gitops.compose.files import Collector
from gitops.compose.portable import COMMIT_PREFIX, path_unsupported
from gitops.compose.render import Rendered
from gitops.findings import Finding, FindingCode

IMAGE_MISSING = error_code("image-missing", "A service has nothing to run: no image: and no build:.")
LABEL_RESERVED = error_code("label-reserved", "A service sets a label that Stagecraft gives by itself.")

EXTERNAL_UNSUPPORTED = error_code(
    "external-unsupported", "A config or secret is external, which only an engine in Swarm mode has."
)

_SECCOMP = re.compile(r"seccomp[=:](?P<file>.*)", re.DOTALL)
_SECCOMP_WORDS = ("unconfined", "builtin", "default")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
# An `env_file` that is left is one of a host.
_DROPPED = (*DROPPED_KEYS, "configs", "secrets")
_SECRETS = "/run/secrets/"


def rewrite(
    rendered: Rendered, collector: Collector, state: Mapping[str, Collection[str]] | None = None
) -> dict[str, dict[str, Any]]:
    """The services of the document, rewritten, in the order of their names.

    `state` has the paths of the tree that each service keeps on its host.
    Raises UserError `image-missing`, `label-reserved`, `volume-ambiguous`, and as `Collector` does.
    """
    document = rendered.document
    services: dict[str, dict[str, Any]] = {}
    for name, service in sorted(document["services"].items()):
        _check(name, service)
        kept = {
            key: value for key, value in service.items() if key not in _DROPPED and not key.startswith("x-")
        }
        mounts = [
            _volume(volume, collector, name, (state or {}).get(name, ()))
            for volume in service.get("volumes", ())
        ]
        mounts += _files(rendered, collector, name, "configs")
        mounts += _files(rendered, collector, name, "secrets")
        if mounts:
            kept["volumes"] = mounts
        services[name] = _without_empty_placement(kept)
    return services


def refuse_left_paths(value: Any, key: str = "") -> None:  # noqa: ANN401  # a JSON value
    """Raise UserError `compose-path-unsupported` where a path of the commit was not rewritten.

    Such a path would be taken for one of the host, on which it means nothing.
    """
    if isinstance(value, dict):
        for name, inner in cast("dict[str, Any]", value).items():
            refuse_left_paths(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for position, inner in enumerate(cast("Iterable[Any]", value)):
            refuse_left_paths(inner, f"{key}[{position}]")
    elif isinstance(value, str) and value.startswith(COMMIT_PREFIX):
        raise path_unsupported(key)


def _check(name: str, service: dict[str, Any]) -> None:
    if not service.get("image"):
        raise UserError(
            IMAGE_MISSING,
            f"service {name!r} has no image:",
            where=Where(service=name, key=f"services.{name}.image"),
            next=f"give services.{name} an image:",
        )
    for option in service.get("security_opt", ()):
        profile = _SECCOMP.match(str(option))
        if profile and profile["file"] not in _SECCOMP_WORDS:
            raise UserError(
                COMPOSE_PATH_REFUSED,
                f"service {name!r} names a file for seccomp, which Compose would read on the controller",
                where=Where(service=name, key=f"services.{name}.security_opt"),
                next="set the profile as the engine's default on the host",
            )
    for label in service.get("labels", {}):
        if label.startswith(labels.PREFIX) and label != labels.RELOAD:
            raise UserError(
                LABEL_RESERVED,
                f"service {name!r} sets the label {label!r}; labels that start with {labels.PREFIX} are ours",
                where=Where(service=name, key=f"services.{name}.labels"),
            )


def _volume(
    volume: dict[str, Any], collector: Collector, service: str, state: Collection[str]
) -> dict[str, Any]:
    """One mount; a path of the tree becomes a path on a host."""
    key = f"services.{service}.volumes"
    source = str(volume.get("source", ""))
    drive = next((text for text in (source, str(volume.get("target"))) if _DRIVE.match(text)), None)
    if drive is not None:
        raise UserError(VOLUME_AMBIGUOUS, f"{drive!r} would be a Windows drive", where=Where(key=key))
    if volume.get("type") != "bind" or not source.startswith(COMMIT_PREFIX):
        return volume
    path = _path(source)
    place, committed = collector.mounted(path, key=key, state=path in state)
    if committed:
        collector.note(service, target=str(volume.get("target")), origin=path)
    options = {**volume.get("bind", {}), "create_host_path": not committed}
    rewritten = {**volume, "source": _escaped(place), "bind": options}
    return {**rewritten, "read_only": True} if committed else rewritten


def rewrite_devices(document: Mapping[str, Any], collector: Collector) -> dict[str, Any]:
    """The document with a folder of the host where a volume's device is a path that is not in the commit.

    One that is in the commit is left, and refused: the engine mounts a device as writable.
    """
    volumes: dict[str, dict[str, Any] | None] = document.get("volumes") or {}
    return {**document, "volumes": {name: _device(name, one, collector) for name, one in volumes.items()}}


def _device(name: str, definition: dict[str, Any] | None, collector: Collector) -> dict[str, Any] | None:
    options: dict[str, Any] = (definition or {}).get("driver_opts") or {}
    device = str(options.get("device") or "")
    if definition is None or not device.startswith(COMMIT_PREFIX) or collector.committed(_path(device)):
        return definition
    source, _committed = collector.mounted(_path(device), key=f"volumes.{name}.driver_opts.device")
    return {**definition, "driver_opts": {**options, "device": _escaped(source)}}


def _files(rendered: Rendered, collector: Collector, service: str, section: str) -> list[dict[str, Any]]:
    """The mounts that stand in for a service's configs or secrets."""
    mounts: list[dict[str, Any]] = []
    for use in rendered.document["services"][service].get(section, ()):
        name = str(use["source"])
        source = _file_source(rendered, collector, section, name)
        if {"uid", "gid", "mode"} & use.keys():
            key = f"services.{service}.{section}"
            message = f"uid, gid and mode of {name} are not applied; the file is readable by everyone"
            collector.findings.add(Finding(code=FindingCode.FILE_MODE_IGNORED, message=message, key=key))
        target = _target(section, name, str(use.get("target", "")))
        collector.note(service, target=target, origin=_origin(rendered, section, name))
        mounts.append(_read_only_bind(source, target))
    return mounts


def _file_source(rendered: Rendered, collector: Collector, section: str, name: str) -> str:
    """Where a config or secret comes from."""
    definition: dict[str, Any] = rendered.document.get(section, {}).get(name, {})
    if "content" in definition:
        return collector.generated(name, str(definition["content"]).replace("$$", "$").encode())
    if "environment" in definition:
        return collector.generated(name, rendered.values[definition["environment"]].encode())
    file = definition.get("file")
    if file is None:
        raise UserError(
            EXTERNAL_UNSUPPORTED,
            f"{section}.{name} is external, which only exists in Swarm",
            where=Where(key=f"{section}.{name}"),
            next="give it file:, content: or environment:",
        )
    return (
        _escaped(collector.file(_path(file), key=f"{section}.{name}"))
        if file.startswith(COMMIT_PREFIX)
        else str(file)
    )


def _origin(rendered: Rendered, section: str, name: str) -> str:
    """What a person edits to change a config or secret: its file, or its entry in the Compose file."""
    file = str(rendered.document.get(section, {}).get(name, {}).get("file") or "")
    return _path(file) if file.startswith(COMMIT_PREFIX) else f"{section}.{name}"


def _path(text: str) -> str:
    """A path of the tree as the client wrote it, with `$` doubled."""
    return text.removeprefix(COMMIT_PREFIX).replace("$$", "$")


def _escaped(path: str) -> str:
    """A path as the client reads it."""
    return path.replace("$", "$$")


def _target(section: str, name: str, target: str) -> str:
    """Where the file stands in the container, by Compose's defaults."""
    if section == "configs":
        return target or f"/{name}"
    return target if target.startswith("/") else f"{_SECRETS}{target or name}"


def _read_only_bind(source: str, target: str) -> dict[str, Any]:
    return {
        "type": "bind",
        "source": source,
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }


def _without_empty_placement(service: dict[str, Any]) -> dict[str, Any]:
    """Compose writes `deploy.placement: {}` for some inputs and not for others of the same meaning."""
    deploy: dict[str, Any] = service.get("deploy") or {}
    if deploy.get("placement") == {}:
        return {**service, "deploy": {key: value for key, value in deploy.items() if key != "placement"}}
    return service
