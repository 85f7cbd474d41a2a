"""The names of the variables that a render takes from env files of this machine, for who looks at a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.bootstrap import LOCAL_HOST
from projections.converge.hostenv import variable_names

if TYPE_CHECKING:
    from gitops.manifest import Draft


def host_names(made: Draft) -> dict[str, tuple[str, ...] | None]:
    """Names by path; None for a file that is not there or cannot be used. Values are read and dropped."""
    local = made.hosts.get(LOCAL_HOST)
    return {} if local is None else variable_names(local.document["services"])
