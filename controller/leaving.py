"""What a Release would take away, told before it is asked for: services that wait for a person's word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from projections.converge.orphans import Cap, lasting

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState
    from events.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """What a Release would take away that is more than it may."""

    services: tuple[str, ...]  # `host/service`, sorted
    most: int

    @property
    def words(self) -> str:
        """What that means, and the flag."""
        count = len(self.services)
        return (
            f"{count} services leave, more than go at once (at most {self.most}, or half of all): they run "
            f"on until --confirm-prune {count} of deploy, or `stagecraft prune --confirm {count}` afterwards"
        )

    def as_json(self) -> dict[str, Any]:
        """The object that `plan --format json` prints."""
        return {"services": list(self.services), "count": len(self.services), "most": self.most}


def foretold(
    state: EnvironmentState, *, wanted: Manifest, before: Manifest | None, most: int
) -> Foretold | None:
    """What would wait for a person's word: what leaves now, and what waits already; None: all may go."""
    going = (lasting(before) | state.kept_places) - lasting(wanted)
    known = any(one.digest == wanted.digest for one in state.completed())
    if known or not Cap(most=most).stops(len(going), there=len(lasting(before))):
        return None
    return Foretold(services=tuple(sorted(f"{host}/{name}" for host, name in going)), most=most)
