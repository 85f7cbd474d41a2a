"""Which commits of a watched branch are trusted, as the operator says in `controller.yml`.

The entry of `repositories` with the same repository and branch decides, however its address is spelled:
another scheme, a password in it or `.git` at its end make no other repository of it. Nothing in a repository
has a say in this; files of keys are taken from beside `controller.yml`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.repositories import local_or_url
from events.kernel.errors import UserError, Where
from gitops.source.address import parse_address
from gitops.source.signers import VERIFICATION_UNUSABLE
from gitops.source.trust import Verification, check_usable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from controller.repositories import Watched
    from gitops.config.controller import ControllerFile
    from gitops.config.operator import RepositorySection

_HEADS = "refs/heads/"


async def verification_for(
    settings: ControllerFile,
    *,
    file: Path,
    repository: Watched,
    branch: str,
    cwd: Path,
    say: Callable[[str], None],
) -> Verification:
    """What is wanted of the commits of a branch, found usable; `file` is where the settings were read.

    Raises UserError `verification-unusable` when two entries speak of the branch and differ, and when files
    or programs are missing. `say` is told when entries want verification and none is of this branch.
    """
    found = [one for one in settings.repositories if _means(one, repository, branch=branch, cwd=cwd)]
    wanted = {_verification(one, folder=cwd / file.parent) for one in found}
    if len(wanted) > 1:
        raise UserError(
            VERIFICATION_UNUSABLE,
            f"{len(found)} entries speak of {branch} of one repository, each with another verify",
            where=Where(file=str(file), key="repositories"),
            next="give them the same verify",
        )
    if not wanted:
        if any(one.verify.mode != "none" for one in settings.repositories):
            say(f"commits of {branch} are not verified: no entry of {file.name} is of this branch")
        return Verification()
    (verification,) = wanted
    await check_usable(verification)
    return verification


def _means(entry: RepositorySection, repository: Watched, *, branch: str, cwd: Path) -> bool:
    same_branch = entry.branch.removeprefix(_HEADS) == branch.removeprefix(_HEADS)
    return same_branch and _identity(entry.url, cwd) == _identity(repository.url, cwd)


def _identity(url: str, cwd: Path) -> str:
    """What is the same for all spellings of one repository. Raises UserError `repository-url-refused`."""
    return parse_address(local_or_url(url, cwd=cwd)).identity.rstrip("/").removesuffix(".git")


def _verification(entry: RepositorySection, *, folder: Path) -> Verification:
    verify = entry.verify
    if verify.mode == "none":
        return Verification()
    return Verification(
        mode=verify.mode,
        signers=None if verify.signers is None else folder / verify.signers,
        keyring=None if verify.keyring is None else folder / verify.keyring,
    )
