"""Whether this machine has what Stagecraft needs: one fact a check, with the command that helps.

Nothing is changed by asking: a home that does not exist is not made. A check never raises for what it looks
for; it answers with a finding, and the next check goes on.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from controller.bootstrap import open_engine, open_log
from events.kernel.compose_client import compose_client, compose_client_version, compose_environment
from events.kernel.errors import ExitCode, StagecraftError
from events.kernel.process import run
from events.reserve import stands
from projections.engine.errors import engine_unreachable

if TYPE_CHECKING:
    from controller.home import Home

Status = Literal["ok", "warn", "FAIL"]

_PROGRAM_SECONDS = 10.0
_ENGINE_SECONDS = 20.0
_OLDEST_PYTHON = (3, 11)
_OLDEST_GIT = (2, 30)
_OLDEST_API = (1, 41)
_OLDEST_MOMENT = datetime(2025, 1, 1, tzinfo=UTC)  # before this code was written: no clock can be right
_TOLERANCE = timedelta(seconds=5)
_NUMBERS = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    name: str
    status: Status
    detail: str
    next: str = ""  # a command or an action that helps
    blame: ExitCode = ExitCode.OK  # of a FAIL: whose matter it is

    def as_json(self) -> dict[str, Any]:
        """The object that `doctor --json` prints."""
        return {"name": self.name, "status": self.status, "detail": self.detail, "next": self.next}


def diagnose(home: Home, *, environ: Mapping[str, str], now: datetime) -> list[Finding]:
    """All checks, in the order in which a person would mend what they find."""
    return asyncio.run(_diagnose(home, environ=environ, now=now))


async def _diagnose(home: Home, *, environ: Mapping[str, str], now: datetime) -> list[Finding]:
    async def python() -> Finding:
        return check_python(sys.version_info[:3])

    async def git() -> Finding:
        return await check_git(environ.get("PATH", os.defpath))

    async def setpriv() -> Finding:
        return check_setpriv(environ.get("PATH", os.defpath))

    async def engine() -> Finding:
        return await check_engine(home)

    async def state() -> Finding:
        return check_home(home)

    async def clock() -> Finding:
        return check_clock(home, now=now)

    checks: tuple[tuple[str, Callable[[], Awaitable[Finding]]], ...] = (
        ("python", python),
        ("git", git),
        ("setpriv", setpriv),
        ("compose", check_compose),
        ("engine", engine),
        ("home", state),
        ("clock", clock),
    )
    return [await _checked(name, check) for name, check in checks]


async def _checked(name: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    """The check's finding; an error of the tree is a finding too."""
    try:
        return await check()
    except StagecraftError as error:
        blame = max(error.exit_code, ExitCode.USER)
        detail = " ".join(f"{error.message}: {error.why}".split()) if error.why else error.message
        return Finding(
            name=name, status="FAIL", detail=detail, next=error.next, blame=min(blame, ExitCode.OUTSIDE)
        )


def check_python(version: tuple[int, int, int]) -> Finding:
    """The interpreter."""
    shown = ".".join(map(str, version))
    if version[:2] < _OLDEST_PYTHON:
        return Finding(
            name="python",
            status="FAIL",
            detail=f"{shown} is older than 3.11",
            next="install Stagecraft with a newer Python",
            blame=ExitCode.USER,
        )
    return Finding(name="python", status="ok", detail=shown)


async def check_git(path: str) -> Finding:
    """Git on the PATH, and its version."""
    found = shutil.which("git", path=path)
    if found is None:
        return Finding(
            name="git",
            status="FAIL",
            detail="not found on PATH",
            next="install it: `apt-get install git`",
            blame=ExitCode.USER,
        )
    told = await run(
        [found, "--version"], env={"PATH": path, "LC_ALL": "C"}, deadline_seconds=_PROGRAM_SECONDS
    )
    words = told.stdout.decode(errors="replace").strip()
    if told.code != 0:
        return Finding(
            name="git",
            status="FAIL",
            detail=f"{found} ends with {told.code}: {told.error_text}",
            next="run `git --version` and mend it",
            blame=ExitCode.USER,
        )
    if _numbers(words) < _OLDEST_GIT:
        return Finding(
            name="git",
            status="warn",
            detail=f"{words} is older than 2.30, the oldest that is tried",
            next="upgrade git",
        )
    return Finding(name="git", status="ok", detail=words.removeprefix("git version "))


