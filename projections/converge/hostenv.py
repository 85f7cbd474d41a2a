"""What the env files of a host say now, for the services that take them.

A service takes such a file by naming it, or by referring to variables of the environment's own file. Of the
first the whole file counts, of the second just the variables it refers to.

A container carries the keyed digest of what it was made with. So a changed value is seen by comparing
two digests, at every look, and is a drift of just the services that take the file; neither the label nor the
event says what the value is. A file that cannot be read is unknown: it is no reason to touch what runs,
and a reason to start nothing.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from events.catalog import decode
from events.catalog.release import HostVariablesBound
from events.hostenv import (
    HostEnvFile,
    combined_digest,
    host_env_files,
    keyed_digest,
    learn_secrets,
    refuse_settings,
    values_of,
    variable_digests,
)
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.redact import REDACT
from events.manifest import HostManifest
from events.recorder import Recorder
from events.references import missing, names_of, texts_of
from events.streams import release_stream
from projections.converge.site import Site
from projections.engine.port import HostFile
from projections.transport.local import read_file
from projections.transport.port import HostFiles

HOST_ENV_MISSING = error_code(
    "host-env-missing", "An env file that a service takes from its host is not there or cannot be read."
)
HOST_VARIABLE_MISSING = error_code(
    "host-variable-missing",
    "The environment's file on a host lacks a variable that a service refers to.",
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
    variables: dict[str, dict[str, str]]  # keyed digests by service and name, of what it refers to
    host_file: HostFile | None  # of the environment, when the document refers to its variables
    names: dict[str, tuple[str, ...]]  # variables by path, sorted
    faults: dict[str, OutsideError | UserError]  # by service


async def bound_on(site: Site, content: HostManifest) -> Bound:
    """What the env files of a site's host say now; what is wrong with one is answered, not raised."""
    read = await fetched(env_paths(content), files=site.files)
    return await asyncio.to_thread(bind, content, key=site.equipment.binding_key, read=read)


def env_paths(content: HostManifest) -> frozenset[str]:
    """The files of a host that its services take."""
    definitions: Mapping[str, Mapping[str, Any]] = content.compose.get("services", {})
    found = {file.path for definition in definitions.values() for file in host_env_files(definition)}
    return frozenset(found if content.env_file is None else {*found, content.env_file})


async def fetched(paths: Collection[str], *, files: HostFiles) -> ReadHostFile:
    """These files of a host as they are now.

    Whoever reads one from the answer gets None when there is none, or OutsideError `host-env-missing`.
    """
    contents: dict[str, bytes | OutsideError | None] = {}
    for path in sorted(paths):
        try:
            contents[path] = await files.read(PurePosixPath(path), most=MAX_BYTES)
        except OSError as error:
            contents[path] = _unreadable(path, error)

    def read(path: str) -> bytes | None:
        found = contents[path]
        if isinstance(found, OutsideError):
            raise found
        return found

    return read


def read_local(path: str) -> bytes | None:
    """A file of this machine, None when there is none. Blocking. Raises OutsideError `host-env-missing`."""
    try:
        return read_file(Path(path), most=MAX_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error


def bind(content: HostManifest, *, key: bytes, read: ReadHostFile) -> Bound:
    """The env files of all services; takes a while. What is wrong is answered, not raised."""
    path = content.env_file
    environment = None if path is None else _read_environment(HostEnvFile(path=path), read=read)
    bound = Bound(
        services={},
        files={},
        names={},
        faults={},
        variables={},
        host_file=None if environment is None else environment.file,
    )
    definitions: Mapping[str, Mapping[str, Any]] = content.compose.get("services", {})
    for name, definition in sorted(definitions.items()):
        files = host_env_files(definition)
        names = () if environment is None else names_of(definition)
        if not files and not names:
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
            taken = environment.taken_by(definition, key) if environment is not None and names else None
        except (OutsideError, UserError) as error:
            bound.faults[name] = error
            continue
        of_files = keyed_digest(contents, key) if files else None
        if environment is None or taken is None:
            bound.services[name] = of_files or ""
            continue
        bound.services[name] = combined_digest(of_files, taken, key)
        bound.variables[name] = taken
        before = bound.names.get(environment.file.path, ())
        bound.names[environment.file.path] = tuple(sorted({*before, *taken}))
    return bound


@dataclass(frozen=True, slots=True, kw_only=True)
class _Environment:
    """The environment's file of variables on one host, as it was read."""

    file: HostFile
    values: Mapping[str, str]
    fault: OutsideError | UserError | None  # why it cannot be used

    def taken_by(self, definition: Mapping[str, Any], key: bytes) -> dict[str, str]:
        """The keyed digests of what a service refers to and the file has, by name.

        Raises what is wrong with the file and OutsideError `host-variable-missing`.
        """
        if self.fault is not None:
            raise self.fault
        lacking = lacking_names(definition, self.values)
        if lacking:
            raise _lacking(self.file.path, lacking)
        return variable_digests(self.values, names_of(definition), path=self.file.path, key=key)


def lacking_names(definition: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
    """The variables that a service cannot do without and that a file does not have, sorted."""
    return sorted({name for text in texts_of(dict(definition)) for name in missing(text, values)})


def environment_values(file: HostEnvFile, *, read: ReadHostFile) -> dict[str, str] | None:
    """The variables of an environment's file; None when it cannot be used."""
    found = _read_environment(file, read=read)
    return dict(found.values) if found.fault is None else None


def _read_environment(file: HostEnvFile, *, read: ReadHostFile) -> _Environment:
    """The file, read and checked; what is wrong with it is kept, not raised."""
    try:
        content = read(file.path)
        if content is None:
            raise _missing(file.path, "there is no such file")
        values = values_of(content, file)
        refuse_settings(values, file)
    except (OutsideError, UserError) as error:
        return _Environment(file=HostFile(path=file.path, content=None), values={}, fault=error)
    learn_secrets(values, REDACT)
    return _Environment(file=HostFile(path=file.path, content=content), values=values, fault=None)


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
    definitions: Mapping[str, Mapping[str, Any]], *, read: ReadHostFile
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
    if not (bound.files or bound.variables):
        return
    stream = release_stream(release)
    stored = site.equipment.log.read(stream=stream, type_name=HostVariablesBound.__name__)
    told = [event for one in stored if isinstance(event := decode(one), HostVariablesBound)]
    before = next((event for event in reversed(told) if event.host == site.host), None)
    said = None if before is None else (before.files, before.variables)
    if said != (bound.files, bound.variables):
        recorder.append(
            stream,
            HostVariablesBound(
                release=release,
                host=site.host,
                files=bound.files,
                names=bound.names,
                variables=bound.variables,
            ),
        )


def _lacking(path: str, names: Sequence[str]) -> OutsideError:
    listed = ", ".join(names)
    return OutsideError(
        HOST_VARIABLE_MISSING,
        f"{path} of the host does not have {listed}",
        where=Where(file=path),
        why="the Compose files refer to it and give no default",
        next=f"add it there on a line of its own: `{names[0]}=...`; the next pass, or deploy, takes it up",
    )


def _unreadable(path: str, error: OSError) -> OutsideError:
    ours = error.errno in {errno.EINVAL, errno.EFBIG}  # of those the path need not be said again
    return _missing(path, error.strerror or str(error) if ours else str(error))


def _missing(path: str, why: str) -> OutsideError:
    return OutsideError(
        HOST_ENV_MISSING,
        f"the env file {path} of the host cannot be read",
        where=Where(file=path),
        why=why,
        next=f"make it there: `install -m 600 /dev/null {path}`, then write NAME=value lines into it",
    )
