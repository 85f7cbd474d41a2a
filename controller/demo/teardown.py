"""Taking a demo away: the controller, then everything in the engine, then the folder.

In this order, because a controller that still runs would heal what is removed, and because the record in the
folder is what another try needs: nothing of it goes before the engine holds nothing any more. The named
volumes go too; the record says so and why. What is found by the demo's own names is all that is touched.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from controller.bootstrap import open_engine
from controller.demo.images import LABEL
from controller.holders import lives, signal_process
from events import labels
from events.kernel.errors import OutsideError, error_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.demo.place import Place
    from controller.holders import Identity
    from projections.engine.docker import DockerEngine

DEMO_CONTROLLER_STAYS = error_code("demo-controller-stays", "The demo's controller could not be ended.")

# A second SIGTERM ends a controller at once; what it had under way is removed with the rest.
_SIGNALS = ((signal.SIGTERM, 2.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0))
_POLL_SECONDS = 0.02
_PASSES = 5  # a Compose process that dies with the controller may have made one more container


def tear_down(place: Place, *, say: Callable[[str], None]) -> None:
    """Remove everything. Raises OutsideError; then what is left is still on record."""
    if place.controller is not None:
        end_controller(place.controller)
        say(f"controller, process {place.controller.pid}")
    try:
        asyncio.run(_empty_engine(place, say))
    except OutsideError as error:
        error.next = f"{error.next}; then: stagecraft demo down --home {place.home.root}"
        raise
    place.clear()
    say(f"folder {place.home.root}" if place.made_home else f"everything in {place.home.root}")


def end_controller(identity: Identity) -> None:
    """End this very process and wait for it. Raises OutsideError `demo-controller-stays`."""
    try:
        for number, seconds in _SIGNALS:
            signal_process(identity, number)
            deadline = time.monotonic() + seconds
            while lives(identity) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        if not lives(identity):
            return
        why = "it was killed and is still there"
    except PermissionError as error:
        why = str(error)
    raise OutsideError(
        DEMO_CONTROLLER_STAYS,
        f"the demo's controller, process {identity.pid}, could not be ended",
        why=why,
        next="run `stagecraft demo down` as the user who started the demo",
    )


async def _empty_engine(place: Place, say: Callable[[str], None]) -> None:
    with open_engine(place.home) as engine:
        containers = await _remove_containers(engine, place)
        stock, project = engine.stock, place.shop.compose_project
        networks = await stock.networks(project)
        for network in networks:
            await stock.remove_network(network)
        volumes = await stock.volumes(project)
        for volume in volumes:
            await stock.remove_volume(volume)
        images = await stock.images(f"{LABEL}={place.shop.project}")
        for image in images:
            await stock.remove_image(image)
    found = {"container": containers, "network": len(networks), "volume": len(volumes), "image": len(images)}
    parts = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in found.items() if count]
    if parts:
        say(f"{', '.join(parts)} of {project}")


async def _remove_containers(engine: DockerEngine, place: Place) -> int:
    """Remove the project's containers until there is none; answers how many there were."""
    removed: set[str] = set()
    for _ in range(_PASSES):
        found = [
            one
            for one in await engine.containers(place.shop.compose_project)
            if one.labels.get(labels.PROJECT) == place.shop.project
        ]
        if not found:
            break
        for container in found:
            await engine.remove(container.id)
        removed |= {one.id for one in found}
    return len(removed)
