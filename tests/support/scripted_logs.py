"""An engine's logs as a test writes them: containers, lines with times, silence; nothing runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from events import labels
from events.kernel.errors import OutsideError
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.following import NANOSECONDS, LogLine
from projections.engine.port import Container, ContainerState

NOON = 1_800_000_000  # seconds of the epoch
_LOOK_SECONDS = 0.005


def container(  # what tells containers apart, one word each
    service: str,
    state: ContainerState = "running",
    *,
    number: int = 1,
    environment: str = "prod",
    lineage: str = "log-1",
    container_id: str | None = None,
) -> Container:
    """A container of `shop`; its id is its service and its number unless given."""
    return Container(
        id=container_id or f"{service}-{number}",
        name=service,
        image="x",
        image_id="sha256:1",
        state=state,
        health="none",
        labels={
            labels.PROJECT: "shop",
            labels.ENVIRONMENT: environment,
            labels.SERVICE: service,
            labels.LOG: lineage,
            "com.docker.compose.container-number": str(number),
        },
    )


@dataclass(slots=True)
class ScriptedLogs:
    """One host's engine, `LogSource` by its methods. It takes times as exactly as its lines have them."""

    found: list[Container] = field(default_factory=list[Container])
    lines: dict[str, list[LogLine]] = field(default_factory=dict[str, list[LogLine]])
    asked: list[tuple[str, int | None, float | None, bool]] = field(
        default_factory=list[tuple[str, int | None, float | None, bool]]
    )
    silent: bool = False  # every question and every reading ends with an error
    hangs: bool = False  # no question is answered
    refuses: set[str] = field(default_factory=set[str])  # containers whose logs cannot be read
    cuts: int = 0  # counts up to end all readings

    def run(self, one: Container, *texts: str, at: float = 0.0) -> Container:
        """A container appears, with these lines from `at` seconds after noon on, one a second."""
        self.found.append(one)
        self.lines.setdefault(one.id, [])
        for step, text in enumerate(texts):
            self.say(one.id, text, at=at + step)
        return one

    def say(self, container_id: str, text: str, *, at: float, whole: bool = True) -> None:
        """It writes a line."""
        self.lines[container_id].append(LogLine(at=int((NOON + at) * NANOSECONDS), text=text, whole=whole))

    def end(self, container_id: str) -> None:
        """It exits and is still there."""
        self.found = [replace(one, state="exited") if one.id == container_id else one for one in self.found]

    def remove(self, container_id: str) -> None:
        """It is gone with its log."""
        self.found = [one for one in self.found if one.id != container_id]
        self.lines.pop(container_id, None)

    def cut(self) -> None:
        """All readings end, as when the connection does."""
        self.cuts += 1

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """All containers."""
        del compose_project
        if self.hangs:
            await asyncio.Event().wait()
        self._answer()
        return list(self.found)

    async def follow_logs(
        self,
        container_id: str,
        *,
        tail: int | None = None,
        since: float | None = None,
        until: float | None = None,
        follow: bool = True,
    ) -> AsyncGenerator[LogLine]:
        """The lines there are, and with `follow` those that come, until the end or a cut."""
        self.asked.append((container_id, tail, since, follow))
        self._answer()
        if container_id in self.refuses:
            raise engine_refused(f"read the log of {container_id}", "the driver keeps nothing")
        cuts, given = self.cuts, 0
        first = 0 if tail is None else max(len(self.lines.get(container_id, [])) - tail, 0)
        begin = 0 if since is None else int(since * NANOSECONDS)
        while not self.silent:
            every = self.lines.get(container_id, [])
            for line in every[first + given :]:
                given += 1
                if begin <= line.at and (until is None or line.at <= until * NANOSECONDS):
                    yield line
            lives = any(one.id == container_id and one.state == "running" for one in self.found)
            if not follow or not lives or self.cuts != cuts:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _answer(self) -> None:
        if self.silent:
            raise unreachable()


def unreachable() -> OutsideError:
    """What an engine that is not there is told as."""
    return engine_unreachable("unix:///x", "gone")
