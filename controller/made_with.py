"""Which services would be replaced because an env file of the host says something else than it did then.

A container carries a keyed digest of what it takes, and the log has the same knowledge: each Release records
the digests it runs with before it makes containers, and each container that is made. So what a deploy will
find is told from the log and the files alone, without an engine. A file that cannot be read now is no
reason, as it is none for a converger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.bootstrap import LOCAL_HOST
from events.catalog import decode
from events.catalog.release import HostVariablesBound
from events.catalog.service import ServiceReplaced
from events.hostenv import host_env_files
from events.references import names_of
from events.streams import release_stream
from projections.converge.hostenv import bind, read_local

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from events.log import EventLog
    from events.manifest import HostManifest, Manifest
    from projections.converge.hostenv import Bound


def stale_services(
    log: EventLog, wanted: Manifest, *, releases: Collection[str], key: bytes
) -> dict[str, dict[str, tuple[str, ...]]]:
    """`{host: {service: what changed, in words}}` of this machine; `releases` are those of the environment.

    Blocking: reads the files. Without a `key` no container was ever made with such a file.
    """
    content = wanted.hosts.get(LOCAL_HOST)
    if content is None or not key:
        return {}
    definitions: Mapping[str, dict[str, object]] = content.compose["services"]
    paths = {
        name: frozenset(file.path for file in host_env_files(definitions[name])) for name in content.services
    }
    takers = {
        name: files
        for name, files in paths.items()
        if files or (content.env_file is not None and names_of(definitions[name]))
    }
    if not takers:
        return {}
    bound = bind(content, key=key, read=read_local)
    made = _made_with(log, takers, releases=releases)
    stale = {
        name: tuple(_changes(content, name, then=made[name], now=bound, files=files))
        for name, files in takers.items()
        if name in made and name in bound.services
    }
    return {LOCAL_HOST: {name: words for name, words in stale.items() if words}}


def _changes(
    content: HostManifest, service: str, *, then: HostVariablesBound, now: Bound, files: Collection[str]
) -> Iterable[str]:
    """What of the host's files is not as it was, without what it says."""
    for path in sorted(files):
        if then.files.get(path) != now.files.get(path):
            yield f"env file {path} of the host changed"
    old, new = then.variables.get(service, {}), now.variables.get(service, {})
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name} in {content.env_file} of the host changed"


def _made_with(
    log: EventLog, paths: Mapping[str, Collection[str]], *, releases: Collection[str]
) -> dict[str, HostVariablesBound]:
    """What was bound when the newest containers of each service were made."""
    streams = {release_stream(release) for release in releases}
    stored = [
        one
        for kind in (HostVariablesBound, ServiceReplaced)
        for one in log.read(type_name=kind.__name__)
        if one.stream in streams
    ]
    bound: dict[str, HostVariablesBound] = {}  # by stream: a Release makes containers with what it bound last
    made: dict[str, HostVariablesBound] = {}
    for one in sorted(stored, key=lambda one: one.position):
        event = decode(one)
        if isinstance(event, HostVariablesBound) and event.host == LOCAL_HOST:
            bound[one.stream] = event
        elif isinstance(event, ServiceReplaced) and event.host == LOCAL_HOST and event.new_ids:
            then = bound.get(one.stream)
            if then is not None and set(paths.get(event.service, ("",))) <= then.files.keys():
                made[event.service] = then
    return made
