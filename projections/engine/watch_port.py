"""The port to one host's engine as a source of hints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something happened to containers; a hint to look, never a fact to act on."""

    environment: str | None = None  # `<project>/<name>`; None: anything may have happened unseen
    service: str = ""
    action: str = ""  # the engine's word: die, stop, destroy, …
    container: str = ""  # the id of one without our labels, which may be ours by the log; else empty
    host: str = ""  # whose engine said it, by whoever listens


class EngineWatch(Protocol):
    """One host's engine as a source of hints; apart from `Engine`, because convergers need none."""

    def watch(self) -> AsyncGenerator[EngineEvent]:
        """What happens to containers that Compose made, from now on; the first item says that it listens.

        One without our labels is told by its id and the environment "": it may have been adopted.

        Raises OutsideError `engine-unreachable` when it cannot listen (any more); whoever calls tries again.
        """
        ...
