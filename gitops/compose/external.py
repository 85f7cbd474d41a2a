"""Services that run outside: `mode: external` takes them out of the document.

Others start without waiting for them and are not linked to them, with a finding. A service that would live
inside one (a namespace, its volumes) cannot do without and is refused by name. What calls an external service
has to know its address, because Compose gives it no name any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from events.kernel.errors import UserError, Where, error_code
from gitops.compose.links import links_of, shared_with, without_links
from gitops.findings import Finding, FindingCode

EXTERNAL_NAMESPACE = error_code(
    "external-namespace", "A service shares a namespace or volumes with one that runs outside."
)


def drop_external(services: dict[str, dict[str, Any]], names: Collection[str]) -> list[Finding]:
    """Take `names` out of `services`, with all that leads to them. Raises UserError `external-namespace`."""
    for name in names:
        services.pop(name, None)
    return [finding for name in sorted(services) for finding in _detach(name, services[name], names)]


def _detach(name: str, service: dict[str, Any], names: Collection[str]) -> Iterator[Finding]:
    for key, other in shared_with(service):
        if other in names:
            raise UserError(
                EXTERNAL_NAMESPACE,
                f"service {name!r} shares {key} with {other!r}, which runs outside",
                where=Where(service=name, key=f"services.{name}.{key}"),
                next=f"give {other} `mode: container`, or {name} `mode: external`",
            )
    for key, targets in links_of(service):
        gone = sorted({target for target in targets if target in names})
        if gone:
            yield Finding(
                code=FindingCode.DEPENDENCY_EXTERNAL,
                message=f"{name} does not wait for {', '.join(gone)}, which runs outside",
                key=f"services.{name}.{key}",
            )
            without_links(service, key, set(gone))
