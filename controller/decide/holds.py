"""How Git and a hold live together: may this render pass, and what does it do to the hold?

A `fixed` hold stands because certain Manifests are bad. What is bad in a bad Manifest are the services in
which it differs from the hold's target. A render passes when, for every bad Manifest, none of those
services is still as it was there. So an unrelated merge on top of a bad one does not bring it back, and a
fix of the guilty service needs nobody's permission. Where a bad Manifest differs from the target in no
service at all, only its exact digest is refused.

A `manual` hold lets nothing pass; a person or its expiry ends it. One that stands because somebody deployed
what the branch does not show (`agrees`) also ends when the branch comes to show just that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from controller.decide.state import EnvironmentState, Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldVerdict:
    """What the hold says to a render."""

    passes: bool
    clears: Literal["reverted", "fixed"] | None = None  # the hold ends with this render
    rule: Literal["contains-held-change", "held"] | None = None  # why it does not pass
    detail: str = ""


def judge(
    state: EnvironmentState, hold: Hold, *, digest: str, services: Mapping[str, Mapping[str, str]]
) -> HoldVerdict:
    """Whether the render `digest` with these service hashes may be deployed under `hold`."""
    if hold.clears == "manual" and not (hold.agrees and digest == hold.target):
        return HoldVerdict(passes=False, rule="held", detail=hold.reason)
    if digest == hold.target:
        return HoldVerdict(passes=True, clears="reverted")
    guilty = sorted(set(_still_bad(state, hold, digest=digest, services=services)))
    if guilty:
        return HoldVerdict(passes=False, rule="contains-held-change", detail=", ".join(guilty))
    return HoldVerdict(passes=True, clears="fixed")


def _still_bad(
    state: EnvironmentState, hold: Hold, *, digest: str, services: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    """`host/service` for each service that is still as in a bad Manifest; the digest when all of it is."""
    target = _flat(state, hold.target)
    offered = {(host, name): value for host, names in services.items() for name, value in names.items()}
    for bad in hold.bad:
        if digest == bad:
            yield digest
        for key, bad_hash in _flat(state, bad).items():
            if target.get(key) != bad_hash and offered.get(key) == bad_hash:
                yield "/".join(key)


def _flat(state: EnvironmentState, digest: str) -> dict[tuple[str, str], str]:
    render = state.render_of(digest)
    if render is None:
        return {}
    return {(host, name): value for host, names in render.services.items() for name, value in names.items()}
