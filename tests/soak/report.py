"""The report of a soak, as a page of the documentation: what was done, what came of it, how it ended."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.app import ENVIRONMENTS
from tests.soak.measures import MEGABYTE, Sample, growth_bytes
from tests.soak.script import WEIGHTS

_STARTED_SECONDS = 5.0  # a process that is younger has not loaded its code


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that a soak found out."""

    seed: int
    seconds: float
    done: Mapping[str, int]  # steps by action
    verdicts: Mapping[str, int]
    codes: Mapping[str, int]  # commands beside the daemon by how they ended
    events: Mapping[str, int] = field(default_factory=Counter[str])  # by type
    healed: Sequence[float] = ()
    samples: Sequence[Sample] = ()
    lives: int = 0
    calm_seconds: float | None = None  # until all was in sync; None: it never was
    faults: Sequence[str] = ()


def page(result: Result) -> str:
    """The page, in Markdown."""
    return "\n".join([*_head(result), *_actions(result), *_outcome(result), *_daemon(result), *_end(result)])


def _head(result: Result) -> Iterable[str]:
    verdict = "It ended in sync." if not result.faults else "**It did not end as it should.**"
    again = f"make soak SECONDS={result.seconds:.0f} SEED={result.seed}"
    steps = sum(result.done.values())
    watched = f"It watches a branch with {len(ENVIRONMENTS)} environments on an engine of its own."
    return (
        "<!-- Written by `make soak`: run it again, do not change this page. -->",
        "",
        "# The soak",
        "",
        "A controller runs while everything around it goes wrong, in an order that a seed decides.",
        watched,
        "Each has three services and a one-shot.",
        "In the end a good version is pushed, and everything must be as that version says.",
        verdict,
        "",
        f"Seed {result.seed}, {result.seconds:.0f} s, {steps} steps; `{again}` does the same steps again.",
        "",
    )


def _actions(result: Result) -> Iterable[str]:
    rows = [(action, str(result.done.get(action, 0))) for action in WEIGHTS]
    return ("## What was done", "", *_table(("step", "times"), rows), "")


def _outcome(result: Result) -> Iterable[str]:
    released = [(name, str(count)) for name, count in sorted(result.verdicts.items())]
    commands = [(name, str(count)) for name, count in sorted(result.codes.items())]
    events = [(name, str(count)) for name, count in sorted(result.events.items())]
    return (
        "## What came of it",
        "",
        *_table(("Releases", "count"), released),
        "",
        _healing(result.healed),
        "",
        *_table(("command beside the controller: exit code", "times"), commands),
        "",
        *_table(("event", "count"), events),
        "",
    )


def _healing(seconds: Sequence[float]) -> str:
    if not seconds:
        return "No container was harmed."
    ordered = sorted(seconds)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return (
        f"{len(ordered)} containers that were killed, stopped or removed by hand ran again "
        f"after {statistics.median(ordered):.2f} s (median), {late:.2f} s (95 of 100), "
        f"whatever else went on at that moment."
    )


def _daemon(result: Result) -> Iterable[str]:
    samples = result.samples
    if not samples:
        return ("## The controller's process", "", "It was not measured.", "")
    first = next((one for one in samples if one.age_seconds >= _STARTED_SECONDS), samples[0])
    rows = (
        ("starts", str(result.lives)),
        ("resident memory, first", _megabytes(first.rss_bytes)),
        ("resident memory, last", _megabytes(samples[-1].rss_bytes)),
        ("resident memory, most", _megabytes(max(one.rss_bytes for one in samples))),
        ("growth in one life after its first minute, most", _megabytes(growth_bytes(samples))),
        ("longest life", f"{max(one.age_seconds for one in samples):.0f} s"),
        ("open files, most and last", f"{max(one.fds for one in samples)}, {samples[-1].fds}"),
        ("threads, most and last", f"{max(one.threads for one in samples)}, {samples[-1].threads}"),
        ("children, most and last", f"{max(one.children for one in samples)}, {samples[-1].children}"),
    )
    return ("## The controller's process", "", *_table(("measure", "value"), rows), "")


def _end(result: Result) -> Iterable[str]:
    calm = "never" if result.calm_seconds is None else f"{result.calm_seconds:.1f} s after it"
    yield from ("## The end", "", f"After the last push every environment was in sync: {calm}.", "")
    if result.faults:
        yield from (f"- {fault}" for fault in result.faults)
    else:
        yield from (
            "- The Manifest of the last commit is deployed in every environment, and its web answers so.",
            "- Each service has one container, with the image and the service hash of the Manifest.",
            "- The log has no gap, each Release one verdict, and the views made anew are the same.",
            "- One more look appended nothing and changed nothing.",
            "- Containers of others are as they were, and no process was left behind.",
        )
    yield ""


def _table(heads: tuple[str, str], rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", "| --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]


def _megabytes(count: int) -> str:
    return f"{count / MEGABYTE:.0f} MB"
