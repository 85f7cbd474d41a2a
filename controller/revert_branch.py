"""What a rollback would have Git take back: from the log, for a branch at the Git host.

A rollback holds Manifests to be bad. The newest commit that led to one of them is the newest to take back,
and the commit that the rollback runs is where to go. A commit that no watched branch showed is nobody's to
revert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.decide.folding import fold
from events.catalog import decode
from events.catalog.revision import RevisionObserved
from events.kernel.errors import UserError
from events.refs import branch_ref, range_of, shown_ref
from events.streams import environment_stream
from gitops.source.revert_branch import REVERT_NOT_POSSIBLE, RevertPlan

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState, Release
    from controller.targets import Target
    from events.log import EventLog

PREFIX = "stagecraft/revert-"


def plan_revert(log: EventLog, target: Target, *, reason: str) -> RevertPlan:
    """What is to be reverted because of the environment's standing rollback.

    Raises UserError `revert-branch-not-possible`.
    """
    state = fold(log.read_stream(environment_stream(target.project, target.name)))
    good, bad = _good(state), _bad(state)
    if good is None or good.revision is None or bad is None or bad.revision is None:
        raise UserError(
            REVERT_NOT_POSSIBLE,
            f"{target} was not rolled back from one commit to another one",
            next="stagecraft releases list, then `git revert` by hand",
        )
    refs = _refs(log)
    branch = refs.get(bad.revision)
    name = f"{PREFIX}{bad.id}"
    if branch is None or branch_ref(name) in refs.values():
        raise UserError(
            REVERT_NOT_POSSIBLE,
            f"no watched branch showed {bad.revision[:12]}, so there is nothing to revert",
            next=f"stagecraft why {bad.revision[:12]}",
        )
    if range_of(branch) is not None:
        raise UserError(
            REVERT_NOT_POSSIBLE,
            f"{bad.revision[:12]} came by a tag ({shown_ref(branch)}), which says no branch to revert it on",
            next=f"git revert {bad.revision[:12]} on its branch, and tag a newer version",
        )
    words = f"{target} was rolled back from {bad.id} to what {good.id} runs"
    return RevertPlan(
        bad=bad.revision,
        good=good.revision,
        branch=shown_ref(branch),
        name=name,
        words=f"{words}: {reason}" if reason else f"{words}.",
    )


def _good(state: EnvironmentState) -> Release | None:
    """The newest rollback, as long as its hold stands."""
    newest = next((one for one in reversed(state.releases.values()) if one.kind == "rollback"), None)
    held = state.hold is not None and newest is not None and state.hold.target == newest.digest
    return newest if held else None


def _bad(state: EnvironmentState) -> Release | None:
    """The newest Release of a commit that is held to be bad."""
    bad = frozenset[str]() if state.hold is None else state.hold.bad
    found = (one for one in reversed(state.releases.values()) if one.digest in bad and one.kind != "rollback")
    return next(found, None)


def _refs(log: EventLog) -> dict[str, str]:
    """The branch that showed each commit last; tags where no branch did."""
    found: dict[str, str] = {}
    for stream in log.streams("repository/"):
        for stored in log.read(stream=stream, type_name=RevisionObserved.__name__):
            event = decode(stored)
            if not isinstance(event, RevisionObserved):
                continue
            if range_of(event.ref) is None or event.revision not in found:
                found[event.revision] = event.ref
    return found
