"""The operator's settings for commands that deploy or show what a deploy would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from cli.settings import Settings
    from gitops.config.controller import ControllerFile
    from gitops.source.trust import Verification

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

    return load_controller_file(
        operator_file(settings, controller_file), required=controller_file is not None
    )


def operator_file(settings: Settings, controller_file: str | None) -> Path:
    """Where the operator's settings are, or would be."""
    return settings.home.controller_file if controller_file is None else settings.cwd / controller_file


def verification_of(
    settings: Settings, controller_file: str | None, *, repo: str, branch: str
) -> Verification:
    """Which commits of a branch that is about to be watched are trusted.

    Raises UserError for a file that cannot be used, the operator's or one that it names.
    """
    import asyncio

    from controller.repositories import watched
    from controller.trusting import verification_for

    return asyncio.run(
        verification_for(
            operator_settings(settings, controller_file),
            file=operator_file(settings, controller_file),
            repository=watched(settings.home, repo, cwd=settings.cwd),
            branch=branch,
            cwd=settings.cwd,
            say=settings.console.progress,
        )
    )


def permissions_of(words: list[str] | None) -> tuple[str, ...]:
    """What `--allow` names, sorted. Raises typer.BadParameter for a word that is no permission."""
    from gitops.permissions import checked_allowance

    try:
        return tuple(sorted({checked_allowance(word) for word in words or ()}))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--allow") from error
