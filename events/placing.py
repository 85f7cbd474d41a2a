"""Which Manifest each host of an environment is to run, where that is not the deployed one.

*Deployed* is one Manifest for all hosts. It changes only when every host of it is to run it: after a Release
of all hosts, or of the last hosts that lacked it. Until then what a Release of some hosts brought is noted
host by host. So is what a failed Release left where nothing more was to be changed then: a host with parts
of two Manifests (None) is nobody's to heal until a Release says what it is to run.

A host counts as having a Manifest when a Release of it completed, also where the host itself was silent or
failed: it is to run it, and healing brings it there. Pure: the folds of decisions and of views share it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

Placed = Mapping[str, str | None]  # digest by host; None: parts of two
Ends = Mapping[str, tuple[str, str | None]]  # by host: status and digest of a verdict


def after_partial(
    placed: Placed, deployed: str | None, *, digest: str, scope: Collection[str], hosts: Collection[str]
) -> dict[str, str | None] | None:
    """What is placed after a Release of the hosts in `scope` completed; None: now it is deployed.

    `hosts` are all of its Manifest.
    """
    now = {**placed, **dict.fromkeys(scope, digest)}
    if all(now.get(host, deployed) == digest for host in hosts):
        return None
    return _without(now, deployed)


def after_failure(placed: Placed, deployed: str | None, ends: Ends, *, stays: bool) -> dict[str, str | None]:
    """What is placed after a Release failed: what went back is as it was, what stays as it is too."""
    left = ("restored", "completed", "failed", "unknown") if stays else ("restored",)
    changed = {
        host: digest
        for host, (status, digest) in ends.items()
        if status in left or (status == "completed" and digest == deployed)
    }
    return _without({**placed, **changed}, deployed)


def _without(placed: Placed, deployed: str | None) -> dict[str, str | None]:
    """Only what is not the deployed one; nothing while nothing is deployed."""
    if deployed is None:
        return {}
    return {host: digest for host, digest in sorted(placed.items()) if digest != deployed}
