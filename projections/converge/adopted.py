"""Containers that are ours by the log alone: what they count as, and for whom.

Labels cannot be added to a container, so for one that was adopted the log says what labels say for others.
It is said at one place, where a host is looked at: from there on an adopted container looks like one of ours
in every plan, check, gate and removal, and nothing else has to know. (A second list of ids beside the
containers was dropped: each reader would have had to remember it.)

One that was taken over although it differs has a hash of its own. Healing lets it be, because nobody asked
for a restart; a Release finds that it is not as the Manifest says and replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from events import labels
from events.catalog import decode
from events.catalog.adoption import ServiceAdopted
from events.log import EventLog
from events.streams import environment_stream
from projections.engine.port import Container
from projections.engine.sweep import Owner

_ONE_OFF = "com.docker.compose.oneoff"
_AS_IT_IS = "as-adopted:"

Adopted = Mapping[str, Mapping[str, str]]  # labels by container id


def adopted_by_log(log: EventLog, owner: Owner, host: str) -> Adopted:
    """What the log says of one environment's containers on one host that carry no label of ours."""
    stream = environment_stream(owner.project, owner.environment)
    found: dict[str, Mapping[str, str]] = {}
    for stored in log.read(stream=stream, type_name=ServiceAdopted.__name__):
        event = decode(stored)
        if isinstance(event, ServiceAdopted) and event.host == host:
            found.update(dict.fromkeys(event.containers, _labels(event, owner)))
    return found


def dressed(containers: Iterable[Container], adopted: Adopted) -> list[Container]:
    """The containers, adopted ones with the labels that they count as having."""
    return [
        replace(one, labels={**one.labels, **adopted[one.id]}) if one.id in adopted else one
        for one in containers
    ]


def hash_as_it_is(service_hash: str) -> str:
    """The hash of a container that differs and was taken over all the same."""
    return f"{_AS_IT_IS}{service_hash}"


def _labels(event: ServiceAdopted, owner: Owner) -> dict[str, str]:
    counted = hash_as_it_is(event.service_hash) if event.differences else event.service_hash
    return {
        labels.PROJECT: owner.project,
        labels.ENVIRONMENT: owner.environment,
        labels.SERVICE: event.service,
        labels.SERVICE_HASH: counted,
        labels.LOG: owner.log,
        **({} if event.host_env is None else {labels.HOST_ENV: event.host_env}),
        **({_ONE_OFF: "True"} if event.job else {}),
    }
