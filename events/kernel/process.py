"""Child processes: an argument list, a given environment, a deadline, and an end with the parent.

No shell, no inherited variables: a caller names each variable that the child may see. A child that is
still there at its deadline, or when the waiting task is cancelled, gets SIGTERM and after a grace period
SIGKILL, and so do the helpers it started: each child leads a session of its own, which also keeps it from
asking at our terminal and from a Ctrl-C that is meant for us. When `setpriv` is installed the kernel kills
the child as soon as the thread that started it dies, so that no orphan goes on changing a host. Only in the
first millisecond or two, while the child is still `setpriv` and has not asked for that, may one remain.

Dropped: a shell between `setpriv` and the program that looks whether the parent is still there. It gives
the program a `PWD` that nobody named, and Compose fills `${PWD}` in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from events.kernel.errors import OutsideError, error_code
from events.kernel.redact import REDACT, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

PROCESS_NOT_STARTED = error_code(
    "process-not-started", "A program that Stagecraft needs could not be started."
)
PROCESS_TIMED_OUT = error_code(
    "process-timed-out", "A program did not end before its deadline and was stopped."
)

_SETPRIV = shutil.which("setpriv")
_STREAM_LIMIT_BYTES = 1024 * 1024  # how far reading runs ahead; the whole output is kept all the same
_CHUNK_BYTES = 64 * 1024
_NOT_EXECUTED = {126, 127}  # what setpriv answers when it could not become the program


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a child ended: `code` is negative for a signal, as in `subprocess`."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def error_text(self) -> str:
        """Standard error as safe text, credentials masked."""
        return REDACT(printable(self.stderr.decode(errors="replace"))).strip()


async def run(  # noqa: PLR0913  # what a child is given, one word each
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes | None = None,
    deadline_seconds: float,
    grace_seconds: float = 5.0,
    dies_with_parent: bool = True,
    limits: Mapping[int, int] | None = None,
    passed: Sequence[int] = (),
    kept_bytes: int | None = None,
) -> Finished:
    """Run a program to its end and capture both streams, of each no more than `kept_bytes`.

    A non-zero exit is an answer, not an error. Raises OutsideError `process-not-started` when the program
    cannot be executed and `process-timed-out` when the deadline passes; on cancellation the child is
    stopped before the cancellation goes on. `grace_seconds` pass between SIGTERM and SIGKILL.
    `dies_with_parent` False is for a child that changes nothing: its start executes no second program.
    `limits`, `{resource.RLIMIT_…: value}`, bound the child from outside. `passed` are open files that the
    child gets under the same numbers.
    """
    guard = [_SETPRIV, "--pdeathsig", "KILL", "--"] if _SETPRIV and dies_with_parent else []
    started = _child(
        argv, guard=guard, env=env, cwd=cwd, stdin=stdin, grace_seconds=grace_seconds, passed=passed
    )
    async with started as child:
        _limit(child.pid, limits or {})
        try:
            async with asyncio.timeout(deadline_seconds):
                if kept_bytes is None:
                    stdout, stderr = await child.communicate(stdin)
                else:
                    stdout, stderr = await _beginnings(child, kept_bytes, stdin)
        except TimeoutError as error:
            await _stop(child, grace_seconds)
            raise OutsideError(
                PROCESS_TIMED_OUT,
                f"{argv[0]} was stopped after {deadline_seconds:g} s",
                why=f"it ran as: {REDACT(printable(' '.join(argv)))}",
            ) from error
        except asyncio.CancelledError:
            await _stop(child, grace_seconds)
            raise
        finished = Finished(argv=tuple(argv), code=await child.wait(), stdout=stdout, stderr=stderr)
    if finished.code in _NOT_EXECUTED and stderr.startswith(b"setpriv: "):
        raise OutsideError(PROCESS_NOT_STARTED, f"cannot start {argv[0]}", why=finished.error_text)
    return finished


@contextlib.asynccontextmanager
async def _child(
    argv: Sequence[str],
    *,
    guard: Sequence[str],
    env: Mapping[str, str],
    cwd: Path | None,
    stdin: bytes | None,
    grace_seconds: float,
    passed: Sequence[int],
) -> AsyncGenerator[Process]:
    """The child at the head of a session of its own, so that its helpers can be ended with it.

    This is `asyncio.create_subprocess_exec`, spelled out to keep the transport: only closing it frees the
    pipes when somebody else still holds their other ends. A start is never cancelled half way, because
    asyncio then waits for ever for pipes that it has not opened yet: a cancellation lets the start come to
    its end and stops the child.
    """
    loop = asyncio.get_running_loop()
    command = [_found(argv[0], path=env.get("PATH", os.defpath), cwd=cwd), *argv[1:]]
    starting = asyncio.ensure_future(
        loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(limit=_STREAM_LIMIT_BYTES, loop=loop),
            *guard,
            *command,
            env=dict(env),
            cwd=cwd,
            stdin=PIPE if stdin is not None else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            pass_fds=tuple(passed),
        )
    )
    cancelled: asyncio.CancelledError | None = None
    try:
        await asyncio.wait([starting])
    except asyncio.CancelledError as error:
        cancelled = error
        await asyncio.wait([starting])
    try:
        transport, protocol = starting.result()
    except OSError as error:
        raise OutsideError(PROCESS_NOT_STARTED, f"cannot start {argv[0]}", why=str(error)) from error
    child = Process(transport, protocol, loop)
    try:
        if cancelled is not None:
            await _stop(child, grace_seconds)
            raise cancelled
        yield child
    finally:
        transport.close()


async def _beginnings(child: Process, kept_bytes: int, stdin: bytes | None) -> tuple[bytes, bytes]:
    """What both streams begin with, read to their ends: whoever may write without end fills no memory."""

    async def beginning(stream: asyncio.StreamReader | None) -> bytes:
        kept = bytearray()
        while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
            kept += chunk[: kept_bytes - len(kept)]
        return bytes(kept)

    async def feed() -> None:
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it reads no more
                child.stdin.write(stdin or b"")
                await child.stdin.drain()
            child.stdin.close()

    stdout, stderr, _ = await asyncio.gather(beginning(child.stdout), beginning(child.stderr), feed())
    await child.wait()
    return stdout, stderr


def _limit(pid: int, limits: Mapping[int, int]) -> None:
    """Bound a running child; one that has ended needs no bound."""
    with contextlib.suppress(ProcessLookupError):
        for limit, value in limits.items():
            resource.prlimit(pid, limit, (value, value))


def _found(program: str, *, path: str, cwd: Path | None) -> str:
    """The absolute path of `program` as the child would find it: through its own PATH and from its folder."""
    found = shutil.which(str(cwd / program) if cwd is not None and "/" in program else program, path=path)
    if found is None:
        raise OutsideError(PROCESS_NOT_STARTED, f"program not found: {program}")
    return str(Path(found).absolute())


async def _stop(child: Process, grace_seconds: float) -> None:
    """End `child` and its helpers, gently first; returns when they are gone.

    A helper that left the session and holds the child's streams is waited for only another grace period.
    """
    try:
        await _ended(child, signal.SIGTERM, grace_seconds)
    finally:
        await _ended(child, signal.SIGKILL, grace_seconds)


async def _ended(child: Process, number: signal.Signals, seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await child.wait()
