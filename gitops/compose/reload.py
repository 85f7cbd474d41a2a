"""Services that are told of changed files by a signal: the label `stagecraft.reload: SIGHUP`.

What such a service mounts from the commit stands on its host in a place of its own, named by service and by
where the container has it, in place of a folder named by content. So its definition, and its hash with it,
stays the same when only the content changes, and a converger writes there and sends the signal. A mount that
comes, goes or becomes a folder is another definition, and replaces the container as ever.

This comes after everything else that gives a service files, so that those of the gateway count too. A job is
run anew for changed files and not told of them: its label means nothing, and is a finding.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from events import labels
from events.kernel.canonical import digest_of
from events.kernel.errors import UserError, Where, error_code
from events.manifest import FILES_PREFIX, RELOAD_PREFIX, FileTree, LiveMount, Reload
from gitops.findings import Finding, FindingCode

RELOAD_SIGNAL_INVALID = error_code(
    "reload-signal-invalid", "The label `stagecraft.reload` names no signal that a process can take."
)

_NAMES = """
    ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT PIPE POLL PROF PWR QUIT SEGV STKFLT SYS TERM TRAP TSTP
    TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX
"""
_REAL_TIME = {
    *(f"RTMIN+{number}" for number in range(1, 16)),
    *(f"RTMAX-{number}" for number in range(1, 15)),
}
SIGNALS = frozenset({*_NAMES.split(), *_REAL_TIME})
"""The names that engines on Linux take, without `SIG`, but for the two that no process notices."""
_NEVER_TAKEN = frozenset({"KILL", "STOP"})
_SLOT_DIGITS = 16
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloading:
    """Which of a project's services reload, and what is to be said of those that do not."""

    services: dict[str, Reload]
    findings: tuple[Finding, ...]


def arrange(
    services: Mapping[str, dict[str, Any]], *, trees: Mapping[str, FileTree], jobs: Collection[str]
) -> Reloading:
    """Write the label of each service in one form, and move what it mounts from the commit to its own place.

    `services` are changed. Raises UserError `reload-signal-invalid`.
    """
    found: dict[str, Reload] = {}
    findings: list[Finding] = []
    for name, service in sorted(services.items()):
        given: dict[str, Any] = service.get("labels") or {}
        if labels.RELOAD not in given:
            continue
        signal = signal_name(str(given[labels.RELOAD]), service=name)
        service["labels"] = {**given, labels.RELOAD: signal}
        mounts = () if name in jobs else _moved(name, service, trees)
        if mounts:
            found[name] = Reload(signal=signal, mounts=mounts)
            continue
        why = "it is a job, which runs anew" if name in jobs else "it mounts nothing from the commit"
        findings.append(
            Finding(
                code=FindingCode.RELOAD_UNUSED,
                message=f"the label {labels.RELOAD} of {name} comes to nothing: {why}",
                key=_key(name),
            )
        )
    return Reloading(services=found, findings=tuple(findings))


def signal_name(text: str, *, service: str) -> str:
    """`SIGHUP`, from `hup` or `SIGHUP`. Raises UserError `reload-signal-invalid`."""
    short = text.strip().upper().removeprefix("SIG")
    if short in SIGNALS:
        return f"SIG{short}"
    shown = repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
    if short in _NEVER_TAKEN:
        message = f"{shown} never reaches a process, so nothing is reloaded by it"
        near = ["HUP"]
    else:
        message = f"{shown} is not a signal"
        near = difflib.get_close_matches(short[:_LONGEST_SHOWN], sorted(SIGNALS), n=1)
        message += f"; did you mean 'SIG{near[0]}'?" if near else ""
    raise UserError(
        RELOAD_SIGNAL_INVALID,
        message,
        where=Where(service=service, key=_key(service)),
        why="known: " + ", ".join(f"SIG{name}" for name in sorted(set(_NAMES.split()))),
        next=f"write {labels.RELOAD}: SIG{near[0] if near else 'HUP'}, as the program expects it",
    )


def executables(reload: Reload, trees: Mapping[str, FileTree]) -> list[str]:
    """The paths that can be executed, each behind its place: a changed mode replaces the container."""
    return [
        f"{mount.place}/{entry.path}"
        for mount in reload.mounts
        for entry in trees[mount.tree].entries
        if entry.executable
    ]


@dataclass(slots=True, kw_only=True)
class _Slots:
    """Places of one service, each given once, also where two mounts have one target."""

    folder: str
    counts: dict[tuple[str, str | None], int] = field(default_factory=dict[tuple[str, str | None], int])

    def next(self, target: str, file: str | None) -> str:
        number = self.counts[target, file] = self.counts.get((target, file), 0) + 1
        name = digest_of([target, file, number]).removeprefix("sha256:")[:_SLOT_DIGITS]
        return f"{self.folder}/{name}"


def _moved(name: str, service: dict[str, Any], trees: Mapping[str, FileTree]) -> tuple[LiveMount, ...]:
    """The mounts of committed files, whose sources are changed to their places."""
    slots = _Slots(folder=folder_of(name))
    moved: list[LiveMount] = []
    mounts: list[dict[str, Any]] = []
    for mount in service.get("volumes") or ():
        source = str(mount.get("source", ""))
        if not source.startswith(FILES_PREFIX):
            mounts.append(mount)
            continue
        digest, slash, below = source.removeprefix(FILES_PREFIX).partition("/")
        tree, target = f"sha256:{digest}", str(mount.get("target", ""))
        file = trees[tree].entries[0].path if slash else None
        place = slots.next(target, file)
        moved.append(LiveMount(place=place, target=target, file=file, tree=tree))
        mounts.append({**mount, "source": f"{RELOAD_PREFIX}{place}{slash}{below}"})
    if moved:
        service["volumes"] = mounts
    return tuple(sorted(moved, key=lambda one: one.place))


def folder_of(service: str) -> str:
    """The folder of a service's places; a name that starts with a dot may be one that folders do not have."""
    return f"={service}" if service.startswith(".") else service


def _key(service: str) -> str:
    return f"services.{service}.labels.{labels.RELOAD}"
