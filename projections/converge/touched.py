"""What a Release may have changed on its hosts: the services that it takes back when it fails.

Two records say so, and neither says all. Its own history names what was exchanged or told, but a run that
was killed may have changed one service more without saying so. And a Release that was superseded in a wait
left what it changed to the one after it. Where the record cannot be whole, everything that differs between
the two Manifests counts: what was not changed is found as it should be and left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from events.manifest import HostManifest, Manifest
from projections.converge.history import ReleaseHistory
from projections.converge.rollout import changed_services


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a Release went from and to."""

    manifest: Manifest
    previous: Manifest | None  # None: nothing was deployed
    left_behind: tuple[Manifest, ...]  # of Releases in between that neither completed nor took back
    taken_up: bool  # a run before this one began it and did not end it


def touched(
    reach: Reach, history: ReleaseHistory, *, jobs: Iterable[tuple[str, str]], hosts: Collection[str]
) -> dict[str, frozenset[str]]:
    """By host, of those in `hosts`, the services that may not be as they were; `jobs` are (host, service).

    Those that reload their files always count where they differ, because the files may have been written
    when the exchange failed.
    """
    ran = list(jobs)
    former: Mapping[str, HostManifest] = {} if reach.previous is None else reach.previous.hosts
    left = {host for manifest in reach.left_behind for host in manifest.hosts}
    found: dict[str, frozenset[str]] = {}
    for host in sorted({*reach.manifest.hosts, *former, *left} & set(hosts)):
        now, before = reach.manifest.hosts.get(host), former.get(host)
        names = set(history.touched(host)) | {service for place, service in ran if place == host}
        changed = _differing(now, before)
        names |= changed if reach.taken_up else {name for name in changed if _reloads(name, now, before)}
        for manifest in reach.left_behind:
            names |= _differing(manifest.hosts.get(host), before)
        found[host] = frozenset(names)
    return found


def _differing(now: HostManifest | None, before: HostManifest | None) -> set[str]:
    """The services, jobs aside, that are not the same in both."""
    changed = set[str]() if now is None else set(changed_services(now, before))
    return changed | (set[str]() if before is None else set(changed_services(before, now)))


def _reloads(name: str, *contents: HostManifest | None) -> bool:
    """Whether the service is told of changed files by a signal, in one of these."""
    found = (one.services.get(name) for one in contents if one is not None)
    return any(one is not None and one.reload is not None for one in found)
