"""What the services of one host call the services of another by: names from the network provider.

With one host the answer is Compose's own, the name of the service. With several it is whatever the provider
says of the host, a name or an address; Compose files take it as `${DB_HOST}`. A service that runs on several
hosts has no single name and gets none: requests to it go through the gateway.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gitops.config.load import Configuration
from gitops.config.providers import settings_of
from gitops.findings import Finding, FindingCode
from gitops.providers import Providers
from gitops.rules import host_variable, mentions


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNames:
    """The hosts of an environment as its services are to call them."""

    hosts: frozenset[str]  # all of them
    addresses: dict[str, str]  # by host, as far as the provider knows them

    def variables(self, placement: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """`{DB_HOST: …}` for each service of `placement`, `{service: hosts}`, whose name is known."""
        alone = len(self.hosts) == 1
        named = {service: service if alone else self._of(hosts) for service, hosts in placement.items()}
        return {host_variable(service): name for service, name in sorted(named.items()) if name is not None}

    def _of(self, hosts: Sequence[str]) -> str | None:
        return self.addresses.get(hosts[0]) if len(set(hosts)) == 1 else None


def unnamed_hosts(
    names: HostNames, placement: Mapping[str, Sequence[str]], *, texts: Collection[bytes]
) -> dict[str, Finding]:
    """A finding for each variable of a host's name that a Compose file uses and the provider cannot answer.

    It is void where a file of the repository sets the variable.
    """
    known = names.variables(placement)
    variables = {host_variable(service): service for service in sorted(placement)}
    return {
        variable: Finding(
            code=FindingCode.HOST_UNNAMED,
            message=f"{service} runs on {', '.join(placement[service])}, and `network` gives no single name "
            f"for it: ${{{variable}}} is not set",
            key=f"services.{service}",
        )
        for variable, service in variables.items()
        if variable not in known and mentions(variable, texts)
    }


def host_names(configuration: Configuration, hosts: Sequence[str], providers: Providers | None) -> HostNames:
    """What the project's network provider says of `hosts`; nothing without one, or when it knows none."""
    section = configuration.project.network
    if section is None or providers is None or section.provider not in providers.ids("network"):
        return HostNames(hosts=frozenset(hosts), addresses={})
    settings = settings_of(section)
    found = {host: providers.host_name(section.provider, settings, host) for host in hosts}
    addresses = {host: name for host, name in found.items() if name is not None}
    return HostNames(hosts=frozenset(hosts), addresses=addresses)
