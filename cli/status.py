"""`stagecraft status`: what should run, what is deployed, and what the hosts last answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.ages import ago
from cli.moments import AtOption
from cli.settings import ENVIRONMENT_REQUIRED, Settings, with_settings
from cli.status_notes import notes, said
from events.kernel.errors import UserError

if TYPE_CHECKING:
    from cli.reading import History
    from controller.targets import Target
    from projections.observed import HostObservation, SourceFailure
    from projections.parking import Lag
    from projections.views.environments import Environment, Placed
    from projections.views.status import HostStatus, ServiceStatus, Status

_SHORT_DIGEST = len("sha256:") + 12
_SHORT_ID = 12


@with_settings("env")
def status(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the engines now instead of reading what they last answered.")
    ] = False,
    at: AtOption = None,
) -> None:
    """Show whether an environment runs what it should: desired, deployed, running, hold.

    Without --env the only environment there is, or one line for each of several. Reads what was recorded;
    no engine is asked without --live. With --at as the log knew it then, without what engines answered.

    Exit codes: 0 whatever the status is, also when a host does not answer; 1 no such environment, or no such
    time; 2 the log or what was recorded cannot be read.
    """
    from cli.log_words import log_line, say_problem
    from cli.reading import History
    from controller.bootstrap import open_log

    if live and at is not None:
        raise typer.BadParameter("engines answer for now, not for then", param_hint="--live with --at")
    with open_log(settings.home) as log:
        history = History(settings, log)
        targets = _targets(history)
        if at is not None:
            from cli.status_at import show_past

            show_past(history, targets, at, json=json)
            return
        if live:
            _look(settings, targets)
        shown = _joined(history, targets)
        lag = _lag(history, targets)
        say_problem(settings, log)
        of_the_log = None if json or len(shown) > 1 else log_line(settings, log)
    if len(shown) == 1:
        shown = [replace(shown[0], lag=lag)]
        _print_one(settings, shown[0], json=json)
    elif json:
        from cli.status_at import one_as_json

        raise one_as_json(targets)
    else:
        _print_overview(settings, shown)
        if lag is not None:
            settings.console.line("\n".join(lag_lines(lag)))
    if of_the_log is not None:
        settings.console.line(of_the_log)


def _lag(history: History, targets: Sequence[Target]) -> Lag | None:
    """What the view of environments waits with: of the one that is shown, or of any."""
    from projections.views.environment_fold import ENVIRONMENTS

    alone = targets[0] if len(targets) == 1 else None
    return history.lag(alone, [ENVIRONMENTS], now=datetime.now(UTC))


def lag_lines(lag: Lag) -> list[str]:
    """How far what is shown is behind the log, and with which streams."""
    lines = [f"  behind    {lag.events} events wait, the oldest since{_ago(lag.seconds)}"]
    for one in lag.parked:
        lines.append(f"            {one.stream} is shown as before position {one.position}: {one.words}")
        ends = "stagecraft views rebuild, after an upgrade" if one.why == "failed" else "upgrade Stagecraft"
        lines.append(f"            next: {ends}; stagecraft events list --after {one.position - 1} --limit 1")
    return lines


def _targets(history: History) -> list[Target]:
    """The environment that is named, or all that there are."""
    from cli.reading import read_project_file
    from controller.targets import Target
    from projections.views.environment_fold import ENVIRONMENTS
    from projections.views.environments import list_environments

    settings = history.settings
    if settings.environment is not None:
        return [history.target(settings.environment)]
    nothing: list[tuple[str, str]] = []
    known = history.ask([ENVIRONMENTS], list_environments, nothing=nothing, warns=False)
    if known:
        return [Target(project=project, name=name) for project, name in known]
    declared, fault = read_project_file(settings)
    if not declared:
        file = "there is no project file here" if fault is None else f"{settings.config}: {fault.message}"
        raise UserError(
            ENVIRONMENT_REQUIRED,
            "no environment is known",
            why=f"nothing was recorded in this home, and {file}",
            next=fault.next if fault else "stagecraft init, or name the home with --home DIR",
        )
    return declared


def _look(settings: Settings, targets: Sequence[Target]) -> None:
    from controller.observing import refresh_observed

    refresh_observed(settings.home, targets, progress=settings.console.progress)


def _joined(history: History, targets: Sequence[Target]) -> list[Status]:
    """The status of each environment, all by the log at one moment."""
    from projections.views.environment_fold import ENVIRONMENTS
    from projections.views.environments import find_environment, unseen

    unknown: list[Environment | None] = [None] * len(targets)
    known = history.ask(
        [ENVIRONMENTS],
        lambda tables: [find_environment(tables, one.project, one.name) for one in targets],
        nothing=unknown,
        warns=False,
    )
    return [
        _status(history.settings, target, found or unseen(target.project, target.name))
        for target, found in zip(targets, known, strict=True)
    ]


def _status(settings: Settings, target: Target, environment: Environment) -> Status:
    from projections.views.status import join

    hosts, looked_at, git_failure = _observed(settings, target)
    return join(environment, hosts, now=datetime.now(UTC), git_looked_at=looked_at, git_failure=git_failure)


def _observed(
    settings: Settings, target: Target
) -> tuple[Sequence[HostObservation], datetime | None, SourceFailure | None]:
    """What the hosts last answered, when Git last did, and why it does not now; asking makes no file."""
    path = settings.home.observed_db
    if not path.is_file():
        return (), None, None
    from projections.observed import ObservedStore

    store = ObservedStore(path)
    title = str(target)
    return store.load(title), store.looked_at(title), store.source_failure(title)


def _print_one(settings: Settings, shown: Status, *, json: bool) -> None:
    if json:
        settings.console.json(shown.as_json())
    else:
        settings.console.line("\n".join(_named_lines(settings, shown)))


def _named_lines(settings: Settings, shown: Status) -> list[str]:
    """The lines with the names of who stopped a service, which nobody is asked for when nobody did."""
    if all(service.stopped is None for host in shown.hosts for service in host.services):
        return status_lines(shown)
    from controller.bootstrap import open_names
    from events.kernel.errors import OutsideError

    try:
        with open_names(settings.home) as names:
            return status_lines(shown, names)
    except OutsideError as error:
        settings.console.warning(f"names are not shown: {error.message}")
        return status_lines(shown)


def _print_overview(settings: Settings, every: Sequence[Status]) -> None:
    rows = [
        (
            str(one.environment),
            one.sync,
            one.health,
            one.environment.deployed.release or "-",
            note_of(one.environment),
        )
        for one in every
    ]
    settings.console.table(("ENVIRONMENT", "SYNC", "HEALTH", "DEPLOYED", "NOTE"), rows)


def note_of(known: Environment) -> str:
    """The one word for what is out of the ordinary."""
    if known.destroyed is not None:
        return "destroyed"
    if known.orphaned is not None:
        return "orphaned"
    if known.hold is not None:
        return "held"
    if known.suspended is not None:
        return "suspended"
    if known.drained:
        return "drained"
    return "healing rests" if known.breaker is not None else ""


def _nobody(_actor_id: str) -> None:
    """No name is known."""


def status_lines(shown: Status, names: Callable[[str], str | None] = _nobody) -> list[str]:
    """The status for people: what is normal takes a line, what is not says why."""
    known = shown.environment
    return [
        f"{known}: {shown.sync}, {'destroyed' if known.destroyed else shown.health}",
        f"  git       {known.revision or '-'}{_ago(shown.git_seconds)}",
        *_silent_git(shown.git_failure),
        *_decided(known),
        *_mixed_lines(shown),
        *(line for host in shown.hosts for line in _host_lines(host, names, alone=len(shown.hosts) == 1)),
        *([f"  hosts last answered{_ago(shown.host_seconds)}"] if shown.hosts else []),
        *([] if shown.lag is None else lag_lines(shown.lag)),
    ]


def known_lines(known: Environment) -> list[str]:
    """What the log alone says of an environment, as in the status."""
    return [f"  git       {known.revision or '-'}", *_decided(known, advises=False)]


def _decided(known: Environment, *, advises: bool = True) -> list[str]:
    """`advises`: what is out of the ordinary comes with the command that ends it."""
    return [
        f"  desired   {_placed(known.desired)}",
        f"  deployed  {_placed(known.deployed)}",
        *_proven(known.deployed),
        *(f"  mixed     {host} {_mixed(digest)}" for host, digest in known.placed.items()),
        *notes(known, advises=advises),
    ]


def _proven(deployed: Placed) -> Iterable[str]:
    """What became of requests when what is deployed came."""
    if deployed.traffic is not None:
        from projections.traffic_words import traffic_words

        yield f"  traffic   {traffic_words(deployed.traffic)}"


def _mixed(digest: str | None) -> str:
    """What a host is to run that is not to run what is deployed."""
    return (
        "has parts of two Manifests, and is left so" if digest is None else f"runs {digest[:_SHORT_DIGEST]}"
    )


def _silent_git(failure: SourceFailure | None) -> Iterable[str]:
    if failure is not None:
        first, *_ = failure.error.splitlines()
        yield f"            no answer since {failure.since:%Y-%m-%dT%H:%M:%SZ}: {first}"


def _placed(placed: Placed) -> str:
    if placed.digest is None:
        return "-"
    return f"{placed.release or 'no release'} {placed.digest[:_SHORT_DIGEST]}"


def _mixed_lines(shown: Status) -> Iterable[str]:
    """A line for each service that runs in several versions."""
    for one in shown.mixed:
        versions = "; ".join(
            f"{version[:_SHORT_ID]} on {', '.join(hosts)}" for version, hosts in one.versions.items()
        )
        yield f"  mixed     {one.service} runs in {len(one.versions)} versions: {versions}"


def _host_lines(host: HostStatus, names: Callable[[str], str | None], *, alone: bool) -> Iterable[str]:
    """`alone`: its health is that of the environment, which stands above."""
    reachable = {True: "reachable", False: "not reachable", None: "unknown"}[host.reachable]
    health = f", {host.health}" if host.reachable and not alone else ""
    yield f"  {host.name}: {reachable}{health}{': ' if host.reason else ''}{host.reason}"
    width = max((len(service.name) for service in host.services), default=0)
    for service in host.services:
        yield f"    {service.name.ljust(width)}  {_service_text(service)}".rstrip()
        yield from (f"    {' ' * width}  drift: {words}" for words in service.drift)
        if service.stopped is not None:
            actor = service.stopped["actor"]
            by = f"stopped by {names(actor['id']) or actor['id']}"
            yield f"    {' ' * width}  {by}: {said(service.stopped)}"


def _service_text(service: ServiceStatus) -> str:
    containers = ", ".join(
        f"{one.id[:_SHORT_ID]} {one.state}{'' if one.health == 'none' else f' {one.health}'}"
        for one in service.containers
    )
    return f"{service.health.ljust(len('progressing'))}  {service.image}  {containers}"


def _ago(seconds: float | None) -> str:
    """` (5 min ago)`, ` (never)`."""
    return f" ({ago(seconds)})"
