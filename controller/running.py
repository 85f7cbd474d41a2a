"""Which container a person's program runs in, where several would do.

The best one by what its engine says, and of those the newest: a look at what came last is what a person wants
most of the time, and one that is about to go is what nobody wants. Who means another one names its host and
its number.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.tailing import SILENT, index_of, listed, refuse_unknown, source_of
from events.kernel.errors import OutsideError, UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from controller.tailing import Wanted
    from projections.engine.port import Container
    from projections.engine.programs import ProgramSource

NOT_RUNNING = error_code("service-not-running", "No container of the service runs where it was looked for.")

_RANK = {"healthy": 0, "none": 0, "starting": 1, "unhealthy": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A container that the program could run in."""

    host: str
    container: Container

    @property
    def source(self) -> str:
        """`app-1 web.2`."""
        return source_of(self.host, self.container)

    def __str__(self) -> str:
        health = "" if self.container.health == "none" else f", {self.container.health}"
        return f"{self.source} ({self.container.id[:12]}{health})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """All of them, the best first, and why hosts said nothing."""

    best: Candidate
    others: Sequence[Candidate]
    silent: Mapping[str, OutsideError]


async def candidates(
    sources: Mapping[str, ProgramSource], wanted: Wanted, *, known: Collection[str], index: int | None
) -> Candidates:
    """The running containers of the wanted service, all hosts asked at once.

    `known` are services by the log. Raises UserError `service-not-running`, `service-not-in-environment`;
    OutsideError when there is none and a host was silent, because it may have one.
    """
    answers = await asyncio.gather(
        *(listed(host, source, wanted) for host, source in sources.items()), return_exceptions=True
    )
    found: list[Candidate] = []
    silent: dict[str, OutsideError] = {}
    services = set(known)
    for host, answer in zip(sources, answers, strict=True):
        if isinstance(answer, OutsideError) and answer.code in SILENT:
            silent[host] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            services |= {one.service or "" for one in answer}
            found += (Candidate(host=host, container=one) for one in answer if _fits(one, wanted, index))
    if not found and silent:
        raise next(iter(silent.values()))
    refuse_unknown(wanted, services)
    if not found:
        number = "" if index is None else f" number {index}"
        raise UserError(
            NOT_RUNNING,
            f"{wanted.target}: no container{number} of the service {wanted.service!r} runs",
            why=f"asked: {', '.join(sorted(sources))}",
            next=f"stagecraft status --live --env {wanted.target}",
        )
    best, *others = sorted(found, key=_order)
    return Candidates(best=best, others=others, silent=silent)


def _fits(container: Container, wanted: Wanted, index: int | None) -> bool:
    return (
        container.service == wanted.service
        and container.state == "running"
        and not container.one_off
        and index in {None, index_of(container)}
    )


def _order(one: Candidate) -> tuple[int, int, int, str]:
    container = one.container
    return (_RANK[container.health], -container.created, -index_of(container), one.host)
