"""A long log, made quickly: a team's years, so many events of all kinds in plausible order.

Environments take turns. Each deploy is a commit that a branch shows, its render, the decision, the Release
with its phases and exchanges, and the verdict; between deploys containers end, drift is healed and hosts go
and come. Event ids count up, times go on by seconds, and events are appended in pages of thousands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from events.envelope import CONTROLLER, ProposedEvent
from events.log import EventLog, StreamAppend
from events.schemas import SCHEMAS
from events.streams import StreamName, environment_stream, host_stream, release_stream, repository_stream

PAGE_EVENTS = 2_500  # about one deploy of each environment
_START = datetime(2020, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=97)
_SERVICES = ("api", "db", "web", "worker")
_PHASES = ("build", "push", "migrate_pre", "rollout", "migrate_post", "finalize")

_Said = tuple[StreamName, str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LongLog:
    """What a log was filled with."""

    events: int
    environments: tuple[str, ...]  # `<project>/<name>`
    releases: int
    newest_release: str
    newest_revision: str


def fill(log: EventLog, *, events: int, environments: int = 100, projects: int = 10) -> LongLog:
    """Append so many events to an empty log."""
    places = [(f"app{number % projects}", f"env{number:03}") for number in range(environments)]
    story = _Story(places)
    page: list[_Said] = []
    position = 0
    for said in story.told():
        page.append(said)
        if len(page) == PAGE_EVENTS or position + len(page) == events:
            _append(log, page, position)
            position += len(page)
            page = []
            if position == events:
                break
    return LongLog(
        events=events,
        environments=tuple(f"{project}/{name}" for project, name in places),
        releases=story.number,
        newest_release=story.completed,
        newest_revision=story.revision,
    )


def _append(log: EventLog, page: list[_Said], position: int) -> None:
    """One append of a page, in which events stand by stream: an environment's, then its Release's."""
    streams: dict[StreamName, list[ProposedEvent]] = {}
    for number, (stream, type_name, data) in enumerate(page, start=position + 1):
        event_id = UUID(int=number)
        event = ProposedEvent(
            id=event_id,
            type=type_name,
            schema=SCHEMAS[type_name],
            time=_START + number * _STEP,
            actor=CONTROLLER,
            correlation=event_id,
            causation=None,
            data=json.dumps(data, sort_keys=True, separators=(",", ":")).encode(),
        )
        streams.setdefault(stream, []).append(event)
    log.append([StreamAppend(stream=stream, events=tuple(events)) for stream, events in streams.items()])


def _hex(text: str, number: int, digits: int) -> str:
    """Digits that look random and are not."""
    mixed = (number * 0x9E3779B97F4A7C15 + sum(text.encode()) * 0xC2B2AE3D27D4EB4F) % 2**64
    return f"{mixed:016x}{number:0{digits - 16}x}"


class _Story:
    """Tells events for ever, one environment after the other."""

    def __init__(self, places: list[tuple[str, str]]) -> None:
        self._places = places
        self._former: dict[tuple[str, str], str] = {}
        self._running: dict[tuple[str, str], int] = {}  # the deploy whose containers run
        self.number = 0
        self.revision = ""
        self.completed = ""

    def told(self) -> Iterator[_Said]:
        while True:
            place = self._places[self.number % len(self._places)]
            yield from self._deploy(place)
            self.number += 1

    def _deploy(self, place: tuple[str, str]) -> Iterator[_Said]:
        number, (project, name) = self.number, place
        environment = environment_stream(project, name)
        revision, former = _hex("revision", number, 40), self._former.get(place)
        digest = f"sha256:{_hex('digest', number, 64)}"
        release = f"rel-{_START + number * timedelta(minutes=40):%Y%m%d-%H%M%S}{number % 1000:03}"
        fails = number % 40 == 39
        yield repository_stream(project), "RevisionObserved", _observed(place, revision, number)
        yield environment, "ManifestRendered", _rendered(digest, revision, number)
        yield (
            environment,
            "DeployRequested",
            {
                "release": release,
                "digest": digest,
                "version": revision,
                "revision": revision,
                "previous": former,
                "trigger": "git",
                "retry_of": None,
                "allowed": [],
            },
        )
        yield environment, "ReleaseStarted", {"release": release, "digest": digest}
        own = release_stream(release)
        for phase in _PHASES:
            yield own, "PhaseStarted", {"phase": phase}
            if phase == "rollout":
                yield from (self._replaced(own, service, place) for service in _SERVICES)
                self._running[place] = number
            yield own, "PhaseCompleted", {"phase": phase, "detail": "no-op"}
        if fails:
            yield environment, "ReleaseFailed", _failed(release, digest)
        else:
            hosts = {"local": {"status": "completed", "digest": digest, "reason": ""}}
            completed = {"release": release, "digest": digest, "hosts": hosts, "traffic": None}
            yield environment, "ReleaseCompleted", completed
            self._former[place] = release
            self.completed, self.revision = release, revision
        yield from _between(environment, number)

    def _replaced(self, own: StreamName, service: str, place: tuple[str, str]) -> _Said:
        former = self._running.get(place)
        data = {
            "host": "local",
            "service": service,
            "old_ids": [] if former is None else [_hex(service, former, 64)],
            "new_ids": [_hex(service, self.number, 64)],
            "reason": "changed",
            "rollout": "start-first",
            "because": [],
            "milliseconds": 900,
        }
        return own, "ServiceReplaced", data


def _observed(place: tuple[str, str], revision: str, number: int) -> dict[str, Any]:
    return {
        "ref": "refs/heads/main",
        "revision": revision,
        "previous": _hex("revision", number - 1, 40),
        "tree": _hex("tree", number, 40),
        "author": "act-1",
        "subject": f"change {number}",
        "affected": ["/".join(place)],
        "declared": ["/".join(place)],
        "wanted": ["/".join(place)],
        "signer": None,
        "signing_key": None,
        "takes_back": [],
        "tag": None,
        "committed_at": None,
    }


def _rendered(digest: str, revision: str, number: int) -> dict[str, Any]:
    pin = f"sha256:{_hex('pin', number, 64)}"
    return {
        "digest": digest,
        "revision": revision,
        "version": revision,
        "render_key": f"sha256:{_hex('key', number, 64)}",
        "inputs": {"compose.yaml": _hex("file", number, 40), "stagecraft.yml": _hex("file", 1, 40)},
        "renderer": "1",
        "services": {"local": {service: _hex(service, number, 64) for service in _SERVICES}},
        "images": {
            service: {"ref": f"{service}:{number}", "pin": pin, "pin_kind": "repo-digest"}
            for service in _SERVICES
        },
        "findings": [],
        "unset_variables": [],
        "refresh": "never",
        "drift": "heal",
    }


def _failed(release: str, digest: str) -> dict[str, Any]:
    failure = {
        "code": "service-unhealthy",
        "message": "web never became healthy",
        "cause": "repository",
        "host": "local",
        "service": "web",
        "where": "",
        "why": "",
        "next": "",
        "exit_code": None,
        "health_output": "",
        "log_tail": ["started", "cannot connect"],
    }
    return {"release": release, "digest": digest, "failure": failure, "touched": []}


def _between(environment: StreamName, number: int) -> Iterator[_Said]:
    """What happens by itself from time to time."""
    if number % 5 == 0:
        since = f"{_START:%Y-%m-%dT%H:%M:%S.000Z}"
        changed = {"host": "local", "service": "worker", "state": "oom", "count": 2, "since": since}
        yield environment, "ContainerStateChanged", changed
    if number % 7 == 0:
        drifted = {"host": "local", "services": {"web": "missing"}, "policy": "heal"}
        yield environment, "DriftDetected", drifted
        yield environment, "DriftHealed", {"host": "local", "services": ["web"], "left": []}
    if number % 500 == 0:
        yield host_stream("local"), "HostUnreachable", {"host": "local", "reason": "no route"}
        reached = {"machine": "m", "engine": "e", "engine_version": "27.0", "api_version": "1.47"}
        yield host_stream("local"), "HostReached", {"host": "local", **reached}
