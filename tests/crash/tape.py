"""The points at which a process can be killed: before and after each append and each engine call.

Nothing is listed by hand. The log and the engine are wrapped as a whole: whatever is appended and whatever
call of the port is made goes on the tape, so a new append or call has its points from the day it is written.
A clean run records the tape; a run with `kill_at` ends itself there with SIGKILL, in the middle of whatever
it does, with its transactions open and its lock held.
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID

from typing_extensions import override

from events.envelope import StoredEvent
from events.log import StreamAppend
from events.reserve import Reserve
from events.sqlite import SqliteEventLog
from projections.engine.port import Engine
from projections.engine.stock_port import Stock
from projections.engine.watch_port import EngineWatch

LOOKING = frozenset(
    {
        "identity",
        "containers",
        "inspect",
        "makeup",
        "image",
        "image_defaults",
        "registry_digest",
        "logs",
        "changes",
        "probe",
        "wait",
        "predict",
        "grounds",
    }
)
"""Calls of the engine's port that change nothing."""
LOOKING_AT_STOCK = frozenset({"networks", "volumes", "image_names"})
LOOKING_AT_EDGE = frozenset({"told", "confirm", "confirm_gone", "confirm-done", "counters", "drain", "left"})


class LocalEngine(Engine, EngineWatch, Protocol):
    """What a controller is given for a host."""

    @property
    def stock(self) -> Stock:
        """What the engine holds beside containers."""
        ...


def calls_of_the_port() -> frozenset[str]:
    """The names of all calls that the engine's ports have."""
    members = [name for port in (Engine, Stock) for name, _ in inspect.getmembers(port, inspect.isfunction)]
    return frozenset(name for name in members if not name.startswith("_"))


@dataclass(slots=True)
class Tape:
    """Writes down each point of one process and kills it at one of them."""

    path: Path
    kill_at: str | None = None  # a point's name: its label and the how-manieth of them
    kill_at_change: int | None = None  # the how-manieth of the points that `is_change` takes, from 0
    kill_after_seconds: float = 0.0  # the process goes on that long after the point
    strike: Callable[[str], None] | None = None  # is told of each point, in the process
    _changes: int = 0
    _counts: dict[str, int] = field(default_factory=dict[str, int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def point(self, label: str) -> None:
        """The process is here; it may be its end."""
        with self._lock:
            self._counts[label] = self._counts.get(label, 0) + 1
            name = f"{label} #{self._counts[label]}"
            with self.path.open("a") as file:
                file.write(f"{name}\n")
            change, self._changes = self._changes, self._changes + is_change(name)
            mine = name == self.kill_at or (is_change(name) and change == self.kill_at_change)
        if self.strike is not None:
            self.strike(name)
        if mine:
            if self.kill_after_seconds:
                threading.Thread(target=self._die_later, daemon=True).start()
                return
            os.kill(os.getpid(), signal.SIGKILL)

    def _die_later(self) -> None:
        time.sleep(self.kill_after_seconds)
        os.kill(os.getpid(), signal.SIGKILL)


def is_change(point: str) -> bool:
    """Whether a point is at an append or at a call that changes something: their number is always the same.

    How often a gate looks depends on the time that a container takes.
    """
    kind, name = point.split()[:2]
    return kind == "append" or name not in LOOKING | LOOKING_AT_STOCK | LOOKING_AT_EDGE


def points(path: Path) -> list[str]:
    """What a tape recorded, in order."""
    return path.read_text().splitlines() if path.exists() else []


class TapedLog(SqliteEventLog):
    """The real log in its file; each append has a point before it and one after it."""

    def __init__(self, path: Path, tape: Tape, reserve: Reserve) -> None:
        super().__init__(path, reserve=reserve)
        self._tape = tape

    @override
    def append(
        self, parts: Sequence[StreamAppend], *, append_id: UUID | None = None
    ) -> tuple[StoredEvent, ...]:
        types = "+".join(event.type for part in parts for event in part.events)
        self._tape.point(f"append {types} before")
        stored = super().append(parts, append_id=append_id)
        self._tape.point(f"append {types} after")
        return stored


class _TapedEngine:
    """Every call of the port, by its name, with a point before it and one after it."""

    def __init__(self, engine: LocalEngine | Stock, tape: Tape) -> None:
        self._engine = engine
        self._tape = tape

    @property
    def stock(self) -> Stock:
        """Its stock, with points likewise."""
        return cast("Stock", _TapedEngine(cast("LocalEngine", self._engine).stock, self._tape))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the port has
        found = getattr(self._engine, name)
        if name not in calls_of_the_port():
            return found

        async def taped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  # the port's own types
            self._tape.point(f"engine {name} before")
            try:
                return await found(*arguments, **named)
            finally:
                self._tape.point(f"engine {name} after")

        return taped


def taped(engine: LocalEngine, tape: Tape) -> LocalEngine:
    """The engine with points around each call."""
    return cast("LocalEngine", _TapedEngine(engine, tape))


def inside(tape: Tape) -> Callable[[str, str], None]:
    """Points in the middle of a call, where the simulated engine has them (`up-made`, `up-removed`, …)."""

    def moment(name: str, _argument: str) -> None:
        if "-" in name:
            tape.point(f"engine {name}")

    return moment


def at_edges(tape: Tape) -> Callable[[str, str], None]:
    """Points ahead of each call of a gateway, and after each that changed something."""

    def moment(name: str, _argument: str) -> None:
        tape.point(f"edge {name}")

    return moment
