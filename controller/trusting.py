"""What is said and checked of the trust in commits before the first look at any branch.

What is wanted of a branch's commits stands in its rules (`listed.py`). Here it is found out at the start
whether it can be verified at all, not at the first commit that comes in the night.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.source.trust import check_usable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.repositories import WatchedBranch
    from gitops.config.controller import ControllerFile


async def check_verifiable(places: Iterable[WatchedBranch]) -> None:
    """Raise UserError `verification-unusable` unless the commits of all these branches can be verified."""
    for verification in dict.fromkeys(place.rules.verification for place in places):
        await check_usable(verification)


def unverified_words(place: WatchedBranch, file: ControllerFile, *, name: str) -> str | None:
    """A line for a branch that no entry of the file `name` is of, though entries want commits verified."""
    if place.rules.entry or all(one.verify.mode == "none" for one in file.repositories):
        return None
    return f"commits of {place.branch} are not verified: no entry of {name} is of this branch"
