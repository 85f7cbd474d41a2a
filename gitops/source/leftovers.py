"""What a Git that was killed left in a mirror: halves of packs, which fill the disk, and locks, which bar it.

Whoever calls this holds the lock of the mirror and is about to fetch, so nothing that is swept belongs to a
Git that still runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HALVES = ("objects/pack/tmp_*", "objects/pack/.tmp-*", "objects/??/tmp_obj_*")
_LOCKS = ("*.lock", "refs/**/*.lock")


def sweep(mirror: Path) -> None:
    """Take away what was left. Raises OSError."""
    for pattern in (*_HALVES, *_LOCKS):
        for left in mirror.glob(pattern):
            left.unlink(missing_ok=True)
