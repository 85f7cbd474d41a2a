"""The wall around the Compose client: no network, and no file but those it was given.

What the client may open is decided before it starts (`closure`); the wall is for the day on which that
decision has a hole. It is made of a network namespace without any interface and a root folder that holds
the client and the materialised files alone, both by `unshare` of util-linux, which needs no shell and no
rights: a user namespace gives the rights for just this. As root on a system without user namespaces it
goes without one.

Where neither is possible the client runs without a wall, and `doctor` says so. The document is the same
either way. Landlock was tried in its place: it has to be entered by the thread that starts the client, which
is the one that everything else runs in.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PROBE_SECONDS = 30.0  # it takes 2 ms
_WAYS = (("--user", "--map-root-user", "--net"), ("--net",))
_CLIENT = Path("bin/docker-compose")


@dataclass(frozen=True, slots=True)
class Wall:
    """How a program is started behind the wall; one that was tried and works here."""

    words: tuple[str, ...]

    def around(self, root: Path, argv: Sequence[str], *, folder: str = "/") -> list[str]:
        """The command that runs `argv` in `folder`; all paths begin at `root`, and nothing beside is seen."""
        return [*self.words, f"--root={root}", f"--wd={folder}", "--", *argv]


@functools.cache
def find_wall(path: str) -> Wall | None:
    """The strongest wall that this system lets us build, None when it lets us build none.

    Starts a program or two, once for each `path` that `unshare` is looked for in.
    """
    unshare = shutil.which("unshare", path=path)
    if unshare is None:
        return None
    walls = (Wall((unshare, *way)) for way in _WAYS)
    return next((wall for wall in walls if _stands(wall, unshare)), None)


def _stands(wall: Wall, program: str) -> bool:
    """Whether something can be run behind the wall here."""
    try:
        tried = subprocess.run(
            wall.around(Path("/"), [program, "--version"]),
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def place(client: Path, root: Path) -> str:
    """Put the client behind the wall and answer its path there; a second name for it where one can be had.

    A copy of some tens of megabytes is made where the folders are on different file systems.
    """
    target = root / _CLIENT
    target.parent.mkdir(parents=True)
    try:
        os.link(client.resolve(), target)
    except OSError:
        shutil.copyfile(client, target)
        target.chmod(0o500)
    return f"/{_CLIENT}"
