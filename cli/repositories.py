"""`stagecraft repositories`: the branches that are watched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.ages import ago
from cli.policy import ControllerOption
from cli.settings import Settings, group, with_settings

app = group("The branches that are watched.")
_SHORT_REVISION = 12


@app.command("list")
@with_settings()
def list_repositories(
    settings: Settings,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    controller: ControllerOption = None,
) -> None:
    """List the watched branches: what is deployed from each, and when it last answered.

    Those that controller.yml lists under `repositories`; without such a list, those that `controller run`
    was given by --repo. Nothing is asked: it shows what was recorded, also while no controller runs.

    Exit codes: 0 whatever the branches are like; 1 a controller.yml that cannot be used; 2 the log or what
    was recorded cannot be read.
    """
    from cli.policy import controller_path, operator_settings
    from controller.bootstrap import open_log
    from controller.repository_list import branch_rows
    from projections.observed import ObservedStore

    file = operator_settings(settings, controller)
    path = settings.home.observed_db
    answers = ObservedStore(path).answers() if path.is_file() else {}
    with open_log(settings.home) as log:
        rows = branch_rows(
            file,
            log,
            answers,
            folder=controller_path(settings, controller).parent,
            now=datetime.now(UTC),
        )
    if json:
        settings.console.json([row.as_json() for row in rows])
        return
    if not rows:
        settings.console.line(
            "no branch is watched; list one under repositories in controller.yml, or run: "
            "stagecraft controller run --repo URL"
        )
        return
    settings.console.table(
        ("REPOSITORY", "BRANCH", "ENVIRONMENTS", "REVISION", "ANSWERED"),
        [
            (
                row.url,
                row.branch,
                ", ".join(row.environments) or "-",
                (row.last_seen_revision or "-")[:_SHORT_REVISION],
                ago(row.freshness_seconds),
            )
            for row in rows
        ],
    )
