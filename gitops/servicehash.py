"""The hash of a service: equal when, and only when, the container would be made the same way.

It covers the definition with pins and with the digests of mounted files, and the networks and volumes that
the service uses. It does not cover our own labels, nor what Compose leaves out of its own hash because a
running container has nothing of it: dependencies, profiles, the number of replicas. Of a service that is
told of changed files by a signal it covers where they are mounted and which of them can be executed, not what
they say; and it covers that label, the only one of ours that people write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from events import labels
from events.kernel.canonical import digest_of
from gitops.compose.sharing import networks_of, volumes_of

_NOT_HASHED = ("build", "depends_on", "profiles", "pull_policy", "scale")


def service_hash(
    service: Mapping[str, Any], document: Mapping[str, Any], *, executables: Sequence[str] = ()
) -> str:
    """The hash of one service of a document for one host.

    `executables` are the paths that can be executed among files that are mounted by place and not by content.
    """
    definition = {key: value for key, value in service.items() if key not in _NOT_HASHED}
    definition |= {"labels": _foreign_labels(service), "deploy": _without_replicas(service.get("deploy"))}
    return digest_of(
        {
            "service": definition,
            "networks": _chosen(document, "networks", networks_of(service)),
            "volumes": _chosen(document, "volumes", volumes_of(service)),
            **({"executables": sorted(executables)} if executables else {}),
        }
    )


def _foreign_labels(service: Mapping[str, Any]) -> dict[str, str]:
    given: Mapping[str, str] = service.get("labels") or {}
    return {
        name: value
        for name, value in given.items()
        if name == labels.RELOAD or not name.startswith(labels.PREFIX)
    }


def _without_replicas(deploy: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (deploy or {}).items() if key != "replicas"}


def _chosen(document: Mapping[str, Any], section: str, names: list[str]) -> dict[str, Any]:
    defined: Mapping[str, Any] = document.get(section, {})
    return {name: defined.get(name) for name in sorted(names)}
