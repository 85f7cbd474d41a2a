"""In which order the hosts of an environment get a Release: steps, each of hosts that work side by side.

Data goes before all else and gateways go last, over all hosts: within a host `waves.py` keeps that order,
and a host whose services are of several tiers takes part in several steps. Inside a tier the canaries go
first, then the hosts that nothing stands in for, one after the other, then the others in batches of
`max_parallel`. Who shares a role can be tried in part, and who is the only one of a role is best not taken
down together with somebody else.

The canaries are a host by name, or of each role that stands on several hosts the first ones by name,
whatever there is to do, so that everybody knows who they are and a run that is taken up again finds the
same. Hosts where nothing is to be done wait for nobody and stand together in the last step.

Pure: from what the hosts are to run, what is due there, and what the descriptor says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from events.catalog.environment import HostsConduct
from events.manifest import HostManifest
from projections.converge.waves import tiers_of

Due = Mapping[str, Collection[str]]  # by host: services that something is to be done for


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Hosts that work side by side, and on which of their services."""

    services: Mapping[str, frozenset[str]]  # by host
    whole: frozenset[str]  # hosts that take part in no other step

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its hosts, sorted."""
        return tuple(sorted(self.services))


def steps_of(contents: Mapping[str, HostManifest], due: Due, conduct: HostsConduct) -> tuple[Step, ...]:
    """The steps; each host of `contents` takes part in one at least."""
    tiers = {host: tiers_of(content.services) for host, content in contents.items()}
    first = canaries(contents, conduct)
    planned: list[dict[str, frozenset[str]]] = []
    for tier in sorted({tier for known in tiers.values() for tier in known.values()}):
        working = {host: _in_tier(tiers[host], due.get(host, ()), tier) for host in sorted(contents)}
        busy = {host: names for host, names in working.items() if names}
        alone = {host for host, names in busy.items() if not _shared(contents, host, names)}
        batches = [
            *_batches([host for host in busy if host in first], conduct.max_parallel),
            *_batches([host for host in busy if host in alone - first], 1),
            *_batches([host for host in busy if host not in alone | first], conduct.max_parallel),
        ]
        planned += [{host: busy[host] for host in batch} for batch in batches]
    worked = [host for step in planned for host in step]
    idle = {host: frozenset[str]() for host in sorted(contents) if host not in worked}
    planned += [idle] if idle else []
    once = frozenset({host for host in worked if worked.count(host) == 1} | idle.keys())
    return tuple(Step(services=step, whole=once & step.keys()) for step in planned)


def canaries(contents: Mapping[str, HostManifest], conduct: HostsConduct) -> frozenset[str]:
    """The hosts that go first; none where there is one host alone."""
    if conduct.canary is None or len(contents) < 2:  # noqa: PLR2004  # nobody would go second
        return frozenset()
    if isinstance(conduct.canary, str):
        return frozenset({conduct.canary} & contents.keys())
    by_role = _hosts_by_role(contents)
    return frozenset(
        host for hosts in by_role.values() if len(hosts) > 1 for host in sorted(hosts)[: conduct.canary]
    )


def _in_tier(tiers: Mapping[str, int], due: Collection[str], tier: int) -> frozenset[str]:
    return frozenset(name for name in due if tiers.get(name) == tier)


def _shared(contents: Mapping[str, HostManifest], host: str, names: Collection[str]) -> bool:
    """Whether another host has a role of one of these services too."""
    by_role = _hosts_by_role(contents)
    return any(len(by_role[contents[host].services[name].role]) > 1 for name in names)


def _hosts_by_role(contents: Mapping[str, HostManifest]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for host, content in contents.items():
        for service in content.services.values():
            found.setdefault(service.role, set()).add(host)
    return found


def _batches(hosts: list[str], most: int) -> Iterator[list[str]]:
    for begin in range(0, len(hosts), most):
        yield hosts[begin : begin + most]
