"""A load that never asks twice: `python -m tests.support.load ADDRESS:PORT --name HOST --result FILE`.

New connections come at a fixed rate whatever becomes of the former ones, GET and POST in turn; beside them
are connections that are kept, and one open stream of each kind (tests/support/load_streams.py). It goes on
for `--seconds`, or until SIGTERM; then nothing new is begun, what is open is waited for, and the result is
written as JSON. It runs as a process of its own, so that whoever tests is not slowed by it nor slows it.

Where a kept connection is closed while nothing is asked on it, the other side was free to do so: it is opened
anew and that is no loss. What was asked and not answered whole, and with 200, is one. A machine that is too
busy for the rate would drown in requests that wait; so there is a bound to them (`most_open`), and what is
left out because of it is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.load_result import MOST_TOLD, LoadResult, Lost, Seen, Stream
from tests.support.load_streams import ECHOES, KINDS, streams, within_limit
from tests.support.load_wire import LostError, Target, Wire, dialled
from tests.support.processes import wait_until

RATE, KEPT, KEPT_RATE = 200.0, 10, 20.0  # new connections/s; kept ones, and requests/s on each of them
PATIENCE = 10.0
MOST_OPEN = 4_000
_BODY = b"forty bytes of a body, as a form has them"
_OK = 200
_PROJECT = Path(__file__).parents[2]
_READY_SECONDS, _END_SECONDS = 30.0, 60.0
_STREAM_PATIENCE = 3  # times that of a short request: the longest is to take 10 s
_PAUSE_SECONDS = 0.05  # before a stream that was lost is opened again, so that a dead server is not flooded
_WHY_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much to ask."""

    rate: float = RATE
    kept: int = KEPT
    kept_rate: float = KEPT_RATE
    streams: tuple[str, ...] = KINDS
    echoes: int = ECHOES  # of one WebSocket
    patience: float = PATIENCE  # seconds for a short request, connecting included
    most_open: int = MOST_OPEN  # new connections at once; beyond that none is begun, and that is counted

    def words(self) -> list[str]:
        """As arguments of the command."""
        numbers = {
            "--rate": self.rate,
            "--kept": self.kept,
            "--kept-rate": self.kept_rate,
            "--echoes": self.echoes,
            "--patience": self.patience,
            "--most-open": self.most_open,
        }
        return [
            *(word for name, number in numbers.items() for word in (name, f"{number:g}")),
            "--streams",
            ",".join(self.streams),
        ]


@dataclass(slots=True)
class Load:
    """One load while it goes on."""

    target: Target
    plan: Plan
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    result: LoadResult = field(default_factory=LoadResult)
    began: float = field(default_factory=time.monotonic)
    kinds: Counter[str] = field(default_factory=Counter[str])
    open: int = 0  # new connections under way
    answered: asyncio.Event = field(default_factory=asyncio.Event)  # at least one short request, well
    answered_at: float | None = None  # the last time

    async def run(self) -> LoadResult:
        """Ask until it is stopped, and wait for what is open then."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.plan.kept):
                group.create_task(self._keep(number))
            for name in self.plan.streams:
                group.create_task(self._stream(name))
            if self.plan.rate:
                group.create_task(self._arrivals(group))
            await self.stop.wait()
            self._gap(time.monotonic())  # from now on nobody asks: a silence would be ours
        self.result.seconds = time.monotonic() - self.began
        self.result.by_kind = dict(self.kinds)
        return self.result

    async def _arrivals(self, group: asyncio.TaskGroup) -> None:
        """Begin a request whenever it is time for one."""
        number = 0
        while not self.stop.is_set():
            due = self.began + number / self.plan.rate
            await self._pause(due - time.monotonic())
            self.result.late_ms = max(self.result.late_ms, (time.monotonic() - due) * 1000)
            if self.open < self.plan.most_open:
                self.open += 1
                group.create_task(self._once("GET" if number % 2 else "POST"))
            else:
                self.result.left_out += 1
            number += 1

    async def _once(self, method: str) -> None:
        """One request on a connection of its own."""
        began = self._begin()
        try:
            async with asyncio.timeout(self.plan.patience), dialled(self.target) as wire:
                await self._ask(wire, method, {"Connection": "close"})
        except LostError as error:
            self._lose(began, error.kind, f"{method} new", error.why)
        except TimeoutError:
            self._lose(began, "timeout", f"{method} new", _late(self.plan))
        finally:
            self.open -= 1

    async def _keep(self, number: int) -> None:
        """One connection that is kept, and opened anew where it was ended."""
        await self._pause(number / max(1, self.plan.kept) / self.plan.kept_rate)
        while not self.stop.is_set():
            began, method = self._begin(), "GET"
            try:
                async with dialled(self.target) as wire:
                    while True:
                        async with asyncio.timeout(self.plan.patience):
                            closes = await self._ask(wire, method, {})
                        if closes or self.stop.is_set():
                            break
                        if await wire.closed_by_other(1 / self.plan.kept_rate):
                            self.result.kept_closed += 1
                            break
                        if self.stop.is_set():
                            break
                        method = "POST" if method == "GET" else "GET"
                        began = self._begin()
            except LostError as error:
                self._lose(began, error.kind, f"{method} kept", error.why)
                await self._pause(1 / self.plan.kept_rate)
            except TimeoutError:
                self._lose(began, "timeout", f"{method} kept", _late(self.plan))

    async def _stream(self, name: str) -> None:
        """One stream of a kind after the other."""
        counted = self.result.streams[name] = Stream()
        stream = streams(echoes=self.plan.echoes)[name]
        while not self.stop.is_set():
            began = self._begin()
            try:
                await within_limit(stream, self.target, seconds=_STREAM_PATIENCE * self.plan.patience)
                counted.well += 1
            except LostError as error:
                counted.cut += 1
                self._lose(began, f"{name} {error.kind}", name, error.why)
                await self._pause(_PAUSE_SECONDS)

    async def _ask(self, wire: Wire, method: str, headers: dict[str, str]) -> bool:
        """A short request and its answer; whether the connection ends behind it. Raises LostError."""
        answer = await wire.ask(method, body=_BODY if method == "POST" else b"", headers=headers)
        said = (await wire.body(answer)).decode(errors="replace").strip()
        if answer.status != _OK:
            raise LostError(f"status {answer.status}", said or answer.reason)
        version = said
        if method == "POST" and said.endswith(f" {len(_BODY)}"):
            version = said.removesuffix(f" {len(_BODY)}")
        self._answer(version)
        return answer.closes

    def _begin(self) -> float:
        self.result.requests += 1
        return time.monotonic()

    def _answer(self, version: str) -> None:
        now = time.monotonic()
        self._gap(now)
        self.answered_at = now
        self.answered.set()
        seen = self.result.versions.setdefault(version, Seen(first=now, last=now))
        seen.count += 1
        seen.last = now

    def _gap(self, now: float) -> None:
        if self.plan.rate or self.plan.kept:
            since = self.began if self.answered_at is None else self.answered_at
            self.result.longest_gap_ms = max(self.result.longest_gap_ms, (now - since) * 1000)

    def _lose(self, began: float, kind: str, what: str, why: str) -> None:
        self.result.failed += 1
        self.kinds[kind] += 1
        if len(self.result.lost) < MOST_TOLD:
            self.result.lost.append(
                Lost(at=began - self.began, kind=kind, what=what, why=why[:_WHY_CHARACTERS])
            )

    async def _pause(self, seconds: float) -> None:
        """So long, or until the load is stopped."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), seconds)


