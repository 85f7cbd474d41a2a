"""`stagecraft drift`: what differs now between what is deployed and what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.ages import ago
from cli.policy import ControllerOption
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from controller.drifting import Report

_SHORT_ID = 12
_USER, _OUTSIDE = 1, 2
_COLUMNS = ("HOST", "SERVICE", "CONTAINER", "FIELD", "WANTED", "FOUND", "OWNER", "REPORTED")


@with_settings("env")
def drift(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="End with exit code 1 when something differs.")
    ] = False,
    controller_file: ControllerOption = None,
) -> int:
    """Show what differs now between what is deployed and what runs, field by field.

    Every container is inspected; nothing is changed and nothing recorded. Of variables and labels only the
    names are shown. A host that does not answer is unknown: nothing on it counts as missing.

    Exit codes: 0 every host answered, also when something differs; 1 nothing is deployed or no such
    environment, and with --check when something differs; 2 a host does not answer.
    """
    from cli.policy import settings_at_hand
    from controller.bootstrap import open_context, open_log
    from controller.drifting import ask
    from controller.targets import find_environment

    named = settings.required_environment()
    operator = settings_at_hand(settings, controller_file)
    with open_log(settings.home) as log:
        target = find_environment(log, named)
    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        report = ask(context, target)
    if json:
        settings.console.json(report.as_json())
    else:
        _print(settings, report)
    if report.unknown:
        return _OUTSIDE
    return _USER if check and report.rows else 0


def _print(settings: Settings, report: Report) -> None:
    for host in report.unknown:
        settings.console.warning(f"{host.host} is unknown: {host.reason}")
    if report.rows:
        rows = [
            (
                row.host,
                row.service,
                row.container[:_SHORT_ID] or "-",
                row.field,
                row.wanted,
                row.found,
                row.owner,
                ago(report.age_seconds(row)),
            )
            for row in report.rows
        ]
        settings.console.table(_COLUMNS, rows)
    elif not report.unknown:
        settings.console.line(f"{report.target} runs what is deployed")
    settings.console.line(_what_follows(report))


def _what_follows(report: Report) -> str:
    if report.active is not None:
        return f"{report.active} is under way; what differs may be its doing"
    words = {
        "on": "a running controller heals what differs",
        "off": f"the policy is `{report.policy}`: what differs is left as it is; "
        f"`stagecraft start SERVICE --env {report.target}` brings one service back",
        "suspended": f"suspended: nothing is healed; stagecraft resume --env {report.target} --suspend",
        "rests": f"healing rests; stagecraft resume --env {report.target}",
    }
    return words[report.healing]
