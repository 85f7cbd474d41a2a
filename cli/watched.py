"""Which branches `controller run` watches: the one that is named, or those that `controller.yml` lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import controller_path, operator_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cli.settings import Settings
    from controller.repositories import WatchedBranch
    from gitops.config.controller import ControllerFile

DEFAULT_BRANCH = "main"

RepoOption = Annotated[
    str | None,
    typer.Option(
        "--repo", metavar="URL|PATH", help="The repository to watch; those of controller.yml unless given."
    ),
]
BranchOption = Annotated[
    str | None, typer.Option("--branch", metavar="NAME", help="The branch of --repo; `main` unless given.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What one call watches."""

    file: ControllerFile
    folder: Path  # of the operator's file: relative paths in it start there
    places: Sequence[WatchedBranch]
    only: tuple[str, ...]  # environments to consider wherever they are; empty: all
    named: bool  # a person named the one branch there is


def chosen(
    settings: Settings, *, repo: str | None, branch: str | None, controller_file: str | None
) -> Choice:
    """The branches for these flags.

    Raises UserError for a file or an address that cannot be used and `repositories-none` when there is
    nothing to watch; typer.BadParameter for a branch without a repository.
    """
    from controller.listed import listed_branches, named_branch
    from controller.repositories import WatchedBranch, watched

    file = operator_settings(settings, controller_file)
    path = controller_path(settings, controller_file)
    if repo is None:
        if branch is not None:
            raise typer.BadParameter("it goes with --repo", param_hint="--branch")
        places = listed_branches(settings.home, file, path=path)
        return Choice(file=file, folder=path.parent, places=places, only=settings.environments, named=False)
    place = WatchedBranch(
        watched=watched(settings.home, repo, cwd=settings.cwd),
        branch=DEFAULT_BRANCH if branch is None else branch,
        environments=settings.environments,
    )
    places = [named_branch(place, file, folder=path.parent)]
    return Choice(file=file, folder=path.parent, places=places, only=(), named=True)


def check_commits(settings: Settings, choice: Choice, *, controller_file: str | None) -> None:
    """See that commits can be verified where they should be, and say where a named branch's are not.

    Raises UserError `verification-unusable`.
    """
    import asyncio

    from controller.trusting import check_verifiable, unverified_words

    asyncio.run(check_verifiable(choice.places))
    name = controller_path(settings, controller_file).name
    words = unverified_words(choice.places[0], choice.file, name=name) if choice.named else None
    if words is not None:
        settings.console.progress(words)