def _late(plan: Plan) -> str:
    return f"no answer after {plan.patience:g} s"


async def loaded(target: Target, plan: Plan, *, seconds: float | None, heard: bool = False) -> LoadResult:
    """Put load on a target for so long.

    With `heard` also until SIGTERM at most, and the first good answer is told: somebody waits for it.
    """
    load = Load(target, plan)
    loop = asyncio.get_running_loop()
    if heard:
        loop.add_signal_handler(signal.SIGTERM, load.stop.set)
    if seconds is not None:
        loop.call_later(seconds, load.stop.set)
    telling = asyncio.create_task(_tell(load)) if heard else None
    try:
        return await load.run()
    finally:
        if telling is not None:
            telling.cancel()


async def _tell(load: Load) -> None:
    await load.answered.wait()
    print("under way", file=sys.stderr, flush=True)  # noqa: T201  # the result goes to the other one


@dataclass(slots=True)
class RunningLoad:
    """A load that goes on in a process of its own."""

    process: subprocess.Popen[bytes]
    file: Path
    output: Path

    def end(self) -> LoadResult:
        """Stop it, wait for what is open, and answer what it found."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(_END_SECONDS)
        assert code == 0, f"the load ended with {code}: {self.output.read_text(errors='replace')}"
        return LoadResult.model_validate_json(self.file.read_bytes())


@contextmanager
def running_load(target: Target, plan: Plan, *, folder: Path, name: str = "load") -> Generator[RunningLoad]:
    """A load that has had its first good answer; gone after the block, ended or not."""
    file, output = folder / f"{name}.json", folder / f"{name}.log"
    words = [f"{target.address}:{target.port}", "--name", target.name, "--path", target.path]
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.load", *words, *plan.words(), "--result", str(file)],
            cwd=_PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        wait_until(
            "the load's first answer",
            lambda: b"under way" in output.read_bytes() or process.poll() is not None,
            seconds=_READY_SECONDS,
        )
        assert process.poll() is None, output.read_text(errors="replace")
        yield RunningLoad(process, file, output)
    finally:
        process.kill()
        process.wait()


def main(argv: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.load", description=__doc__)
    parser.add_argument("target", help="ADDRESS:PORT")
    parser.add_argument("--name", required=True, help="the Host of each request")
    parser.add_argument("--path", default="/")
    parser.add_argument("--seconds", type=float, help="until SIGTERM unless given")
    parser.add_argument("--rate", type=float, default=RATE, help="new connections a second")
    parser.add_argument("--kept", type=int, default=KEPT, help="connections that are kept")
    parser.add_argument(
        "--kept-rate", type=float, default=KEPT_RATE, help="requests a second on each of them"
    )
    parser.add_argument("--streams", default=",".join(KINDS), help="kinds that are always open")
    parser.add_argument("--echoes", type=int, default=ECHOES, help="of one WebSocket")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for a short request")
    parser.add_argument("--most-open", type=int, default=MOST_OPEN, help="new connections at once")
    parser.add_argument("--result", type=Path, help="where the result goes; on the screen unless given")
    asked = parser.parse_args(argv)
    address, _, port = asked.target.rpartition(":")
    target = Target(address=address, port=int(port), name=asked.name, path=asked.path)
    plan = Plan(
        rate=asked.rate,
        kept=asked.kept,
        kept_rate=asked.kept_rate,
        streams=tuple(one for one in asked.streams.split(",") if one),
        echoes=asked.echoes,
        patience=asked.patience,
        most_open=asked.most_open,
    )
    result = asyncio.run(loaded(target, plan, seconds=asked.seconds, heard=True))
    if asked.result is not None:
        asked.result.write_text(result.model_dump_json(indent=1))
    else:
        print(result.model_dump_json(indent=1))  # noqa: T201  # a command of its own
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
