"""What the commands that look into containers work with: an environment, its hosts and their engines."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from cli.settings import Settings
    from controller.placing import Placement
    from controller.targets import Target
    from events.log import EventLog
    from projections.converge.adopted import Adopted
    from projections.engine.docker import DockerEngine

HostOption = Annotated[
    str | None, typer.Option("--host", metavar="NAME", help="On this host; on all unless given.")
]
RoleOption = Annotated[
    str | None, typer.Option("--role", metavar="NAME", help="On the hosts of this role; on all unless given.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """One environment, and the engines of the hosts that were asked for."""

    target: Target
    lineage: str  # of our log
    adopted: Adopted  # containers that are ours by the log alone
    services: frozenset[str]  # by the log
    engines: Mapping[str, DockerEngine]  # by host
    without: tuple[str, ...]  # hosts that should run something and that there is no way to
    engines_now: Callable[[], Mapping[str, DockerEngine]]  # as `engines`, by what the log says by now


@contextmanager
def reached(settings: Settings, *, host: str | None, role: str | None) -> Generator[Reached]:
    """The environment that `--env` names and its hosts, or the one, or those of the role.

    Raises UserError `environment-required`, `environment-unknown`, `host-not-in-environment`,
    `role-not-in-environment` and what the log raises.
    """
    from cli.reading import History
    from controller.bootstrap import open_engines, open_log

    named = settings.required_environment()
    with open_log(settings.home) as log:
        target = History(settings, log).target(named)
        placement, lineage, adopted = _by_log(settings, log, target)
    with open_engines(settings.home, say=settings.console.progress) as engines:

        def engines_now() -> Mapping[str, DockerEngine]:
            with open_log(settings.home) as log:
                now, _, _ = _by_log(settings, log, target)
            return {one: engines[one] for one in now.hosts(host=host, role=role) if one in engines}

        hosts = placement.chosen(target, host=host, role=role, reached=engines)
        yield Reached(
            target=target,
            lineage=lineage,
            adopted=adopted,
            services=placement.every_service,
            engines={one: engines[one] for one in hosts if one in engines},
            without=tuple(one for one in hosts if one not in engines),
            engines_now=engines_now,
        )


def _by_log(settings: Settings, log: EventLog | None, target: Target) -> tuple[Placement, str, Adopted]:
    """Where things run, and what tells the environment's containers: the log's lineage, and adoptions."""
    from controller.decide.folding import fold
    from controller.placing import Placement, placement_of
    from events.streams import environment_stream
    from projections.converge.adopted import adopted_by_log
    from projections.engine.sweep import Owner

    if log is None:
        return Placement(), "", {}
    placement = placement_of(
        settings.home, fold(log.read_stream(environment_stream(target.project, target.name)))
    )
    owner = Owner(project=target.project, environment=target.name, log=log.lineage)
    adopted = {
        container: found
        for host in placement.services
        for container, found in adopted_by_log(log, owner, host).items()
    }
    return placement, log.lineage, adopted
