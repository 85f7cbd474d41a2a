"""What a simulated container answers to a probe, by its `Life`."""

from __future__ import annotations

import shlex

from events.manifest import CommandProbe, HttpProbe, Probe, TcpProbe
from projections.engine.port import ProbeAnswer
from projections.engine.probe_words import (
    NO_NETWORK,
    NOT_RUNNING,
    accepted,
    ended,
    hindered,
    status_answer,
)
from projections.engine.simulated_world import Life, World

_REFUSED = "Connection refused"
_NOT_FOUND = (404, "no such page")


def answer(world: World, container_id: str, probe: Probe, *, now: float) -> ProbeAnswer | None:
    """What comes of a probe at the monotonic time `now`; None when nothing ever does."""
    one = world.containers.get(container_id)
    if one is None:
        return hindered(probe, "the container is gone")
    moment = world.moment(one, now)
    if moment.state != "running":
        return hindered(probe, NOT_RUNNING)
    if isinstance(probe, CommandProbe):
        return _run(one.life, probe)
    if not one.networks or one.networks == ("none",):
        return hindered(probe, NO_NETWORK)
    return _request(one.life, probe, seconds=moment.seconds)


def _run(life: Life, probe: CommandProbe) -> ProbeAnswer | None:
    line = shlex.join(probe.command)
    if line in life.hangs:
        return None
    if line not in life.programs:
        return hindered(probe, f'exec: "{probe.command[0]}": executable file not found in $PATH')
    code, output = life.programs[line]
    return ended(probe, code, output.encode())


def _request(life: Life, probe: HttpProbe | TcpProbe, *, seconds: float) -> ProbeAnswer | None:
    opens = life.listens_after.get(probe.port)
    if opens is None or seconds < opens:
        return hindered(probe, _REFUSED)
    deaf = life.deaf_after is not None and seconds >= life.deaf_after
    if isinstance(probe, TcpProbe):
        return hindered(probe, _REFUSED) if deaf else accepted(probe)
    if deaf or probe.path in life.hangs:
        return None
    status, body = life.pages.get(probe.path, _NOT_FOUND)
    return status_answer(probe, status, body.encode())
