"""The ends of a container that no further waiting changes."""

from __future__ import annotations

from typing import NamedTuple

from projections.converge.failures import (
    CONTAINER_EXITED,
    CONTAINER_GONE,
    CONTAINER_NOT_STARTED,
    CONTAINER_OUT_OF_MEMORY,
    CONTAINER_RESTARTING,
    CONTAINER_UNHEALTHY,
)
from projections.engine.port import ContainerDetail

_ENDED = frozenset({"exited", "dead", "removing"})


class Found(NamedTuple):
    """An end of a watch that is a failure."""

    code: str
    message: str
    why: str = ""  # the last answer, the line


def terminal(detail: ContainerDetail | None, *, restarts: int) -> Found | None:
    """The code and the sentence of an end that no further waiting changes; the first that applies.

    `restarts` had been counted before.
    """
    if detail is None:
        return Found(CONTAINER_GONE, "the container was removed while it was waited for")
    state, code = detail.container.state, detail.exit_code
    ended, restarted = state in _ENDED, state == "restarting" or detail.restart_count > restarts
    sick = detail.health_check and detail.container.health == "unhealthy"
    ends = (
        (
            detail.oom_killed and (ended or restarted),
            Found(CONTAINER_OUT_OF_MEMORY, "the container used more memory than it may and was killed"),
        ),
        (
            bool(detail.error) and (ended or state == "created"),
            Found(CONTAINER_NOT_STARTED, "the engine could not start the container"),
        ),
        (ended, Found(CONTAINER_EXITED, f"the container ended with exit code {code}")),
        (
            restarted,
            Found(CONTAINER_RESTARTING, f"the container ended with exit code {code} and was restarted"),
        ),
        (sick, Found(CONTAINER_UNHEALTHY, "the health check failed until the engine gave up")),
    )
    return next((found for applies, found in ends if applies), None)
