"""Where one demo lives, and the record by which all of it is found again.

The record is written before anything is made and names the project, so that a demo that was killed can be
removed like any other. A demo lives in a home of its own: it refuses one in which anything stands, because
it removes its home at the end. The project's name has a random part; so the names of its containers,
networks, volumes and images are nobody else's, and whatever carries them is the demo's.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from controller.demo.shop import Shop
from controller.holders import Identity
from controller.home import HOME_UNUSABLE, Home
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.files import write_atomically

DEMO_EXISTS = error_code("demo-exists", "A demo lives in this home already.")
DEMO_HOME_IN_USE = error_code(
    "demo-home-in-use", "The demo needs a home of its own and this one has something in it."
)
DEMO_NOT_FOUND = error_code("demo-not-found", "No demo lives in this home.")

_WHY_REMOVED = "the demo made them for itself; `stagecraft demo` says so before it starts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One demo's home, its folder in there, and what it is called."""

    home: Home
    shop: Shop
    made_home: bool  # the home did not exist before
    controller: Identity | None = None  # the process that was started, once there is one

    @property
    def folder(self) -> Path:
        """What the demo adds to a home."""
        return _folder(self.home)

    @property
    def origin(self) -> Path:
        """The bare repository that the controller watches."""
        return self.folder / "shop.git"

    @property
    def work(self) -> Path:
        """The team's clone."""
        return self.folder / "shop"

    @property
    def controller_log(self) -> Path:
        """What the controller says."""
        return self.folder / "controller.log"

    def with_controller(self, identity: Identity) -> Place:
        """This place with its controller on record."""
        place = replace(self, controller=identity)
        place.write()
        return place

    def write(self) -> None:
        """Write the record. Raises OutsideError `home-unusable`."""
        record = {
            "project": self.shop.project,
            "port": self.shop.port,
            "made_home": self.made_home,
            "controller": None if self.controller is None else asdict(self.controller),
            "removes": {
                "compose_project": self.shop.compose_project,
                "with_named_volumes": True,
                "reason": _WHY_REMOVED,
            },
        }
        try:
            write_atomically(_record(self.home), json.dumps(record, indent=2).encode() + b"\n")
        except OSError as error:
            raise _unusable(self.home, error) from error

    def clear(self) -> None:
        """Remove the home, or what stands in it when it was there before. Raises OutsideError."""
        try:
            if self.made_home:
                shutil.rmtree(self.home.root)
                return
            for path in self.home.root.iterdir():
                if path != self.folder:
                    _remove(path)
            _remove(self.folder)  # with the record: until here another try finds everything
        except OSError as error:
            raise _unusable(self.home, error) from error


def new_place(home: Home, shop: Shop) -> Place:
    """A place in an empty home, on record.

    Raises UserError `demo-exists` and `demo-home-in-use`, OutsideError `home-unusable`.
    """
    made_home = not home.root.exists()
    if _record(home).exists():
        raise UserError(
            DEMO_EXISTS,
            f"a demo lives in {home.root} already",
            next=f"stagecraft demo down --home {home.root}",
        )
    if not made_home and (not home.root.is_dir() or any(home.root.iterdir())):
        raise UserError(
            DEMO_HOME_IN_USE,
            f"the demo needs a home of its own, and there is something in {home.root}",
            why="it removes its home at the end",
            next="stagecraft demo --keep --home NEW-FOLDER",
        )
    home.create()
    place = Place(home=home, shop=shop, made_home=made_home)
    try:
        place.folder.mkdir()  # of two demos that start at once in one home, one makes it
    except FileExistsError as error:
        raise UserError(DEMO_EXISTS, f"a demo starts in {home.root} at this moment") from error
    except OSError as error:
        raise _unusable(home, error) from error
    try:
        place.write()
    except OutsideError:
        place.clear()
        raise
    return place


def find_place(home: Home) -> Place:
    """The demo of a home. Raises UserError `demo-not-found`."""
    try:
        record: dict[str, Any] = json.loads(_record(home).read_bytes())
        process = record["controller"]
        return Place(
            home=home,
            shop=Shop(project=record["project"], port=record["port"]),
            made_home=record["made_home"],
            controller=None if process is None else Identity(**process),
        )
    except FileNotFoundError as error:
        raise UserError(
            DEMO_NOT_FOUND,
            f"no demo lives in {home.root}",
            next="name its home: stagecraft demo down --home DIR",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutsideError(
            HOME_UNUSABLE,
            f"the demo's record in {home.root} cannot be read",
            where=Where(file=str(_record(home))),
            why=f"{type(error).__name__}: {error}",
        ) from error


def _folder(home: Home) -> Path:
    return home.root / "demo"


def _record(home: Home) -> Path:
    return _folder(home) / "record.json"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _unusable(home: Home, error: OSError) -> OutsideError:
    return OutsideError(
        HOME_UNUSABLE, f"cannot use {home.root}", why=str(error), next="name another with --home DIR"
    )
