"""What the env files of a host say now, for the services that take them.

A container carries the keyed digest of the files it was made with. So a changed value is seen by comparing
two digests, at every look, and is a drift of just the services that take the file; neither the label nor the
event says what the value is. A file that cannot be read is unknown: it is no reason to touch what runs,
and a reason to start nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from events.catalog import decode
from events.catalog.release import HostVariablesBound
from events.hostenv import HostEnvFile, host_env_files, keyed_digest, learn_secrets, values_of
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.redact import REDACT
from events.manifest import HostManifest
from events.recorder import Recorder
from events.streams import release_stream
from projections.converge.site import Site

HOST_ENV_MISSING = error_code(
    "host-env-missing", "An env file that a service takes from its host is not there or cannot be read."
)
BINDING_KEY_MISSING = error_code(
    "binding-key-missing", "Values of a host were to be told apart without this home's key."
)

MAX_BYTES = 1024 * 1024
ReadHostFile = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The files of one host at one moment."""

    services: dict[str, str]  # keyed digest by service; one whose files cannot be read is left out
    files: dict[str, str]  # keyed digest by path
    names: dict[str, tuple[str, ...]]  # variables by path, sorted
    faults: dict[str, OutsideError | UserError]  # by service


def read_local(path: str) -> bytes | None:
    """A regular file of this machine, None when there is none. Raises OutsideError `host-env-missing`."""
    try:
        descriptor = os.open(Path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _missing(path, str(error)) from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _missing(path, "it is no regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _missing(path, f"it has more than {MAX_BYTES} bytes")
    return content


def bind(content: HostManifest, *, key: bytes, read: ReadHostFile = read_local) -> Bound:
    """Read the env files of all services; blocking. What is wrong is answered, not raised."""
    bound = Bound(services={}, files={}, names={}, faults={})
    definitions: Mapping[str, Mapping[str, Any]] = content.compose.get("services", {})
    for name, definition in sorted(definitions.items()):
        files = host_env_files(definition)
        if not files:
            continue
        if not key:
            bound.faults[name] = OutsideError(
                BINDING_KEY_MISSING,
                "the key that tells values of the host apart could not be made",
                next="make room in the home, and see that its folder keys/ can be written",
            )
            continue
        try:
            contents = {file.path: _content(file, bound, read=read, key=key) for file in files}
        except (OutsideError, UserError) as error:
            bound.faults[name] = error
            continue
        bound.services[name] = keyed_digest(contents, key)
    return bound


def _content(file: HostEnvFile, bound: Bound, *, read: ReadHostFile, key: bytes) -> bytes | None:
    """One file, noted in `bound`. Raises OutsideError `host-env-missing` and UserError `host-env-invalid`."""
    content = read(file.path)
    if content is None and file.required:
        raise _missing(file.path, "there is no such file")
    values = {} if content is None else values_of(content, file)
    learn_secrets(values, REDACT)
    bound.files[file.path] = keyed_digest({file.path: content}, key)
    bound.names[file.path] = tuple(sorted(values))
    return content


def variable_names(
    definitions: Mapping[str, Mapping[str, Any]], *, read: ReadHostFile = read_local
) -> dict[str, tuple[str, ...] | None]:
    """The names in the env files that these services take, by path; None for a file that cannot be used."""
    found: dict[str, tuple[str, ...] | None] = {}
    for definition in definitions.values():
        for file in host_env_files(definition):
            try:
                content = read(file.path)
                found[file.path] = () if content is None else tuple(sorted(values_of(content, file)))
            except (OutsideError, UserError):
                content = None
                found[file.path] = None
            if content is None and file.required:
                found[file.path] = None
    return dict(sorted(found.items()))


def refuse_unbound(site: Site, bound: Bound, services: Collection[str]) -> None:
    """Raise the first fault among `services`, with its place: nothing is started without its values."""
    for name in sorted(services):
        if name in bound.faults:
            with site.errors_here(name):
                raise bound.faults[name]


def record(site: Site, recorder: Recorder, release: str, bound: Bound) -> None:
    """Say which values a Release runs with, by names and keyed digests; once unless they change."""
    if not bound.files:
        return
    stream = release_stream(release)
    stored = site.equipment.log.read(stream=stream, type_name=HostVariablesBound.__name__)
    told = [event for one in stored if isinstance(event := decode(one), HostVariablesBound)]
    before = next((event for event in reversed(told) if event.host == site.host), None)
    if before is None or before.files != bound.files:
        recorder.append(
            stream,
            HostVariablesBound(release=release, host=site.host, files=bound.files, names=bound.names),
        )


def _missing(path: str, why: str) -> OutsideError:
    return OutsideError(
        HOST_ENV_MISSING,
        f"the env file {path} of the host cannot be read",
        where=Where(file=path),
        why=why,
        next=f"make it there: `install -m 600 /dev/null {path}`, then write NAME=value lines into it",
    )
