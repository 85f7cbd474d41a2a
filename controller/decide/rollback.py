"""Which Release a rollback leads to, and the events that start it.

The rollback and its hold are one append: from that moment Git cannot bring the bad Manifest back, whatever
happens to the rollback itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.catalog.environment import EnvironmentHeld, RollbackRequested
from events.catalog.release import ReleaseSuperseded
from events.kernel.errors import UserError, error_code

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from controller.decide.state import EnvironmentState, Release
    from events.catalog import Event

NO_ROLLBACK_TARGET = error_code("rollback-target-missing", "Name exactly one rollback target.")
SEVERAL_ROLLBACK_TARGETS = error_code("rollback-target-ambiguous", "More than one rollback target was named.")
NOTHING_DEPLOYED = error_code("nothing-deployed", "The environment has no completed Release.")
NO_PREVIOUS_RELEASE = error_code("no-previous-release", "No earlier Release is left to go back to.")
RELEASE_NOT_FOUND = error_code("release-not-found", "No Release has this id.")
RELEASE_IS_CURRENT = error_code("release-is-current", "The Release is the one that is deployed.")
RELEASE_INCOMPLETE = error_code(
    "release-incomplete", "The Release never completed, so there is nothing to go back to."
)
RELEASE_ELSEWHERE = error_code("release-of-other-environment", "The Release belongs to another environment.")
VERSION_NOT_FOUND = error_code(
    "version-not-found", "No completed Release of the environment has this version."
)

_MIN_VERSION_PREFIX = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackTarget:
    """How the person named the target; exactly one is set."""

    to_previous: bool = False
    to_release: str | None = None
    to_version: str | None = None

    def __post_init__(self) -> None:
        named = [self.to_previous, self.to_release is not None, self.to_version is not None].count(True)
        choices = "--to-previous, --to-release ID or --to-version VERSION"
        if named == 0:
            raise UserError(
                NO_ROLLBACK_TARGET, f"say where to go: {choices}", next="stagecraft releases list"
            )
        if named > 1:
            raise UserError(SEVERAL_ROLLBACK_TARGETS, f"say only one of {choices}")


def find_target(state: EnvironmentState, target: RollbackTarget) -> Release:
    """The completed Release whose Manifest is wanted. Raises UserError with one of the codes above.

    An environment that was taken away goes back to the newest good Release that it had.
    """
    current = leaving(state)
    if state.deployed_release is None and state.destroyed is None:
        raise UserError(
            NOTHING_DEPLOYED, "nothing was ever deployed here, so there is nothing to go back to",
            next="stagecraft deploy",
        )  # fmt: skip
    if target.to_release is not None:
        return _unless_current(state, completed_release(state, target.to_release), current)
    if target.to_version is not None:
        return _by_version(state, target.to_version, current=current)
    return _previous(state, current)


def leaving(state: EnvironmentState) -> Release | None:
    """What a person who rolls back wants to get away from: what is under way, else what is deployed."""
    return state.running or state.deployed_release


def decide_rollback(
    state: EnvironmentState,
    target: Release,
    *,
    release_id: str,
    reason: str,
    allowed: Collection[str] = (),
    held: tuple[EnvironmentHeld, ...] | None = None,
    scope: tuple[str, ...] = (),
) -> tuple[Event, ...]:
    """Request the rollback and hold the environment at `target`, or as `held` says.

    `scope` has the only hosts that go back.

    What is deployed now joins the Manifests that Git must not bring back, and so does what is under way; a
    target the person names stops being one of them. Whoever works on a Release that was begun says its end.
    """
    current = leaving(state)
    already_bad = frozenset[str]() if state.hold is None else state.hold.bad
    given_up = {one.digest for one in state.unfinished}
    if state.deployed_digest is not None:
        given_up.add(state.deployed_digest)
    given_up |= {digest for digest in state.placed.values() if digest is not None}
    bad = (already_bad | given_up) - {target.digest}
    waiting = (one for one in state.unfinished if not one.begun)
    fixed = EnvironmentHeld(
        target=target.digest,
        bad=tuple(sorted(bad)),
        clears="fixed",
        reason=reason or f"rolled back to {target.id}",
    )
    return (
        *(ReleaseSuperseded(release=one.id, by=release_id) for one in waiting),
        RollbackRequested(
            release=release_id,
            digest=target.digest,
            version=target.version,
            revision=target.revision,
            previous=state.deployed,
            target=target.id,
            reverts=None if current is None else current.id,
            reason=reason,
            allowed=tuple(sorted(set(allowed))),
            scope=scope,
        ),
        *((fixed,) if held is None else held),
    )


def _previous(state: EnvironmentState, current: Release | None) -> Release:
    """The newest completed Release that ran something else and is not held to be bad.

    Where some hosts are to run something else than what is deployed, that is the way back: what is deployed.
    """
    deployed = state.deployed_release
    if state.placed and deployed is not None and state.running is None:
        return deployed
    found = next(_good(state, current), None)
    if found is None:
        raise UserError(
            NO_PREVIOUS_RELEASE, "there is no earlier good Release", next="stagecraft releases list"
        )
    return found


def _good(state: EnvironmentState, current: Release | None) -> Iterator[Release]:
    """Completed Releases that ran something else and are not held to be bad, newest first."""
    bad = frozenset[str]() if state.hold is None else state.hold.bad
    for release in state.completed():
        if (current is None or release.digest != current.digest) and release.digest not in bad:
            yield release


def good_targets(state: EnvironmentState, *, most: int) -> list[Release]:
    """What a person may choose from, newest first, each Manifest once; the first one is the previous one."""
    newest: dict[str, Release] = {}
    for release in _good(state, leaving(state)):
        newest.setdefault(release.digest, release)
    return list(newest.values())[:most]


def completed_release(state: EnvironmentState, release_id: str) -> Release:
    """The completed Release of that name. Raises UserError `release-not-found` or `release-incomplete`."""
    release = state.releases.get(release_id)
    if release is None:
        raise UserError(
            RELEASE_NOT_FOUND, f"release not found: {release_id}", next="stagecraft releases list"
        )
    if release.status != "completed":
        raise UserError(
            RELEASE_INCOMPLETE,
            f"{release_id} is {release.status}",
            next=f"stagecraft releases show {release_id}",
        )
    return release


def _by_version(state: EnvironmentState, version: str, *, current: Release | None) -> Release:
    exact = [one for one in state.completed() if one.version == version]
    short = len(version) >= _MIN_VERSION_PREFIX
    prefixed = [one for one in state.completed() if short and one.version.startswith(version)]
    found = exact or prefixed
    if not found or len({one.version for one in found}) > 1:
        raise UserError(
            VERSION_NOT_FOUND,
            f"no single completed Release has version {version}",
            next="stagecraft releases list",
        )
    return _unless_current(state, found[0], current)


def _unless_current(state: EnvironmentState, release: Release, current: Release | None) -> Release:
    """Going back to what is deployed makes sense only after a newer attempt failed."""
    newest = next(reversed(state.releases.values()))
    mixed = bool(state.placed)
    if current is not None and release.digest == current.digest and newest.id == current.id and not mixed:
        raise UserError(RELEASE_IS_CURRENT, f"{release.id} is what is deployed now", next="stagecraft status")
    return release
