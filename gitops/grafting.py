"""Bringing what Compose files name in other repositories, before Compose runs.

What was brought may name more, so reading and bringing take turns until nothing is missing. No commit can
name itself, so a chain has an end; it may still be long, so it has a bound, as have the number of commits and
the time for all of them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable

from events.kernel.errors import OutsideError, UserError
from gitops.compose.closure import Missing
from gitops.compose.faults import COMPOSE_REMOTE_REFUSED
from gitops.preparation import Prepared
from gitops.remotes import Remotes
from gitops.source.exchange import GIT_UNREACHABLE
from gitops.source.grafted import GraftedTree
from gitops.source.tree import Tree

MAX_REMOTE_DEPTH = 4  # of a chain of other repositories, the first counted
REMOTES_SECONDS = 300.0  # for all that one render fetches
MAX_REMOTES = 20  # commits of other repositories; each is fetched once


async def with_remotes(
    tree: Tree, read: Callable[[Tree], Prepared], remotes: Remotes | None
) -> tuple[Tree, Prepared]:
    """The tree with all that is named in other repositories, and what was read from it.

    What is brought may name more; a chain ends after `MAX_REMOTE_DEPTH`. Raises UserError
    `compose-remote-refused` and what `remotes` raise, with the place that names it.
    """
    grafts: dict[str, Tree] = {}
    deadline = asyncio.get_running_loop().time() + REMOTES_SECONDS
    for depth in itertools.count():
        grafted = GraftedTree(tree, grafts)
        prepared = await asyncio.to_thread(read, grafted)
        missing = prepared.closure.missing
        if remotes is None or not missing:
            return grafted, prepared
        if depth == MAX_REMOTE_DEPTH:
            why = f"other repositories name others, more than {MAX_REMOTE_DEPTH} deep"
            raise _too_many(missing[0], why)
        if len(grafts) + len(missing) > MAX_REMOTES:
            raise _too_many(missing[0], f"more than {MAX_REMOTES} commits of other repositories are named")
        grafts |= await _brought(remotes, missing, deadline=deadline)
    raise AssertionError("it ends at a depth")  # pragma: no cover


async def _brought(remotes: Remotes, missing: Iterable[Missing], *, deadline: float) -> dict[str, Tree]:
    """The trees by their grafts. Raises what `remotes` raise, and OutsideError when they take too long."""
    found: dict[str, Tree] = {}
    for one in missing:
        try:
            async with asyncio.timeout_at(deadline):
                found[one.ref.graft] = await remotes.tree(one.ref)
        except TimeoutError as error:
            raise OutsideError(
                GIT_UNREACHABLE,
                f"the other repositories did not answer in {REMOTES_SECONDS:g} s together",
                where=one.where,
                next=f"git ls-remote {one.ref.url}",
            ) from error
        except (UserError, OutsideError) as error:
            raise type(error)(
                error.code, error.message, where=one.where, why=error.why, next=error.next
            ) from error
    return found


def _too_many(missing: Missing, why: str) -> UserError:
    return UserError(
        COMPOSE_REMOTE_REFUSED, why, where=missing.where, next="copy the files into the repository"
    )
