"""Which services would be replaced because an env file of the host says something else than it did then.

A container carries a keyed digest of its files, and the log has the same knowledge: each Release records the
digests it runs with before it makes containers, and each container that is made. So what a deploy will find
is told from the log and the files alone, without an engine. A file that cannot be read now is no reason, as
it is none for a converger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.bootstrap import LOCAL_HOST
from events.catalog import decode
from events.catalog.release import HostVariablesBound
from events.catalog.service import ServiceReplaced
from events.hostenv import host_env_files
from events.streams import release_stream
from projections.converge.hostenv import bind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from events.log import EventLog
    from events.manifest import Manifest


def stale_services(
    log: EventLog, wanted: Manifest, *, releases: Collection[str], key: bytes
) -> dict[str, dict[str, tuple[str, ...]]]:
    """`{host: {service: changed files}}` of this machine; `releases` are those of the environment.

    Blocking: reads the files. Without a `key` no container was ever made with such a file.
    """
    content = wanted.hosts.get(LOCAL_HOST)
    if content is None or not key:
        return {}
    definitions: Mapping[str, dict[str, object]] = content.compose["services"]
    paths = {
        name: frozenset(file.path for file in host_env_files(definitions[name])) for name in content.services
    }
    paths = {name: files for name, files in paths.items() if files}
    if not paths:
        return {}
    bound = bind(content, key=key)
    made = _made_with(log, paths, releases=releases)
    stale = {
        name: tuple(sorted(path for path in files if made[name].get(path) != bound.files.get(path)))
        for name, files in paths.items()
        if name in made and name in bound.services
    }
    return {LOCAL_HOST: {name: files for name, files in stale.items() if files}}


def _made_with(
    log: EventLog, paths: Mapping[str, Collection[str]], *, releases: Collection[str]
) -> dict[str, Mapping[str, str]]:
    """The digests, by path, that the newest containers of each service were made with."""
    streams = {release_stream(release) for release in releases}
    stored = [
        one
        for kind in (HostVariablesBound, ServiceReplaced)
        for one in log.read(type_name=kind.__name__)
        if one.stream in streams
    ]
    bound: dict[str, Mapping[str, str]] = {}  # by stream: a Release makes containers with what it bound last
    made: dict[str, Mapping[str, str]] = {}
    for one in sorted(stored, key=lambda one: one.position):
        event = decode(one)
        if isinstance(event, HostVariablesBound) and event.host == LOCAL_HOST:
            bound[one.stream] = event.files
        elif isinstance(event, ServiceReplaced) and event.host == LOCAL_HOST and event.new_ids:
            files = bound.get(one.stream, {})
            if set(paths.get(event.service, ("",))) <= files.keys():
                made[event.service] = files
    return made
