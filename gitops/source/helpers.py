"""The credential helpers of whoever runs the controller, as Git's own configuration names them.

Nothing else of that configuration reaches Git: it could lead to another repository or run other programs. It
is read when the first question needs it and again after a login that was refused, not at each look.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from events.kernel.process import run
from gitops.source.gitcommand import READ_SECONDS

Settings = tuple[tuple[str, str], ...]
"""Keys of Git's configuration with their values, in order; a key may stand there several times."""

_PASSED: Final = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")
_MOST_BYTES: Final = 256 * 1024


async def credential_settings() -> Settings:
    """What the system's and the user's configuration say of credentials; nothing when it cannot be read."""
    found = await run(
        ["git", "config", "--includes", "--null", "--get-regexp", r"^credential\."],
        env={name: os.environ[name] for name in _PASSED if name in os.environ},
        cwd=Path("/"),
        deadline_seconds=READ_SECONDS,
        kept_bytes=_MOST_BYTES,
    )
    entries = found.stdout.decode(errors="surrogateescape").split("\0")[:-1]
    pairs = (entry.partition("\n") for entry in entries if found.code == 0)
    return tuple((key, value) for key, _, value in pairs)
