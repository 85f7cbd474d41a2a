"""`stagecraft why`: the chain from a commit to a container, and why something did not happen."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from cli.reading import History
    from projections.views.why.answer import Answer, Names, Step
    from projections.views.why.subjects import Place, Shown

_MOST_STEPS = 24  # of a text: a usual chain, and no more than a screen
_WIDEST_KIND = len("operation")


@with_settings("env")
def why(
    settings: Settings,
    *,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help="A service, the first digits of a container or a commit, or a Release; "
            "`container:4e07` where that could mean several.",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say why a service, a container, a Release or a commit is as it is, from the log alone.

    The chain leads from a commit over the look that saw it, its Manifest and the decision with its rule to
    what was done and how it ended, each step with its time, who caused it, and the position of its event.
    What did not happen has its reasons too: a commit that changes nothing, a hold, a refusal, a failure.

    Neither the engine nor Git is asked. A service that several environments have needs --env.

    Exit codes: 0 also when the answer is that something did not happen; 1 nothing of that name is known, or
    it means several things; 2 the log cannot be read.
    """
    from controller.bootstrap import open_log

    with open_log(settings.home) as log:
        from cli.reading import History

        answer = _answer(History(settings, log), subject)
        with _names(settings) as names:
            if json:
                settings.console.json(answer.as_json(names))
            else:
                settings.console.line("\n".join(answer_lines(answer, names)))


def _answer(history: History, word: str) -> Answer:
    from events.kernel.errors import UserError
    from projections.views.why.reading import why as ask
    from projections.views.why.subjects import SUBJECT_UNKNOWN
    from projections.views.why.traces import TRACES

    named, log = history.settings.environment, history.log
    if log is None:
        raise UserError(
            SUBJECT_UNKNOWN,
            f"the log knows no service, container, Release or commit {word!r}",
            why="nothing was recorded in this home yet",
            next="stagecraft status, or name the home with --home DIR",
        )
    environment: Place | None = None
    if named is not None:
        target = history.target(named)
        environment = (target.project, target.name)
    return history.read(
        log,
        [TRACES],
        lambda tables: ask(log, tables, word, environment=environment, shown=lambda: _shown(history)),
    )


def _shown(history: History) -> list[Shown]:
    """The containers that engines last showed, as `observed.db` keeps them; none where it is not there."""
    from controller.targets import known_targets
    from projections.observed import ObservedStore
    from projections.views.why.subjects import Shown

    path = history.settings.home.observed_db
    if not path.is_file():
        return []
    store = ObservedStore(path)
    return [
        Shown(id=container.id, project=target.project, name=target.name, host=host.host, service=service.name)
        for target in known_targets(history.log)
        for host in store.load(str(target))
        for service in host.services
        for container in service.containers
    ]


@contextmanager
def _names(settings: Settings) -> Generator[Names]:
    """Who is behind an actor's id; nobody where no names are kept, or where they cannot be read."""
    from controller.bootstrap import open_names
    from events.kernel.errors import OutsideError

    try:
        with open_names(settings.home) as names:
            yield names
    except OutsideError as error:
        settings.console.warning(f"names are not shown: {error.message}")
        yield lambda _id: None


def answer_lines(answer: Answer, names: Names) -> list[str]:
    """The answer for people: the sentence, the chain, the reasons against, and where to read on."""
    lines = [answer.sentence]
    if answer.steps:
        fitting = _fitting(answer.steps)
        lines += ["", *_step_lines(fitting, names)]
        if left := len(answer.steps) - len(fitting):
            lines.append(f"  … and {left} operations more; --json has all")
    if answer.because_not:
        lines += ["", "against it:", *_step_lines(answer.because_not, names)]
    shown = [*answer.steps, *answer.because_not]
    if shown:
        position = shown[-1].event.position
        reads = f"stagecraft events list --json --after {position - 1} --limit 1"
        lines += ["", f"#N is an event's position; #{position} in full: {reads}"]
    return lines


def _fitting(steps: tuple[Step, ...]) -> list[Step]:
    """At most a screen of steps: operations are left out from the middle first."""
    left = len(steps) - _MOST_STEPS
    if left <= 0:
        return list(steps)
    operations = [one for one in steps if one.kind == "operation"]
    dropped = {id(one) for one in operations[1:-1][:left]}
    return [one for one in steps if id(one) not in dropped]


def _step_lines(steps: Iterable[Step], names: Names) -> list[str]:
    return [_step_line(one, names) for one in steps]


def _step_line(one: Step, names: Names) -> str:
    """`2026-11-21 03:04:54  decision   rel-…: …  [branch-shows-it]  Ann  #23`."""
    from events.kernel.clock import format_utc

    at = format_utc(one.event.time)[:19].replace("T", " ")
    who = names(one.actor.id) or (one.actor.id if one.actor.id != one.actor.kind else "")
    by = f"{one.actor.kind} {who}".strip()
    rule = f"  [{one.rule}]" if one.rule else ""
    return f"  {at}  {one.kind.ljust(_WIDEST_KIND)}  {one.text}{rule}  by {by}  #{one.event.position}"
