"""A plan for people on a screen: plain lines, the same for the same plan, none with a space at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.preview import DEPLOYED, SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from controller.changes import Outage
    from controller.preview import Change, PlanPhase, Preview


def as_text(shown: Preview, *, verbose: bool = False) -> str:
    """The plan; nothing in it depends on time or place. `verbose` lists what stays, too."""
    lines = [
        f"Environment: {shown.environment}",
        f"Version: {shown.version}",
        f"Services: {', '.join(shown.services) or '(all)'}",
        f"Hosts: {', '.join(shown.hosts)}",
        f"Revision: {shown.revision}",
        *_filter_lines(shown),
    ]
    if shown.reverts is not None:
        lines.append(f"Kind: {shown.reverts}")
    if shown.against != DEPLOYED:
        lines.append(f"Compared with: {shown.against}")
    lines.append("Phases:")
    for number, phase in enumerate(shown.phases, start=1):
        lines.extend(_phase_lines(number, phase))
    lines.append("Changes:")
    lines.extend(_change_lines(shown, verbose=verbose))
    if shown.outages:
        lines.append("Outages, because the old container ends before the new one begins:")
        lines.extend(f"  {outage_line(one)}" for one in shown.outages)
    lines.extend(_section("Requests:", request_lines(shown)))
    if shown.prune is not None:
        lines.append(f"Removals: {shown.prune.words}")
    if shown.unpinned:
        lines.append(f"Images resolved at deploy: {', '.join(shown.unpinned)}")
    for path, names in shown.host_variables.items():
        known = "cannot be read now" if names is None else ", ".join(names) or "(none)"
        lines.append(f"Variables from {path} on local: {known}")
    lines.extend(_reference_lines(shown))
    lines.extend(_section("Refused, until controller.yml allows it:", shown.refused))
    lines.extend(_section("Notes:", shown.notes))
    lines.extend(_section("Findings:", shown.findings))
    return "\n".join(line.rstrip() for line in "\n".join(lines).split("\n"))


def outage_line(outage: Outage) -> str:
    """Where, because what, how long."""
    return f"{outage.host}/{outage.service}: {', '.join(outage.causes)}; {outage.length}"


def request_lines(shown: Preview) -> list[str]:
    """What becomes of requests while services are replaced; a line for all that share their lot."""
    by_way: dict[str, list[str]] = {}
    for one in shown.changes:
        if one.requests:
            by_way.setdefault(one.requests, []).append(f"{one.host}/{one.service}")
    return [f"{', '.join(names)}: {way}" for way, names in by_way.items()]


def words_of(change: Change) -> str:
    """Why, and what else there is to say of a change."""
    started = {
        "run": "the job runs: ",
        "start": "it starts again: ",
        "reload": f"reload {change.signal}: ",
    }.get(change.action, "")
    many = f" ({change.containers} containers)" if change.action != "keep" and change.containers > 1 else ""
    return f"{started}{change.reason}{many}"


def _filter_lines(shown: Preview) -> Iterable[str]:
    filters = shown.filters
    for name, words in (
        ("roles", filters.roles),
        ("hosts", filters.hosts),
        ("phases", filters.phases),
    ):
        if words:
            yield f"Only {name}: {', '.join(words)}"


def _phase_lines(number: int, phase: PlanPhase) -> list[str]:
    return [
        f"  {number}. {phase.id}",
        f"     kind: {phase.kind}",
        f"     services: {', '.join(phase.services)}",
        f"     hosts: {', '.join(phase.hosts)}",
        f"     description: {phase.description}",
        f"     depends_on: {', '.join(phase.depends_on) or '(none)'}",
    ]


def _change_lines(shown: Preview, *, verbose: bool) -> Iterable[str]:
    touched = [one for one in shown.changes if verbose or one.action != "keep"]
    for one in touched:
        yield f"  {SIGNS[one.action]} {one.host}/{one.service}: {words_of(one)}"
    kept = len(shown.changes) - len(touched)
    if not shown.has_changes:
        yield "  nothing changes"
    elif kept:
        yield f"  = {kept} unchanged"


def _reference_lines(shown: Preview) -> Iterable[str]:
    for one in shown.host_references:
        yield f"Variables from {one.file} on local for {one.service}: {', '.join(one.names)}"
        if one.missing is None:
            yield f"  {one.file} cannot be read now; nothing that needs it is started"
        elif one.missing:
            yield f"  missing there: {', '.join(one.missing)}; {one.service} is not started without"


def _section(title: str, lines: Sequence[str]) -> Iterable[str]:
    if lines:
        yield title
        yield from (f"  {line}" for line in lines)
