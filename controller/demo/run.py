"""One demo from beginning to end: make everything, play the story, take everything away.

What a user has to mend (no git, no programs, an engine elsewhere, a home in use) is found before anything is
made. From the record on, whatever happens ends in `tear_down`: the end, an interrupt, a failure. `--keep`
leaves everything after the story, and after an expectation that failed, because then somebody wants to look.
"""

from __future__ import annotations

import asyncio
import platform
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.bootstrap import open_engine
from controller.demo.hands import git
from controller.demo.images import image_archive, programs
from controller.demo.interrupts import Interrupts
from controller.demo.place import Place, find_place, new_place
from controller.demo.shop import Shop
from controller.demo.stage import DEMO_EXPECTATION_FAILED, Screen, Stage
from controller.demo.story import play
from controller.demo.teardown import tear_down
from events.kernel.errors import InternalError, UserError, error_code
from projections.engine.address import EngineAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.home import Home

DEMO_ENGINE_ELSEWHERE = error_code(
    "demo-engine-elsewhere", "The demo needs a Docker engine on this machine and DOCKER_HOST names another."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What a demo is started with."""

    home: Home
    token: str  # makes its names unlike those of any other demo
    keep: bool
    verbose: bool  # every line of the controller is shown
    command: Path  # the installed `stagecraft`
    environ: Mapping[str, str]
    screen: Screen
    removed: Callable[[str], None]  # told what was taken away, piece by piece
    ending: Callable[[], None]  # told that taking away begins

    def run(self) -> Place:
        """Play it. Raises errors of the tree, KeyboardInterrupt, and SystemExit after SIGTERM."""
        interrupts = Interrupts()
        with interrupts.heard():
            _require_local_engine(self.home)
            installed = programs()
            git("--version", cwd=Path.cwd())
            shop = Shop(project=f"shop-{self.token}", port=_free_port())
            place: Place | None = None
            kept = False
            try:
                with interrupts.later():
                    place = new_place(self.home, shop)
                self._perform(place, installed, interrupts)
                kept = self.keep
            except InternalError as error:
                if place is not None and self.keep and error.code == DEMO_EXPECTATION_FAILED:
                    kept = True
                    error.next = (
                        f"read {place.controller_log}, then: stagecraft demo down --home {self.home.root}"
                    )
                raise
            else:
                return place
            finally:
                interrupts.never()
                if place is not None and not kept:
                    self.ending()
                    tear_down(find_place(self.home), say=self.removed)

    def _perform(self, place: Place, installed: Mapping[str, Path], interrupts: Interrupts) -> None:
        with ExitStack() as opened:
            stage = Stage(
                place=place,
                screen=self.screen,
                command=self.command,
                environ=self.environ,
                stays=self.keep,
                verbose=self.verbose,
                interrupts=interrupts,
                opened=opened,
            )
            self._set_up(stage, installed)
            play(stage)

    def _set_up(self, stage: Stage, installed: Mapping[str, Path]) -> None:
        place, screen = stage.place, self.screen
        screen.act("Setting up")
        screen.note("Six images, made from the programs of two wheels; nothing is pulled.")
        with stage.interrupts.later():  # a thread would go on loading while everything is taken away
            asyncio.run(_load(place, installed))
        screen.note(f"A home for Stagecraft and a bare repository in {place.home.root}")
        git("init", "--quiet", "--bare", "--initial-branch=main", str(place.origin), cwd=place.folder)
        git("clone", "--quiet", str(place.origin), str(place.work), cwd=place.folder)
        for key, value in _TEAM.items():
            git("config", key, value, cwd=place.work)
        screen.command(f"export STAGECRAFT_HOME={place.home.root}")


_TEAM = {
    "user.name": "The shop's team",
    "user.email": "team@shop.example",
    "commit.gpgsign": "false",
    "push.default": "current",
}


def _require_local_engine(home: Home) -> None:
    """Raises UserError `demo-engine-elsewhere`, and OutsideError when the engine does not answer."""
    address = EngineAddress.chosen(None)
    if not address.local:
        raise UserError(
            DEMO_ENGINE_ELSEWHERE,
            "the demo needs a Docker engine on this machine",
            why=f"DOCKER_HOST is {address.url}, and the demo's URL is on this machine's loopback",
            next="unset DOCKER_HOST, or set it to a unix:// socket",
        )
    asyncio.run(_knock(home))


async def _knock(home: Home) -> None:
    with open_engine(home) as engine:
        await engine.identity()


async def _load(place: Place, installed: Mapping[str, Path]) -> None:
    with open_engine(place.home) as engine:
        await engine.stock.load(image_archive(place.shop.project, installed, machine=platform.machine()))


def _free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
