"""Events of older schemas as this version writes them: pure steps from object to object, applied on read.

What is stored is never changed: an event keeps the bytes and the schema that it was appended with, and a
proof hashes these. Whoever reads fields takes `current` first, which leads the data from schema to schema up
to the newest one, so that folds and classes know one shape only. A step gets what was stored with its schema
and answers what the next schema says of the same fact; it invents nothing, reads nothing else and leaves its
argument as it is.

A class that changes in any way that its JSON Schema shows gets a new `SCHEMA`, a line in `schemas.py` and a
step here; `make goldens` then records what the new schema looks like. Defaults of the class in place of
steps were dropped: folds read plain objects, and each of them would have to know what was there when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from events.envelope import StoredEvent
from events.kernel.canonical import canonical_json
from events.schemas import SCHEMAS

Data = dict[str, Any]
Step = Callable[[Data], Data]


def _service_replaced_1(data: Data) -> Data:
    """How long an exchange took was in seconds at first; before that it was not told, nor how it was done."""
    seconds = data.get("seconds")
    told = None if seconds is None else round(seconds * 1000)
    kept = {key: value for key, value in data.items() if key != "seconds"}
    return {"rollout": None, "because": [], "milliseconds": told, **kept}


def _revision_observed_1(data: Data) -> Data:
    """When a commit was made was not told at first."""
    return {**data, "committed_at": None}


def _manifest_rendered_1(data: Data) -> Data:
    """There was nothing to say of several hosts: one after the other, and all back where one failed."""
    said = data.get("conduct")
    if said is None:
        return data
    hosts = {"canary": None, "max_parallel": 1, "max_failures": 0, "on_unreachable": "fail"}
    return {**data, "conduct": {"hosts": hosts, "on_failure": "revert", **said}}


def _release_completed_1(data: Data) -> Data:
    """A Release completed on all of its hosts or not at all."""
    ended = {"status": "completed", "digest": data["digest"], "reason": ""}
    return {**data, "hosts": {host: dict(ended) for host in data["hosts"]}}


def _release_completed_2(data: Data) -> Data:
    """No route was switched: what stood in front of services was nobody's business."""
    return {"traffic": None, **data}


def _release_failed_1(data: Data) -> Data:
    """How it ended on each host was not told, and what could be taken back was."""
    return {"hosts": {}, "stays": False, **data}


def _release_rolled_back_1(data: Data) -> Data:
    """How it ended on each host was not told."""
    return {"hosts": {}, **data}


def _environment_held_1(data: Data) -> Data:
    """Each hold was for all hosts."""
    return {"partial": False, **data}


def _requested_1(data: Data) -> Data:
    """Each Release was for all hosts."""
    return {"scope": [], **data}


STEPS: Mapping[tuple[str, int], Step] = {
    ("DeployRequested", 1): _requested_1,
    ("EnvironmentHeld", 1): _environment_held_1,
    ("ManifestRendered", 1): _manifest_rendered_1,
    ("ReleaseCompleted", 1): _release_completed_1,
    ("ReleaseCompleted", 2): _release_completed_2,
    ("ReleaseFailed", 1): _release_failed_1,
    ("ReleaseRolledBack", 1): _release_rolled_back_1,
    ("RevisionObserved", 1): _revision_observed_1,
    ("RollbackRequested", 1): _requested_1,
    ("ServiceReplaced", 1): _service_replaced_1,
}
"""By type and schema, the step to the next schema."""


def upcast(type_name: str, schema: int, data: Data) -> Data:
    """What the newest schema says in place of `data`; of a type or schema that is not known, `data`."""
    for step in range(schema, SCHEMAS.get(type_name, schema)):
        data = STEPS[type_name, step](data)
    return data


def current(event: StoredEvent) -> StoredEvent:
    """The event in the newest schema that this version knows; the same object if it is in that, or newer.

    Raises what a step raises for data that were never of its schema.
    """
    newest = SCHEMAS.get(event.type, event.schema)
    if event.schema >= newest:
        return event
    data = upcast(event.type, event.schema, json.loads(event.data))
    return StoredEvent(
        position=event.position,
        stream=event.stream,
        version=event.version,
        id=event.id,
        type=event.type,
        schema=newest,
        time=event.time,
        actor=event.actor,
        correlation=event.correlation,
        causation=event.causation,
        data=canonical_json(data),
    )