def check_setpriv(path: str) -> Finding:
    """What lets child processes die with the controller."""
    found = shutil.which("setpriv", path=path)
    if found is None:
        return Finding(
            name="setpriv",
            status="warn",
            detail="not found on PATH: after a crash a Compose process could go on by itself",
            next="install it: `apt-get install util-linux`",
        )
    return Finding(name="setpriv", status="ok", detail=found)


async def check_compose() -> Finding:
    """The pinned Compose client is there and runs."""
    client = compose_client()
    empty = Path("/nonexistent")  # it reads no configuration for this
    told = await run(
        [str(client), "version", "--short"], env=compose_environment(empty), deadline_seconds=_PROGRAM_SECONDS
    )
    version = told.stdout.decode(errors="replace").strip().removeprefix("v")
    if told.code != 0 or not version:
        return Finding(
            name="compose",
            status="FAIL",
            detail=f"{client} ends with {told.code}: {told.error_text}",
            next="install Stagecraft again with its locked requirements",
            blame=ExitCode.OUTSIDE,
        )
    if version.split(".")[:3] != compose_client_version().split(".")[:3]:  # the wheel counts on behind them
        return Finding(
            name="compose",
            status="FAIL",
            detail=f"{client} is {version}, not the pinned {compose_client_version()}",
            next="install Stagecraft again with its locked requirements",
            blame=ExitCode.OUTSIDE,
        )
    return Finding(name="compose", status="ok", detail=version)


async def check_engine(home: Home) -> Finding:
    """The engine answers, in a version that is tried. Raises OutsideError `engine-unreachable`."""
    with open_engine(home) as engine:
        try:
            async with asyncio.timeout(_ENGINE_SECONDS):
                found = await engine.identity()
        except TimeoutError as error:
            raise engine_unreachable("this machine", f"no answer within {_ENGINE_SECONDS:g} s") from error
    shown = f"Docker {found.engine_version}, API {found.api_version}"
    if _numbers(found.api_version) < _OLDEST_API:
        return Finding(
            name="engine", status="warn", detail=f"{shown} is older than API 1.41", next="upgrade the engine"
        )
    return Finding(name="engine", status="ok", detail=shown)


def check_home(home: Home) -> Finding:
    """The home can be written, or made, and its log opens. Raises OutsideError of the log."""
    nearest = next(one for one in (home.root, *home.root.parents) if one.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Finding(
            name="home",
            status="FAIL",
            detail=f"{nearest} cannot be written by this user",
            next="name another with --home DIR, or change its owner",
            blame=ExitCode.USER,
        )
    with open_log(home) as log:
        words = "nothing recorded yet" if log is None else f"{log.head()} events"
    if log is not None and not stands(home.reserve):
        return Finding(
            name="home",
            status="warn",
            detail=f"{home.root}, {words}; without its reserve a full disk would stop a rollback too",
            next=f"make room on the disk of {home.root}; the next command that writes makes it again",
        )
    return Finding(name="home", status="ok", detail=f"{home.root}, {words}")


def check_clock(home: Home, *, now: datetime) -> Finding:
    """The clock is not behind this code, nor behind what was recorded here. Raises as `check_home`."""
    with open_log(home) as log:
        newest = [] if log is None else log.read(after=max(log.head() - 1, 0))
    latest = max([_OLDEST_MOMENT, *(event.time for event in newest)])
    if now + _TOLERANCE < latest:
        return Finding(
            name="clock",
            status="FAIL",
            detail=f"it is {now:%Y-%m-%d %H:%M:%S} UTC here, and {latest:%Y-%m-%d %H:%M:%S} has been",
            next="set it: `timedatectl set-ntp true`",
            blame=ExitCode.USER,
        )
    return Finding(name="clock", status="ok", detail=f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _numbers(text: str) -> tuple[int, int]:
    """The first `major.minor` of a text, zeros when it has none."""
    found = _NUMBERS.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
