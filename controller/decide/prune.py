"""What left a Manifest with too much else at once: a person lets it go by saying how many it is.

The number is the proof that the person has seen the list: a list that has grown or shrunk since is another
one, and is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.catalog.removal import PruneConfirmed
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState
    from events.catalog import Event

NOTHING_TO_PRUNE = error_code(
    "nothing-to-prune", "No service that left the Manifest waits for a person's word."
)
PRUNE_COUNT_DIFFERS = error_code(
    "prune-count-differs", "Another number of services waits than the one that was confirmed."
)


def decide_prune(state: EnvironmentState, *, confirmed: int, reason: str) -> tuple[Event, ...]:
    """The event that lets what waits go. Raises UserError `nothing-to-prune` or `prune-count-differs`."""
    waiting = state.unpruned
    if waiting is None:
        raise UserError(
            NOTHING_TO_PRUNE,
            "nothing that left the Manifest waits for a confirmation",
            next="stagecraft status",
        )
    if len(waiting.services) != confirmed:
        raise UserError(
            PRUNE_COUNT_DIFFERS,
            f"{len(waiting.services)} services would go, and {confirmed} were confirmed; nothing was touched",
            why=", ".join(waiting.services),
            next=f"look again, then confirm it with --confirm {len(waiting.services)}",
        )
    return (PruneConfirmed(release=waiting.release, services=waiting.services, reason=reason),)
