"""`stagecraft hosts`: which machine and engine a host's name means."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.settings import Settings, group, required_reason, with_settings

app = group("Which machine and engine a host's name means.")


@app.command("rebind")
@with_settings("dry_run")
def rebind(
    settings: Settings,
    *,
    host: Annotated[str, typer.Argument(metavar="HOST", help="The host, such as `local`.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
) -> None:
    """Bind a host's name to the machine and engine that answer now.

    For a machine or an engine that was set up anew, or a home that moved to another machine: until then the
    host counts as unknown and nothing is touched there. The next deploy or look makes what is missing there.
    What still runs on the former engine is left alone.

    Exit codes: 0 it is bound, or was so already; 1 no such host; 2 the engine does not answer.
    """
    import asyncio

    from cli.actors import person
    from controller.bootstrap import open_context
    from controller.rebinding import consider_rebinding
    from controller.rebinding import rebind as run

    why = required_reason(reason, "a host is rebound")
    with open_context(settings.home, progress=settings.console.progress) as context:
        found = asyncio.run(consider_rebinding(context, host, reason=why))
        if found.change is None:
            settings.console.line(f"{host} means the engine {found.identity.engine} already; nothing changed")
            return
        if not settings.dry_run:
            run(context, host, rebinding=found, actor=person(context.actors))
    settings.console.line(
        f"{host} {'would mean' if settings.dry_run else 'means'} the engine {found.change.engine} on machine "
        f"{found.change.machine}; before: {found.change.former_engine} on {found.change.former_machine}\n"
        f"next: stagecraft status --live"
    )
