"""What dry runs have found to make no network and no volume anew."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Harmless:
    """Keys of what was tried (`dry_runs.py`), as long as the process lives; threads may share it."""

    most: int = 4096  # some 100 bytes each; what is forgotten is tried once more
    _keys: dict[str, None] = field(default_factory=dict[str, None])  # the oldest first
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> None:
        """Keep a key; the oldest goes where there is no room."""
        with self._alone:
            if len(self._keys) >= self.most:
                del self._keys[next(iter(self._keys))]
            self._keys[key] = None
