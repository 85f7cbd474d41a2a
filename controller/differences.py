"""Why a service would be replaced: what differs, without a value that could be a secret.

Images are shown as written, because they are what people change. Of environment variables and labels only
the names are shown, of commands that they differ, of mounted files the path in the repository.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from events.labels import PREFIX, RELOAD
from events.manifest import FILES_PREFIX
from projections.converge.conflicts import replicas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from events.manifest import FileEntry, FileTree, HostManifest

_NOT_A_REASON = ("image", "depends_on", "profiles", "scale", "volumes", "networks", "ports", "deploy")
_BY_KEY = ("environment", "labels")
_DIGEST = re.compile(r"(?P<start>sha256:[0-9a-f]{12})[0-9a-f]{52}")
_MOST_FILES = 5


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Reason:
    """One thing that differs, or another cause of a change."""

    kind: str  # new, orphan, image, environment, labels, file, mount, port, network, volume, replicas, …
    text: str  # for people, one line

    def as_json(self) -> dict[str, str]:
        """The object that `plan --format json` prints."""
        return {"kind": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A committed file that a service mounts and that differs."""

    path: str  # in the repository where that is known, else in the container
    before: str | None  # digest of its bytes; None: it was not there
    after: str | None

    @property
    def sign(self) -> str:
        """`+` for a new one, `-` for one that is gone, `~` for other content or another mode."""
        if self.before is None and self.after is not None:
            return "+"
        return "-" if self.after is None and self.before is not None else "~"


def file_changes(service: str, *, old: HostManifest, new: HostManifest) -> list[FileChange]:
    """The files that a service mounts from the commit in both and that differ, by their path in it."""
    former, latter = _by_target(_definition(old, service)), _by_target(_definition(new, service))
    return [
        change
        for target in sorted(former.keys() & latter.keys())
        if former[target] != latter[target]
        for change in _file_changes(former[target], latter[target], old=old, new=new, origin=target)
    ]


def names_changed(
    field: str, service: str, *, old: HostManifest, new: HostManifest
) -> tuple[list[str], list[str], list[str]]:
    """Names that were added, changed and removed in a field that is a mapping: `environment`, `labels`."""
    before, after = _definition(old, service), _definition(new, service)
    return _changed_names(_mapping(before.get(field)), _mapping(after.get(field)))


def reasons_of(
    service: str, *, old: HostManifest, new: HostManifest, origins: Mapping[str, str] | None = None
) -> tuple[Reason, ...]:
    """What differs, the image first, such as `image web:1 -> web:2` and `environment ~PORT +DEBUG`.

    `origins` has the path in the repository of what is mounted, by path in the container.
    """
    before, after = _definition(old, service), _definition(new, service)
    found = [
        *_image(service, old=old, new=new),
        *_fields(before, after),
        *_mounts(before, after, old=old, new=new, origins=origins or {}),
        *_networks(before, after, old=old, new=new),
        *_volumes(after, old=old, new=new),
        *_ports(before, after),
        *_deployment(before, after),
    ]
    return tuple(found) or (Reason(kind="definition", text="a network or volume it uses"),)


def redefined_volumes(old: HostManifest, new: HostManifest, services: Iterable[str]) -> list[str]:
    """The volumes, by their names in the document, that stay and that `services` use with other options."""
    definitions: Mapping[str, Any] = new.compose["services"]
    used = {name for service in services for name in _volume_names(definitions[service])}
    before, after = _mapping(old.compose.get("volumes")), _mapping(new.compose.get("volumes"))
    return [
        name
        for name in _redefined("volumes", used, old=old, new=new)
        if _mapping(before[name]).get("name") == _mapping(after[name]).get("name")
    ]


def short(reference: str) -> str:
    """An image reference with its digest, if it has one, cut to 12 digits."""
    return _DIGEST.sub(r"\g<start>", reference)


def _image(service: str, *, old: HostManifest, new: HostManifest) -> Iterable[Reason]:
    before, after = old.services[service].image, new.services[service].image
    if before.ref != after.ref:
        yield Reason(kind="image", text=f"image {short(before.ref)} -> {short(after.ref)}")
    elif before.pin != after.pin:
        yield Reason(kind="image", text=f"image {short(after.ref)} means other bytes now")


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Reason]:
    """The keys of the definition that need no care of their own."""
    for key in sorted({*before, *after} - set(_NOT_A_REASON)):
        if before.get(key) == after.get(key):
            continue
        if key in _BY_KEY:
            names = _signed(_mapping(before.get(key)), _mapping(after.get(key)))
            yield Reason(kind=key, text=f"{key} {names}")
        else:
            yield Reason(kind="command" if key in ("command", "entrypoint") else "definition", text=key)


def _mounts(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    old: HostManifest,
    new: HostManifest,
    origins: Mapping[str, str],
) -> Iterable[Reason]:
    """Files of the repository by their path there, all other mounts by their path in the container."""
    former, latter = _by_target(before), _by_target(after)
    others: set[str] = set()
    for target in sorted({*former, *latter}):
        one, two = former.get(target), latter.get(target)
        if one == two:
            continue
        changes = _file_changes(one, two, old=old, new=new, origin=origins.get(target, target))
        files = [f"{change.sign}{change.path}" for change in changes]
        if files:
            more = f" and {len(files) - _MOST_FILES} more" if len(files) > _MOST_FILES else ""
            yield Reason(kind="file", text=f"file {', '.join(files[:_MOST_FILES])}{more}")
        else:
            others.add(target)
    if others:
        names = _signed(
            {target: former[target] for target in others & former.keys()},
            {target: latter[target] for target in others & latter.keys()},
        )
        yield Reason(kind="mount", text=f"volumes {names}")


