"""`stagecraft status --at`: an environment as the log knew it at an earlier time.

The log says what was decided and done. What engines answered then is not kept anywhere, so sync, health and
freshness are left out, and the output says so; the containers are those that the log knew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.hosts import shown_image
from cli.moments import nothing_recorded, place_of
from cli.settings import ENVIRONMENT_REQUIRED, Settings
from events.kernel.errors import UserError

if TYPE_CHECKING:
    from cli.reading import History
    from controller.moments import Place
    from controller.targets import Target
    from events.log import EventLog
    from projections.views.at_hosts import Resident
    from projections.views.environments import Environment
    from projections.views.releases import Images

LEFT_OUT = ("sync", "health", "freshness")
_NOT_KEPT = "what engines answered then is not in the log: sync and health are left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One environment at a place in the log."""

    place: Place
    environment: Environment
    residents: tuple[Resident, ...]
    images: Images  # of the Releases that containers came with, and of what was deployed

    def as_json(self) -> dict[str, Any]:
        """The object of `status --at --json`; its keys are a published contract."""
        from projections.views.status import facts_json, refused

        known = self.environment
        return {
            "project": known.project,
            "environment": known.name,
            "at": self.place.as_json(),
            "left_out": list(LEFT_OUT),
            **facts_json(known),
            "active": None
            if known.active is None
            else {"release": known.active.id, "status": known.active.status},
            "refused": refused(known),
            "hold": known.hold,
            "suspended": known.suspended,
            "breaker": known.breaker,
            "orphaned": known.orphaned,
            "destroying": known.destroying,
            "destroyed": known.destroyed,
            "hosts": [self._host_json(host) for host in self._hosts()],
        }

    def _hosts(self) -> list[str]:
        """Every host that should run something or on which the log knew a container."""
        return sorted({*self.environment.services, *(one.host for one in self.residents)})

    def services(self, host: str) -> list[str]:
        """Every service that a host should run, jobs too, or of which the log knew a container there."""
        there = {one.service for one in self.residents if one.host == host}
        return sorted({*self.environment.services.get(host, {}), *there})

    def containers(self, host: str, service: str) -> list[Resident]:
        """The containers of a service on a host."""
        return [one for one in self.residents if (one.host, one.service) == (host, service)]

    def image(self, host: str, service: str) -> Mapping[str, str] | None:
        """The image of a service: of its newest container, else of what was deployed; None: unknown."""
        there = self.containers(host, service)
        release = there[-1].release if there else self.environment.deployed.release
        return self.images.get(release or "", {}).get(service)

    def _host_json(self, host: str) -> dict[str, Any]:
        return {
            "name": host,
            "services": [
                {
                    "name": service,
                    "image": self.image(host, service),
                    "containers": [
                        {"id": one.container, "release": one.release, "since": one.since, "note": one.note}
                        for one in self.containers(host, service)
                    ],
                    "finished_job": (host, service) in self.environment.finished_jobs,
                    "stopped": self.environment.stopped.get((host, service)),
                }
                for service in self.services(host)
            ],
        }

    def lines(self) -> list[str]:
        """The same for people."""
        from cli.status import known_lines

        return [
            f"{self.environment} as of {self.place}",
            *known_lines(self.environment),
            *(line for host in self._hosts() for line in self._host_lines(host)),
            f"  {_NOT_KEPT}",
        ]

    def _host_lines(self, host: str) -> Iterable[str]:
        yield f"  {host}:"
        services = self.services(host)
        width = max((len(service) for service in services), default=0)
        for service in services:
            begin = f"    {service.ljust(width)}  {shown_image(self.image(host, service))}"
            containers = self.containers(host, service)
            if not containers:
                finished = (host, service) in self.environment.finished_jobs
                yield f"{begin}  {'finished job' if finished else 'no container known'}"
            for one in containers:
                note = f"  {one.note}" if one.note else ""
                yield f"{begin}  {one.container[:12]} since {one.since} by {one.release}{note}"


def show_past(history: History, targets: Sequence[Target], when: str, *, json: bool) -> None:
    """Print one environment, or a line for each of several, as of `when`."""
    settings, log = history.settings, history.log
    if log is None:
        raise nothing_recorded(when)
    place = place_of(log, when)
    if len(targets) == 1:
        past = _past(history, log, targets[0], place)
        if json:
            settings.console.json(past.as_json())
        else:
            settings.console.line("\n".join(past.lines()))
    elif json:
        raise one_as_json(targets)
    else:
        _print_overview(settings, [_environment(history, log, one, place) for one in targets], place)


def one_as_json(targets: Sequence[Target]) -> UserError:
    """`environment-required`: `status --json` prints one environment, and there are several."""
    return UserError(
        ENVIRONMENT_REQUIRED,
        "there are several environments, and --json prints one",
        why=f"known environments: {', '.join(map(str, targets))}",
        next="add --env NAME",
    )


def _environment(history: History, log: EventLog, target: Target, place: Place) -> Environment:
    from projections.views.at import environment_at
    from projections.views.environments import unseen

    then = environment_at(log, target.project, target.name, position=place.position)
    if then.waits_from is not None:
        history.settings.console.warning(
            f"{target} is shown as it was before position {then.waits_from}, which a newer Stagecraft wrote"
        )
    return then.environment or unseen(target.project, target.name)


def _past(history: History, log: EventLog, target: Target, place: Place) -> Past:
    from projections.views.at_hosts import RESIDENTS, ran_in
    from projections.views.release_fold import RELEASES
    from projections.views.releases import images_of_releases

    environment = _environment(history, log, target, place)

    def query(tables: sqlite3.Connection) -> tuple[tuple[Resident, ...], Images]:
        residents = tuple(ran_in(tables, target.project, target.name, position=place.position))
        releases = [*(one.release for one in residents), environment.deployed.release or ""]
        return residents, images_of_releases(tables, releases)

    residents, images = history.read(log, [RESIDENTS, RELEASES], query)
    return Past(place=place, environment=environment, residents=residents, images=images)


def _print_overview(settings: Settings, every: Sequence[Environment], place: Place) -> None:
    from cli.status import note_of

    settings.console.progress(f"as of {place}; {_NOT_KEPT}")
    rows = [
        (
            str(one),
            one.deployed.release or "-",
            one.desired.release or one.desired.digest or "-",
            note_of(one),
        )
        for one in every
    ]
    settings.console.table(("ENVIRONMENT", "DEPLOYED", "DESIRED", "NOTE"), rows)
