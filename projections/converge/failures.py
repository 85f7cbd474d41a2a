"""From errors and evidence to the `Failure` that events carry.

Two kinds of failure meet here. An error of the tree has a class, and the class says who can mend it. A
container that did not do its part has evidence (exit code, last health output, last lines of its log), and
that is the repository's business: the image, the command or the check came from there. What is only the
host's business, a port that is taken or an engine out of space, is told by the engine's sentence.
"""

from __future__ import annotations

import re

from events.catalog import Failure
from events.kernel.errors import OutsideError, StagecraftError, UserError, Where, error_code
from events.log import APPEND_ID_REUSED, LOG_TOO_NEW, LOG_UNAVAILABLE, VERSION_CONFLICT
from events.tokens import LOCK_LOST
from projections.converge.fence import FENCED_OFF
from projections.engine.errors import ENGINE_UNREACHABLE, shown
from projections.engine.port import ContainerDetail, Engine
from projections.transport.port import HOST_SILENT

CONTAINER_EXITED = error_code("container-exited", "A container of a service ended although it should run on.")
CONTAINER_RESTARTING = error_code(
    "container-restarting", "A container ends and is restarted again and again."
)
CONTAINER_UNHEALTHY = error_code(
    "container-unhealthy", "A container's own health check says it is unhealthy."
)
CONTAINER_NOT_HEALTHY = error_code(
    "container-not-healthy-in-time",
    "A container did not turn healthy, pass its probes or stay up before its deadline.",
)
PROBES_FAILED = error_code(
    "probes-failed", "A container that had passed the probes of its gate failed them while it was watched."
)
LOG_NOT_SILENT = error_code(
    "log-not-silent", "A container that was watched wrote a line to its log that its gate does not allow."
)
CONTAINER_OUT_OF_MEMORY = error_code(
    "container-out-of-memory", "The kernel ended a container that used more memory than it may."
)
CONTAINER_NOT_STARTED = error_code(
    "container-not-started", "The engine made a container and could not start it."
)
CONTAINER_GONE = error_code("container-gone", "A container was removed while it was waited for.")
JOB_FAILED = error_code("job-failed", "A one-shot service did not end with exit code 0.")
JOB_TIMED_OUT = error_code(
    "job-timed-out", "A one-shot service did not end before its deadline and was stopped."
)
PORT_TAKEN = error_code("port-taken", "A port that a service publishes is held by somebody else.")
HOST_IS_ANOTHER_MACHINE = error_code(
    "host-is-another-machine",
    "A host's name is bound to another machine or engine than the one that answers.",
)

LOG_LINES = 20
_LINE_LIMIT = 500  # characters of one log line
_HEALTH_LIMIT = 1000  # characters of a health check's output
_ENDED_WELL_NEXT = (
    "if it is meant to end, say so in stagecraft.yml: `services.{service}.job: {{}}`; "
    "if not, mend its command and push"
)
_EVIDENCE_NEXT = "mend it in the repository and push; the container's last lines stand above"

HOST_UNKNOWN = frozenset({ENGINE_UNREACHABLE, HOST_IS_ANOTHER_MACHINE}) | HOST_SILENT
"""With these, what runs is unknown: nothing is decided, undone or pruned."""

TAKEN_OVER = frozenset({LOCK_LOST, FENCED_OFF})
"""With these somebody else works on the environment, and the verdict is theirs."""

FATAL = HOST_UNKNOWN | TAKEN_OVER | {LOG_UNAVAILABLE, LOG_TOO_NEW, VERSION_CONFLICT, APPEND_ID_REUSED}
"""With these no verdict is given: the host is unknown, or the verdict is not ours or cannot be recorded."""

_PORT_TAKEN = re.compile(
    r"port is already allocated|address already in use|ports are not available", re.IGNORECASE
)
_BAD_START = re.compile(
    r"OCI runtime|executable file not found|no such file or directory|permission denied|exec format error"
    r"|unable to start container process|not a directory",
    re.IGNORECASE,
)


class ServiceFailedError(UserError):
    """A container did not do what its service asks; `failure` carries the evidence."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(
            failure.code,
            failure.message,
            where=Where(host=failure.host, service=failure.service),
            why=failure.why or failure.health_output or "\n".join(failure.log_tail[-1:]),
            next=failure.next,
        )
        self.failure = failure


def failure_of(error: StagecraftError) -> Failure:
    """The record of an error, with the evidence when it has any."""
    return error.failure if isinstance(error, ServiceFailedError) else Failure.from_error(error)


def failed_container(
    code: str,
    message: str,
    *,
    host: str,
    service: str,
    detail: ContainerDetail | None,
    log_tail: tuple[str, ...] = (),
    why: str = "",
) -> Failure:
    """The record of a container that failed, with all that an inspection told.

    `why` stands in for the engine's own words, which it has none of in that case.
    """
    ended = detail is not None and detail.container.state in {"exited", "dead", "restarting"}
    ended_well = code == CONTAINER_EXITED and detail is not None and detail.exit_code == 0
    return Failure(
        code=code,
        message=message,
        cause="repository",
        host=host,
        service=service,
        why=shown(why or ("" if detail is None else detail.error)),
        next=_ENDED_WELL_NEXT.format(service=service) if ended_well else _EVIDENCE_NEXT,
        container=None if detail is None else detail.container.id,
        exit_code=detail.exit_code if detail is not None and ended else None,
        health_output=shown(detail.health_output, limit=_HEALTH_LIMIT) if detail is not None else "",
        log_tail=log_tail,
    )


async def last_lines(engine: Engine, container_id: str) -> tuple[str, ...]:
    """The last lines of a container's log, masked and bounded."""
    return tuple(shown(line, limit=_LINE_LIMIT) for line in await engine.logs(container_id, tail=LOG_LINES))


def port_taken(where: Where, *, why: str) -> OutsideError:
    """The error for a port that was found taken when the container was to be started."""
    return OutsideError(
        PORT_TAKEN,
        "a port that the service publishes is taken",
        where=where,
        why=why,
        next="find its holder with `ss -ltnp`, or publish another port",
    )


def told_by_engine(error: OutsideError, *, host: str, services: tuple[str, ...]) -> StagecraftError:
    """What did not start, told apart by the engine's words: a port, a bad command, or left as it was.

    The last resort, where no container shows what it was: neither the engine nor Compose, which runs in the
    plain locale, has these words in another language, but another version may have other ones.
    """
    where = Where(host=host, service=services[0] if len(services) == 1 else None)
    if _PORT_TAKEN.search(error.why):
        return port_taken(where, why=error.why)
    if _BAD_START.search(error.why):
        return UserError(
            CONTAINER_NOT_STARTED,
            "the engine could not start a container",
            where=where,
            why=error.why,
            next="check the command, the entrypoint and the mounts of the service",
        )
    return error
