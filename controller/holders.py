"""Who holds an environment's lock, and how a holder that hangs is ended.

The lock itself is the kernel's and dies with its holder, so to break it is to end the process. A process id
alone names nobody: ids are given again. Together with the start time and the boot it is one process for
ever; what does not match all three is never signalled, and the signal goes through a descriptor of the
process, so that the id cannot change hands between the check and the signal. (Removing the lock's file was
dropped: the holder would go on and a second one would work beside it.)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from events.kernel.errors import OutsideError, UserError, Where, error_code

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK_NOT_HELD = error_code(
    "lock-not-held", "Nobody holds the environment's lock, so there is nothing to break."
)
LOCK_HOLDER_UNKNOWN = error_code(
    "lock-holder-unknown", "The lock is held and no process of this machine can be told to be its holder."
)
LOCK_HOLDER_STAYS = error_code(
    "lock-holder-stays", "The holder of a lock could not be ended, or did not let go of the lock in time."
)

_PROC = Path("/proc")
_LET_GO_SECONDS = 10.0
_CHILDREN_SECONDS = 2.0
_PAUSE_SECONDS = 0.02

ProcessState = Literal["running", "stopped", "traced", "ended", "waits for a device", "gone", "unknown"]
_STATES: dict[str, ProcessState] = {
    "D": "waits for a device",
    "T": "stopped",
    "X": "ended",
    "Z": "ended",
    "t": "traced",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process for ever."""

    pid: int
    start: int  # clock ticks after the boot
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What a lock's file says of its holder; None: it does not say."""

    pid: int | None = None
    start: int | None = None
    boot: str | None = None
    since: str = ""
    purpose: str = ""
    token: int | None = None  # None: it has written nothing yet

    @property
    def identity(self) -> Identity | None:
        """The process, None when the file does not say enough."""
        if self.pid is None or self.start is None or self.boot is None:
            return None
        return Identity(pid=self.pid, start=self.start, boot=self.boot)

    @property
    def state(self) -> ProcessState:
        """How the process is doing now; unknown when it was not named well enough."""
        identity = self.identity
        return "unknown" if identity is None else _state_of(identity)

    @property
    def alive(self) -> bool | None:
        """Whether the process is there; None when nobody can tell."""
        state = self.state
        return None if state == "unknown" else state not in {"gone", "ended"}

    def as_json(self) -> dict[str, Any]:
        """The object that `lock show --json` prints."""
        return {
            "pid": self.pid,
            "start": self.start,
            "boot": self.boot,
            "since": self.since,
            "purpose": self.purpose,
            "token": self.token,
            "alive": self.alive,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A holder that was ended."""

    holder: Holder
    pid: int
    children: tuple[Identity, ...]  # the processes that it had started, directly or not

    def survivors(self) -> tuple[int, ...]:
        """The ids of those children that have not died with it; gives them a moment to do so."""
        _wait(lambda: not any(map(lives, self.children)), seconds=_CHILDREN_SECONDS)
        return tuple(child.pid for child in self.children if lives(child))


def this_process() -> dict[str, object]:
    """The running process as a lock's file names it."""
    found = _stat(os.getpid())
    return {"pid": os.getpid(), "start": found and found.start, "boot": _boot()}


def identify(pid: int) -> Identity | None:
    """The process that has this id now, None when there is none."""
    found = _stat(pid)
    return None if found is None else Identity(pid=pid, start=found.start, boot=_boot())


def lives(identity: Identity) -> bool:
    """Whether this very process is there; one that has ended and waits for its parent is not."""
    return _state_of(identity) not in {"gone", "ended"}


def signal_process(identity: Identity, number: signal.Signals) -> None:
    """A signal to this very process; one that has ended is as good. Raises PermissionError."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if lives(identity):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def holder_of(file: Path) -> Holder | None:
    """Who holds the lock of this file now, None when nobody does. Leaves no trace."""
    try:
        with file.open(encoding="utf-8") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _described(opened.read())
    except FileNotFoundError:
        pass
    return None


def require_holder(file: Path, name: str) -> Holder:
    """Who holds the lock. Raises UserError `lock-not-held`."""
    holder = holder_of(file)
    if holder is None:
        raise UserError(LOCK_NOT_HELD, f"nobody holds the lock of {name}", where=Where(environment=name))
    return holder


def end_holder(file: Path, name: str) -> Ended:
    """End the process that holds the lock and wait until the lock is free.

    Raises UserError `lock-not-held`, OutsideError `lock-holder-unknown` when it is no process of this
    machine and boot, and `lock-holder-stays` when it may not be signalled or does not let go.
    """
    holder = require_holder(file, name)
    identity = holder.identity
    if identity is None or not holder.alive:
        raise _unknown(holder, file=file, name=name)
    children = _descendants(identity.pid)
    _kill(identity, name=name)
    if not _wait(lambda: holder_of(file) is None, seconds=_LET_GO_SECONDS):
        raise OutsideError(
            LOCK_HOLDER_STAYS,
            f"process {identity.pid} was killed and still holds the lock of {name}",
            where=Where(environment=name),
            why=f"its state: {_state_of(identity)}",
            next="a process that waits for a device ends when the device answers; try again then",
        )
    return Ended(holder=holder, pid=identity.pid, children=tuple(children))


def _unknown(holder: Holder, *, file: Path, name: str) -> OutsideError:
    return OutsideError(
        LOCK_HOLDER_UNKNOWN,
        f"the holder of the lock of {name} cannot be told, so nothing was done",
        where=Where(environment=name),
        why=f"the file names process {holder.pid or 'none'}, which is {holder.state} on this machine",
        next=f"find it with `fuser -v {file}`, in the container or as the user it runs in",
    )


def _kill(identity: Identity, *, name: str) -> None:
    """SIGKILL to this very process; one that has ended meanwhile is as good."""
    try:
        signal_process(identity, signal.SIGKILL)
    except PermissionError as error:
        raise OutsideError(
            LOCK_HOLDER_STAYS,
            f"process {identity.pid} may not be ended by this user",
            where=Where(environment=name),
            why=str(error),
            next="run it as root, or as the user who started that process",
        ) from error


def _described(text: str) -> Holder:
    try:
        found: dict[str, Any] = json.loads(text)
        return Holder(
            pid=_number(found.get("pid")),
            start=_number(found.get("start")),
            boot=found.get("boot"),
            since=str(found.get("since", "")),
            purpose=str(found.get("purpose", "")),
            token=_number(found.get("token")),
        )
    except (ValueError, AttributeError):
        return Holder()


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    """What `/proc/<pid>/stat` says."""

    state: str
    parent: int
    start: int


def _stat(pid: int) -> _Stat | None:
    """None when there is no such process. The name, which may hold anything, stands in brackets."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], parent=int(fields[1]), start=int(fields[19]))


def _boot() -> str:
    """The id of this boot, empty where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _state_of(identity: Identity) -> ProcessState:
    found = _stat(identity.pid)
    if identity.boot != _boot() or found is None or found.start != identity.start:
        return "gone"
    return _STATES.get(found.state, "running")


def _descendants(pid: int) -> list[Identity]:
    """All processes that this one started, and those that they did."""
    boot = _boot()
    every = {int(path.name): _stat(int(path.name)) for path in _PROC.iterdir() if path.name.isdigit()}
    found: list[Identity] = []
    parents = {pid}
    while parents:
        children = {one: stat for one, stat in every.items() if stat is not None and stat.parent in parents}
        found += [Identity(pid=one, start=stat.start, boot=boot) for one, stat in children.items()]
        parents = set(children)
    return found


def _wait(holds: Callable[[], bool], *, seconds: float) -> bool:
    """Whether it came to hold within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True
