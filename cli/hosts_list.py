"""`stagecraft hosts list`: which hosts there are, where, and who says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import ControllerOption, operator_settings
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from controller.host_list import ListedHost


@with_settings()
def list_command(
    settings: Settings,
    *,
    controller: ControllerOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the hosts: where each is, who says so, what runs there, and whether it answered last.

    They are this machine, those of controller.yml, and those that repositories place and may deploy to. No
    host is asked; `hosts check` asks.

    Exit codes: 0; 1 controller.yml cannot be used; 2 the log cannot be read.
    """
    listed = listed_hosts(settings, controller)
    if json:
        settings.console.json({"hosts": [one.as_json() for one in listed.values()]})
        return
    rows = [(name, one.address, one.origin, one.roles, one.answer) for name, one in listed.items()]
    settings.console.table(("HOST", "ADDRESS", "ORIGIN", "ROLES", "ANSWERS"), rows)


def listed_hosts(settings: Settings, controller: str | None = None) -> dict[str, ListedHost]:
    """Every host by name. Raises what reading the operator's file, the log and `observed.db` raises."""
    from controller.bootstrap import open_log
    from controller.host_list import list_hosts
    from events.blobs import FileBlobStore
    from projections.observed import ObservedStore

    file = operator_settings(settings, controller)
    store = ObservedStore(settings.home.observed_db)
    answers = store.host_answers() if settings.home.observed_db.is_file() else {}
    with open_log(settings.home) as log:
        return list_hosts(log, file, FileBlobStore(settings.home.blobs), answers)
