"""Reaching hosts now, to see whether a deploy would find what it needs there; no event is recorded.

Nothing is changed there. All hosts are asked at once, each with a deadline of its own, so one that hangs
costs that and no more. The engine is asked over the very way that a Release takes. Two names that lead to one
engine are found when all answers are there: each of them would take the other's containers for nobody's.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

from controller.diagnosis import Finding
from controller.host_facts import HostFacts, facts_of
from controller.preflight import clock_off, disk, finding, preflight, summary
from events.kernel.errors import StagecraftError
from events.streams import LOCAL_HOST
from projections.observed import HostAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from controller.host_registry import HostEntry
    from controller.known_hosts import KnownHost
    from events.kernel.clock import Clock
    from projections.engine.port import EngineIdentity
    from projections.observed import ObservedStore
    from projections.transport.port import Transport

HOST_SECONDS = 60.0
_MOST_AT_ONCE = 32
_ANSWERS = frozenset({"reach", "ssh", "answer", "engine", "binding"})
"""Checks without which nothing is known of what runs there."""


class Identified(Protocol):
    """An engine that says who it is."""

    async def identity(self) -> EngineIdentity:
        """Who answers. Raises OutsideError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A host, and what reaches it."""

    entry: HostEntry
    transport: Transport | None  # None: nobody says where it is
    engine: Identified | None
    root: PurePath

    @property
    def name(self) -> str:
        """Its name."""
        return self.entry.name

    @property
    def socket(self) -> str:
        """The socket of its engine there; empty: this machine's, which is where the variables say."""
        return self.entry.engine_socket if self.name != LOCAL_HOST else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostChecks:
    """What was found on one host."""

    host: str
    findings: tuple[Finding, ...]
    identity: EngineIdentity | None = None

    @property
    def passes(self) -> bool:
        """Whether nothing fails."""
        return not any(one.blame for one in self.findings)

    @property
    def silence(self) -> str:
        """Why it cannot be told what runs there; empty where it can."""
        failing = (one for one in self.findings if one.status == "FAIL" and one.name in _ANSWERS)
        return next((one.detail for one in failing), "")

    @property
    def summary(self) -> str:
        """`5/6 pass`."""
        return summary(list(self.findings))

    def as_json(self) -> dict[str, Any]:
        """One of `hosts` in `hosts check --json` and `hosts doctor --json`."""
        return {
            "host": self.host,
            "ok": self.passes,
            "passed": sum(one.status != "FAIL" for one in self.findings),
            "of": len(self.findings),
            "checks": [one.as_json() for one in self.findings],
        }


async def check_hosts(
    asked: Sequence[Asked],
    *,
    known: Mapping[str, KnownHost],
    clock: Clock,
    seconds: float = HOST_SECONDS,
) -> list[HostChecks]:
    """What is found on each host, in the order given."""
    found = await _side_by_side(
        [_bounded(one, _check(one, known.get(one.name), clock), seconds=seconds) for one in asked]
    )
    return [replace(one, findings=(*one.findings, *_aliases(one, found, known))) for one in found]


def note_answers(store: ObservedStore, found: Iterable[HostChecks], *, at: datetime) -> None:
    """Keep whether each host answers, for who lists them; no event, because nothing followed from it."""
    store.note_hosts(
        {one.host: HostAnswer(answers=not one.silence, reason=one.silence, at=at) for one in found}
    )


async def doctor_hosts(
    asked: Sequence[Asked], *, clock: Clock, domain: str | None = None, seconds: float = HOST_SECONDS
) -> list[HostChecks]:
    """Whether each machine has what a host needs, in the order given."""
    return await _side_by_side(
        [_bounded(one, _examine(one, clock, domain), seconds=seconds) for one in asked]
    )


async def _side_by_side(work: Sequence[Any]) -> list[HostChecks]:
    gate = asyncio.Semaphore(_MOST_AT_ONCE)

    async def one(coroutine: Any) -> HostChecks:  # noqa: ANN401  # an awaitable of HostChecks
        async with gate:
            found: HostChecks = await coroutine
            return found

    return list(await asyncio.gather(*(one(each) for each in work)))


async def _bounded(asked: Asked, work: Any, *, seconds: float) -> HostChecks:  # noqa: ANN401  # as above
    """What `work` finds; that it took too long, or could not go on, is a finding too."""
    try:
        async with asyncio.timeout(seconds):
            found: HostChecks = await work
            return found
    except TimeoutError:
        late = finding("answer", "FAIL", f"no answer within {seconds:g} s", advice=_ssh_advice(asked))
        return HostChecks(host=asked.name, findings=(late,))


