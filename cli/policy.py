"""The operator's settings for commands that deploy or show what a deploy would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from cli.settings import Settings
    from gitops.config.controller import ControllerFile

ControllerOption = Annotated[
    str | None,
    typer.Option(
        "--controller", metavar="FILE", help="The operator's settings; `controller.yml` in the home."
    ),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="PERMISSION",
        help="Let this Manifest have what policy does not give it, as in `host-network`; it is recorded.",
    ),
]


def operator_settings(settings: Settings, controller_file: str | None) -> ControllerFile:
    """The named file, else the home's. Raises UserError for a file that cannot be used."""
    from gitops.config.controller import load_controller_file

    path = controller_path(settings, controller_file)
    return load_controller_file(path, required=controller_file is not None)


def settings_at_hand(settings: Settings, controller_file: str | None) -> ControllerFile | None:
    """As `operator_settings`; None for the defaults where no file is named and the home has none.

    Whoever goes back on a bad day does not wait for schemas of a file that is not there.
    """
    if controller_file is None and not settings.home.controller_file.exists():
        return None
    return operator_settings(settings, controller_file)


def controller_path(settings: Settings, controller_file: str | None) -> Path:
    """Where the operator's settings stand; nothing need be there."""
    return settings.home.controller_file if controller_file is None else settings.cwd / controller_file


def permissions_of(words: list[str] | None) -> tuple[str, ...]:
    """What `--allow` names, sorted. Raises typer.BadParameter for a word that is no permission."""
    from gitops.permissions import checked_allowance

    try:
        return tuple(sorted({checked_allowance(word) for word in words or ()}))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--allow") from error
