"""Why a container exists: the chain of events that ends with it.

Each event names the event that caused it. From the one that names the container as new, that chain leads back
to a person, a commit or a schedule. What a rollback or a revert runs was rendered earlier and for another
cause, so the rendering of the Manifest is looked for by its digest, and has a chain of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

    from events.envelope import StoredEvent

_SHORT = 12
_SHORT_DIGEST = len("sha256:") + _SHORT


def newest_container(events: Iterable[StoredEvent], service: str) -> str | None:
    """The id of the container that came last for a service."""
    came = [
        data["new_ids"][-1]
        for event in events
        if event.type == "ServiceReplaced"
        and (data := _data(event))["service"] == service
        and data["new_ids"]
    ]
    return came[-1] if came else None


def trail(events: Sequence[StoredEvent], container: str) -> list[StoredEvent]:
    """What made the container exist, newest first; empty when no event names it as new."""
    by_id = {event.id: event for event in events}
    made = next((one for one in reversed(events) if container in _data(one).get("new_ids", ())), None)
    if made is None:
        return []
    chain = _causes(made, by_id)
    digest = next((_data(one)["digest"] for one in chain if one.type == "ReleaseStarted"), None)
    rendered = [one for one in events if one.type == "ManifestRendered" and _data(one)["digest"] == digest]
    further = _causes(rendered[-1], by_id) if rendered and rendered[-1] not in chain else []
    return [one for one in [*chain, *further] if not _idle(one)]


def _causes(event: StoredEvent, by_id: dict[UUID, StoredEvent]) -> list[StoredEvent]:
    chain = [event]
    while (cause := chain[-1].causation) is not None and cause in by_id:
        chain.append(by_id[cause])
    return chain


def _idle(event: StoredEvent) -> bool:
    """Whether it is about a phase that had nothing to do, or the end of one that had."""
    return event.type == "PhaseCompleted" or (
        event.type == "PhaseStarted" and _data(event)["phase"] != "rollout"
    )


def described(event: StoredEvent) -> str:
    """One event in one line: its position, its type, what it says."""
    return f"{event.position:>4}  {event.type:<17}  {_words(event.type, _data(event), event)}".rstrip()


def _words(kind: str, data: dict[str, Any], event: StoredEvent) -> str:
    words = ""
    match kind:
        case "ServiceReplaced":
            went = f" for {_ids(data['old_ids'])}" if data["old_ids"] else ""
            words = f"{data['service']}: {_ids(data['new_ids'])} came{went}, {data['reason']}"
        case "PhaseStarted":
            words = str(data["phase"])
        case "ReleaseStarted":
            words = str(data["release"])
        case "RollbackRequested":
            words = f"by {event.actor.kind}: {data['reason'] or 'no reason given'}"
        case "EnvironmentHeld":
            words = "so that Git does not bring the other one back"
        case "DeployRequested" | "RevertDetected":
            words = f"by {event.actor.kind}: {data['release']}"
        case "ManifestRendered":
            words = f"{data['digest'][:_SHORT_DIGEST]} of {data['revision'][:_SHORT]}"
        case "RevisionObserved":
            words = f'{data["revision"][:_SHORT]} "{data["subject"]}"'
        case _:
            pass  # its type says enough
    return words


def _ids(ids: Sequence[str]) -> str:
    return ", ".join(one[:_SHORT] for one in ids)


def _data(event: StoredEvent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.data)
    return found
