"""A daemon that watches one environment with 50 services: what it takes while nothing happens."""

from __future__ import annotations

from tests.benchmarks.figures import Figure
from tests.benchmarks.resting import idle
from tests.benchmarks.stage import Stage
from tests.support.daemons import running_daemon

SERVICES = 50


def measure(stage: Stage) -> list[Figure]:
    """All of them one container each, of one image."""
    count = stage.count(full=SERVICES, quick=3)
    image = stage.images.web("v0")
    services = "".join(
        f"  web{number:02}: {{image: '{image}', stop_grace_period: 1s}}\n" for number in range(count)
    )
    with stage.place("crowd") as place:
        place.commit(f"services:\n{services}", environments="  prod: {gate: {settle: 300ms}}\n")
        with running_daemon(place.cli, "--repo", place.repository.origin) as daemon:
            daemon.says("completed after", seconds=300)
            figures = idle(stage, daemon, f"{count} services")
            assert daemon.end() == 0
    return figures
