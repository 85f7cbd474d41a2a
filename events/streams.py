"""The names of streams, made and read in one place.

    environment/<project>/<name>   decisions about one environment and the verdicts of its Releases
    release/<id>                   what one Release did on the way
    repository/<slug>              what a watched repository showed
    host/<name>                    what became of a host
    tenant/<project>/<slug>        the life of a tenant
    log                            the log about itself

An environment's stream is the only consistency boundary of a deploy decision: whoever decides reads it to
its end and appends with the version it has read.
"""

from __future__ import annotations

from typing import NewType

StreamName = NewType("StreamName", str)

LOG_STREAM = StreamName("log")
LOCAL_HOST = "local"
"""The host that is the engine of this machine itself."""


def environment_stream(project: str, name: str) -> StreamName:
    """The stream of the environment `<project>/<name>`."""
    return StreamName(f"environment/{project}/{name}")


def release_stream(release: str) -> StreamName:
    """The stream of one Release, by its id."""
    return StreamName(f"release/{release}")


def repository_stream(slug: str) -> StreamName:
    """The stream of a watched repository, by its slug."""
    return StreamName(f"repository/{slug}")


def host_stream(name: str) -> StreamName:
    """The stream of a host, by its name."""
    return StreamName(f"host/{name}")


def tenant_stream(project: str, slug: str) -> StreamName:
    """The stream of a tenant."""
    return StreamName(f"tenant/{project}/{slug}")


def kind_of(stream: StreamName) -> str:
    """What a stream is about: the word before its first slash."""
    return stream.partition("/")[0]


def split_repository(stream: str) -> str:
    """The slug of a repository's stream."""
    return stream.partition("/")[2]


def split_environment(stream: str) -> tuple[str, str] | None:
    """`(project, name)` of an environment's stream, None for any other stream."""
    kind, _, rest = stream.partition("/")
    project, _, name = rest.partition("/")
    return (project, name) if kind == "environment" and project and name else None
