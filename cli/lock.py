"""`stagecraft lock`: who is changing an environment, and an end to one that hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings, group, required_reason, with_settings

if TYPE_CHECKING:
    from controller.holders import Holder
    from controller.targets import Target
    from events.log import EventLog

app = group("Who is changing an environment on this machine.")


@app.command("show")
@with_settings("env")
def show(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Show who holds the lock of each environment, or of the one named with --env.

    A lock that nobody holds is free, whatever became of its last holder. The token counts who took the
    environment over; a holder that has written nothing yet has none.

    Exit codes: 0 held or free; 1 no such environment; 2 the log cannot be read.
    """
    from controller.bootstrap import open_log
    from controller.holders import holder_of
    from controller.locks import lock_file
    from controller.targets import known_targets

    with open_log(settings.home) as log:
        named = settings.environment
        targets = known_targets(log) if named is None else [_target(settings, log, named)]
    found = [(target, holder_of(lock_file(settings.home.run, str(target)))) for target in targets]
    if json:
        settings.console.json(
            [
                {"environment": str(target), "holder": None if holder is None else holder.as_json()}
                for target, holder in found
            ]
        )
        return
    rows = [(str(target), *_cells(holder)) for target, holder in found]
    if rows:
        settings.console.table(("ENVIRONMENT", "LOCK", "PID", "STATE", "TOKEN", "SINCE", "PURPOSE"), rows)
    else:
        settings.console.line("No environments found")


@app.command("break")
@with_settings("env", "dry_run")
def break_command(
    settings: Settings,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
) -> None:
    """End the process that holds the environment's lock, at once and without asking.

    For a holder that hangs: an environment whose holder has died is free by itself. The process gets
    SIGKILL, and what it had started ends with it; it is never another process than the one that took the
    lock. The next look or command takes up what it left.

    Exit codes: 0 the lock is free; 1 nobody holds it, or no such environment; 2 the holder cannot be told
    or ended.
    """
    from cli.actors import person
    from controller.bootstrap import open_context, open_log
    from controller.breaking import break_lock
    from controller.holders import require_holder
    from controller.locks import lock_file

    required_reason(reason, "a lock is broken")
    named = settings.required_environment()
    with open_log(settings.home) as log:
        target = _target(settings, log, named)
    holder = require_holder(lock_file(settings.home.run, str(target)), str(target))
    if settings.dry_run:
        settings.console.line(f"process {holder.pid} ({holder.purpose}) would be ended")
        return
    with open_context(settings.home, progress=settings.console.progress) as context:
        ended = break_lock(context, target, reason=reason, actor=person(context.actors))
        left = ended.survivors()
    count = len(ended.children) - len(left)
    settings.console.line(
        f"{target}: process {ended.pid} was killed ({ended.holder.purpose}, since {ended.holder.since})"
        + (f", {count} that it had started ended with it" if count else "")
        + f"; the lock is free\nnext: stagecraft status --env {target} --live"
    )
    if left:
        settings.console.warning(f"still there, started by it: {', '.join(map(str, left))}")


def _target(settings: Settings, log: EventLog | None, named: str) -> Target:
    """The environment that a name means; one in full that has a lock's file counts as known.

    A first deploy that hangs holds a lock before the log knows its environment.
    """
    from cli.reading import History
    from controller.locks import lock_file
    from controller.targets import Target

    project, _, name = named.partition("/")
    if name and lock_file(settings.home.run, named).is_file():
        return Target(project=project, name=name)
    return History(settings, log).target(named)


def _cells(holder: Holder | None) -> tuple[str, ...]:
    if holder is None:
        return ("free", "", "", "", "", "")
    token = "" if holder.token is None else str(holder.token)
    return ("held", str(holder.pid or "?"), holder.state, token, holder.since, holder.purpose)