def _file_changes(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    old: HostManifest,
    new: HostManifest,
    origin: str,
) -> list[FileChange]:
    """Each file that differs; nothing when it is no mount of committed files in both."""
    one = None if before is None else _tree(before, old)
    two = None if after is None else _tree(after, new)
    if one is None or two is None or before is None or after is None:
        return []
    if {**before, "source": ""} != {**after, "source": ""}:
        return []
    former = {entry.path: entry for entry in one.entries}
    latter = {entry.path: entry for entry in two.entries}
    if _is_one_file(before) and _is_one_file(after):
        was, now = former.get(_name_in_tree(before)), latter.get(_name_in_tree(after))
        return [_file_change(origin, was, now)]
    folder = "" if origin in ("", ".") else f"{origin.rstrip('/')}/"
    return [
        _file_change(f"{folder}{path}", former.get(path), latter.get(path))
        for path in sorted({*former, *latter})
        if former.get(path) != latter.get(path)
    ]


def _file_change(path: str, was: FileEntry | None, now: FileEntry | None) -> FileChange:
    return FileChange(
        path=path, before=None if was is None else was.blob, after=None if now is None else now.blob
    )


def _tree(mount: Mapping[str, Any], host: HostManifest) -> FileTree | None:
    """The committed files that a mount shows; None for any other mount."""
    source = str(mount.get("source", ""))
    if not source.startswith(FILES_PREFIX):
        return None
    return host.files.get(f"sha256:{source.removeprefix(FILES_PREFIX).partition('/')[0]}")


def _is_one_file(mount: Mapping[str, Any]) -> bool:
    return bool(_name_in_tree(mount))


def _name_in_tree(mount: Mapping[str, Any]) -> str:
    """What stands behind the digest in a mount's source: the name of the one file, or nothing."""
    return str(mount.get("source", "")).removeprefix(FILES_PREFIX).partition("/")[2]


def _networks(
    before: Mapping[str, Any], after: Mapping[str, Any], *, old: HostManifest, new: HostManifest
) -> Iterable[Reason]:
    former, latter = _mapping(before.get("networks")), _mapping(after.get("networks"))
    if former != latter:
        yield Reason(kind="network", text=f"networks {_signed(former, latter)}")
    for name in _redefined("networks", latter, old=old, new=new):
        yield Reason(kind="network", text=f"the network {name} is made anew: its options differ")


def _volumes(after: Mapping[str, Any], *, old: HostManifest, new: HostManifest) -> Iterable[Reason]:
    for name in _redefined("volumes", _volume_names(after), old=old, new=new):
        yield Reason(kind="volume", text=f"options of the volume {name}")


def _volume_names(definition: Mapping[str, Any]) -> list[str]:
    """The named volumes that a service mounts."""
    mounts: Iterable[Mapping[str, Any]] = definition.get("volumes") or ()
    return [str(mount.get("source")) for mount in mounts if mount.get("type") == "volume"]


def _redefined(section: str, names: Iterable[str], *, old: HostManifest, new: HostManifest) -> list[str]:
    """Those of `names` that both documents define, and differently."""
    before, after = _mapping(old.compose.get(section)), _mapping(new.compose.get(section))
    both = sorted({name for name in names if name in before and name in after})
    return [name for name in both if before[name] != after[name]]


def _ports(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Reason]:
    former, latter = _port_texts(before), _port_texts(after)
    if (before.get("ports") or []) != (after.get("ports") or []):
        yield Reason(kind="port", text=f"ports {_signed(former, latter)}".rstrip())


def _port_texts(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{port.get('published') or '*'}:{port.get('target')}/{port.get('protocol') or 'tcp'}": port
        for port in definition.get("ports") or ()
    }


def _deployment(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Reason]:
    if replicas(before) != replicas(after):
        yield Reason(kind="replicas", text=f"replicas {replicas(before)} -> {replicas(after)}")
    if _without_replicas(before) != _without_replicas(after):
        yield Reason(kind="definition", text="deploy")


def _without_replicas(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _mapping(definition.get("deploy")).items() if key != "replicas"}


def _definition(host: HostManifest, service: str) -> dict[str, Any]:
    """The service as Compose has it, without our own labels, its mounts named by content."""
    definition: dict[str, Any] = host.compose["services"][service]
    given = _mapping(definition.get("labels"))
    own = {key: value for key, value in given.items() if key == RELOAD or not key.startswith(PREFIX)}
    named = host.services[service].by_content
    mounts = [
        {**mount, "source": named(str(mount["source"]))} if mount.get("source") else mount
        for mount in definition.get("volumes") or ()
    ]
    return {**definition, "labels": own, **({"volumes": mounts} if mounts else {})}


def _by_target(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(mount.get("target")): mount for mount in definition.get("volumes") or ()}


def _mapping(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """A mapping of the rendered document, where an empty one may be null."""
    return dict(value or {})


def _signed(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    added, changed, removed = _changed_names(before, after)
    return " ".join(
        f"{sign}{name}"
        for sign, names in zip("+~-", (added, changed, removed), strict=True)
        for name in names
    )


def _changed_names(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[list[str], list[str], list[str]]:
    """Names only in the second, in both with another value, and only in the first, each sorted."""
    return (
        sorted(set(after) - set(before)),
        [name for name in sorted(set(after) & set(before)) if after[name] != before[name]],
        sorted(set(before) - set(after)),
    )
