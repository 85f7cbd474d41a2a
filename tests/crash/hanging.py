"""A controller that holds an environment's lock and hangs, played by a process that sleeps.

The lock of a file goes with the open file, so the process needs to do nothing but inherit it; what the lock's
file says of its holder is written for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
from collections.abc import Generator
from pathlib import Path

from controller.locks import lock_file

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # of /proc/<pid>/stat after the name in brackets


@contextlib.contextmanager
def hanging_holder(folder: Path, name: str) -> Generator[int]:
    """The lock `name` is held by a process of this id; it is gone after the block."""
    with lock_file(folder, name).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder = subprocess.Popen(["sleep", "600"], pass_fds=[file.fileno()], stdin=subprocess.DEVNULL)
        try:
            file.seek(0)
            file.truncate()
            json.dump({**_named(holder.pid), "since": "2026-01-02T03:04:05.000Z", "purpose": "a look"}, file)
            file.close()
            yield holder.pid
        finally:
            holder.kill()
            holder.wait()


def _named(pid: int) -> dict[str, object]:
    """The process as a lock's file names it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return {"pid": pid, "start": int(fields[_START_FIELD]), "boot": _BOOT.read_text(encoding="ascii").strip()}
