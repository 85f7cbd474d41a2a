"""Binding a host's name to the machine and engine that answer now, on the record.

A name is bound at its first use, and another machine behind it counts as unknown, because "create what is
missing" would be wrong there. When a machine or its engine was set up anew, that is exactly what is wanted:
a person says so here, and the next look makes everything anew. Nothing is asked of a host but who it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.catalog.host import HostRebound
from events.kernel.errors import UserError, error_code
from events.streams import host_stream
from projections.converge.hosts import binding

if TYPE_CHECKING:
    from controller.context import Context
    from events.envelope import Actor
    from projections.engine.port import Engine, EngineIdentity

HOST_NAME_UNKNOWN = error_code("host-name-unknown", "No host of that name is known.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebinding:
    """Who answers, and whether that is news; `change` is what would be recorded."""

    identity: EngineIdentity
    version: int  # of the host's stream
    change: HostRebound | None  # None: the name is not bound yet, or to exactly this


async def consider_rebinding(context: Context, host: str, *, reason: str) -> Rebinding:
    """What rebinding `host` would record.

    Raises UserError `host-name-unknown` and OutsideError `engine-unreachable`.
    """
    identity = await _engine(context.converger.engines, host).identity()
    stored = context.log.read_stream(host_stream(host))
    bound = binding(stored)
    version = stored[-1].version if stored else 0
    if bound is None or (bound.machine, bound.engine) == (identity.machine, identity.engine):
        return Rebinding(identity=identity, version=version, change=None)
    change = HostRebound(
        host=host,
        machine=identity.machine,
        engine=identity.engine,
        former_machine=bound.machine,
        former_engine=bound.engine,
        reason=reason,
    )
    return Rebinding(identity=identity, version=version, change=change)


def rebind(context: Context, host: str, *, rebinding: Rebinding, actor: Actor) -> None:
    """Record it. Raises OutsideError `version-conflict` when the host's stream has moved on meanwhile."""
    if rebinding.change is not None:
        context.recorder(actor).append(host_stream(host), rebinding.change, expected=rebinding.version)


def _engine(engines: Mapping[str, Engine], host: str) -> Engine:
    if host not in engines:
        raise UserError(
            HOST_NAME_UNKNOWN,
            f"unknown host {host!r}",
            why=f"known hosts: {', '.join(sorted(engines))}",
            next=f"stagecraft hosts rebind {min(engines, default='local')} --reason TEXT",
        )
    return engines[host]
