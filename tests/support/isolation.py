"""What pytest's fixtures do for a test, for a test program of its own: a surrounding that is nobody's."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conftest import FOREIGN_PREFIXES, GIT_IDENTITY


def isolate(folder: Path) -> None:
    """Make `folder` this process's HOME, with a Git identity; no setting of its user shines through."""
    for name in [name for name in os.environ if name.startswith(FOREIGN_PREFIXES)]:
        del os.environ[name]
    configuration = folder / "gitconfig"
    configuration.write_text(GIT_IDENTITY)
    os.environ |= {
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": str(configuration),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
