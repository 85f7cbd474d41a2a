"""Whose container an engine's hint is about when its labels do not say: the log knows what was adopted."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from events.catalog import decode
from events.catalog.adoption import ServiceAdopted
from events.kernel.errors import OutsideError
from events.streams import environment_stream

if TYPE_CHECKING:
    from events.log import EventLog
    from projections.engine.watch_port import EngineEvent


def adopted_event(log: EventLog, event: EngineEvent, titles: Iterable[str]) -> EngineEvent:
    """The hint with the environment that adopted its container; as it is when none of `titles` did.

    A log that cannot be read for a moment costs the hint, which a pass makes good.
    """
    with suppress(OutsideError):
        for title in titles:
            project, _, name = title.partition("/")
            stream = environment_stream(project, name)
            for stored in log.read(stream=stream, type_name=ServiceAdopted.__name__):
                adopted = decode(stored)
                if isinstance(adopted, ServiceAdopted) and event.container in adopted.containers:
                    return replace(event, environment=title, service=adopted.service, container="")
    return event