async def _check(asked: Asked, known: KnownHost | None, clock: Clock) -> HostChecks:
    reached = await _reach(asked)
    if reached.status == "FAIL" or asked.transport is None or asked.engine is None:
        return HostChecks(host=asked.name, findings=(reached,))
    findings, identity = [reached], None
    try:
        identity = await asked.engine.identity()
    except StagecraftError as error:
        findings.append(failed("engine", error))
    else:
        shown = f"Docker {identity.engine_version}, API {identity.api_version}"
        findings += [finding("engine", "ok", shown), _binding(asked.name, known, identity)]
    try:
        facts = await _facts(asked, asked.transport, clock)
    except StagecraftError as error:
        findings.append(failed("look", error))
    else:
        findings += _judged(asked, facts)
    return HostChecks(host=asked.name, findings=tuple(findings), identity=identity)


async def _examine(asked: Asked, clock: Clock, domain: str | None) -> HostChecks:
    reached = await _reach(asked)
    if reached.status == "FAIL" or asked.transport is None:
        return HostChecks(host=asked.name, findings=(reached,))
    try:
        facts = await _facts(asked, asked.transport, clock, domain=domain)
    except StagecraftError as error:
        return HostChecks(host=asked.name, findings=(reached, failed("look", error)))
    return HostChecks(host=asked.name, findings=(reached, *preflight(facts, host=asked.name, domain=domain)))


async def _facts(asked: Asked, transport: Transport, clock: Clock, *, domain: str | None = None) -> HostFacts:
    return await facts_of(transport, root=asked.root, engine_socket=asked.socket, clock=clock, domain=domain)


async def _reach(asked: Asked) -> Finding:
    name = "reach" if asked.name == LOCAL_HOST else "ssh"
    if asked.transport is None:
        advice = f"say where it is: network.static.hosts.{asked.name}.address in controller.yml"
        return finding(name, "FAIL", "nobody says where it is", advice=advice)
    try:
        await asked.transport.open()
    except StagecraftError as error:
        return failed(name, error, advice=_ssh_advice(asked))
    place = asked.entry.place
    return finding(name, "ok", "this machine" if place is None else f"{asked.entry.user}@{place}")


def failed(name: str, error: StagecraftError, *, advice: str = "") -> Finding:
    """An error as a check that fails, with its code."""
    words = f"{error.message}: {error.why}" if error.why else error.message
    return finding(name, "FAIL", f"{error.code}: {' '.join(words.split())}", advice=error.next or advice)


def _ssh_advice(asked: Asked) -> str:
    place = asked.entry.place
    if place is None:
        return "stagecraft doctor"
    return f"ssh -p {place.port} {asked.entry.user}@{place.address}"


def _binding(host: str, known: KnownHost | None, identity: EngineIdentity) -> Finding:
    """Whether it is the machine and engine that the name means."""
    if known is None or not known.engine:
        return finding("binding", "ok", f"not bound yet; engine {identity.engine}")
    if (known.machine, known.engine) == (identity.machine, identity.engine):
        return finding("binding", "ok", f"engine {identity.engine}, as bound")
    return finding(
        "binding",
        "FAIL",
        f"bound to machine {known.machine}, engine {known.engine}; "
        f"now machine {identity.machine}, engine {identity.engine} answers",
        advice=f"if it was set up anew: stagecraft hosts rebind {host} --reason TEXT",
    )


def _judged(asked: Asked, facts: HostFacts) -> Iterable[Finding]:
    yield _folder(asked, facts)
    yield disk("disk-root", str(asked.root), facts.disks.get("root"))
    if facts.data_root:
        yield disk("disk-data", facts.data_root, facts.disks.get("data"))
    clock = clock_off(facts)
    if clock is not None:
        yield clock


def _folder(asked: Asked, facts: HostFacts) -> Finding:
    """Whether the user may write the folder that is ours, or make it."""
    advice = f"stagecraft hosts bootstrap {asked.name}" if asked.name != LOCAL_HOST else "see its owner"
    if facts.root == "other":
        return finding(
            "folder", "FAIL", f"{asked.root} is no folder", advice="take it away, or name another root"
        )
    if not facts.root_writable:
        who = facts.user or "the user"
        return finding("folder", "FAIL", f"{who} may not write {asked.root}", advice=advice)
    words = "writable" if facts.root == "folder" else "not there yet; it can be made"
    return finding("folder", "ok", f"{asked.root}: {words}")


def _aliases(one: HostChecks, found: Iterable[HostChecks], known: Mapping[str, KnownHost]) -> list[Finding]:
    """A failure for a host whose engine another name leads to as well, now or by the log."""
    if one.identity is None:
        return []
    names: dict[str, set[str]] = defaultdict(set)
    answered = {other.host for other in found if other.identity is not None}
    for other in found:
        if other.identity is not None:
            names[other.identity.engine].add(other.host)
    for host, told in known.items():
        if told.engine and host not in answered:
            names[told.engine].add(host)
    others = sorted(names[one.identity.engine] - {one.host})
    if not others:
        return []
    return [
        finding(
            "names",
            "FAIL",
            f"{one.host} and {', '.join(others)} are one host: engine {one.identity.engine}",
            advice="keep one of the names, in controller.yml and in the projects' hosts",
        )
    ]
