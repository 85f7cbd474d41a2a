"""`stagecraft log`: going on when the log does not verify."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.settings import Settings, group, required_reason, with_settings

app = group("Go on in a new log when this one does not verify.")


@app.command("fork")
@with_settings("dry_run")
def fork(
    settings: Settings,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
) -> None:
    """Go on in a new log where the present one does not verify; the old file is kept beside it.

    The new log begins with what was wrong, the last event and seal that fit, who forked it and why. Every
    event that can still be read comes over with its id, time and actor, so that deploys, rollbacks and
    `status` go on as before. No other process may have the log open: end the controller first.

    Exit codes: 0 the new log is in place; 1 the log verifies; 2 the log is in use or cannot be read.
    """
    from cli.actors import person
    from controller.bootstrap import fork_of, open_people

    why = required_reason(reason, "a log is forked")
    with open_people(settings.home) as actors:
        one = fork_of(settings.home, actor=person(actors), reason=why)
        if settings.dry_run:
            problem = one.problem()
            settings.console.line(
                f"event {problem.position}: {problem.kind}: {problem.detail}; would be forked"
            )
            return
        made = one.made()
    left = f"; {len(made.left)} that cannot be read stayed behind" if made.left else ""
    settings.console.line(
        f"{made.carried} events were carried over{left}; the old log is kept as {made.kept_as}\n"
        f"next: start the controller again; stagecraft audit verify"
    )
