"""`stagecraft doctor`: does this machine have what is needed."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.settings import Settings, with_settings


@with_settings()
def doctor(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> int:
    """Check the tools, the engine, the home and the clock, one line each with the command that helps.

    Nothing is changed. A warning is no failure.

    Exit codes: 0 nothing fails; 1 something that you can mend here does; 2 the engine, the Compose client
    or the log does.
    """
    from datetime import UTC, datetime

    from controller.diagnosis import diagnose

    findings = diagnose(settings.home, environ=settings.environ, now=datetime.now(UTC))
    if json:
        settings.console.json([one.as_json() for one in findings])
    else:
        width = max(len(one.name) for one in findings)
        for one in findings:
            advice = f"; next: {one.next}" if one.next else ""
            settings.console.line(f"{one.status.ljust(4)}  {one.name.ljust(width)}  {one.detail}{advice}")
    return max(one.blame for one in findings)
