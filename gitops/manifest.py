"""From a commit's tree to a Manifest, the room's front door.

    draft(tree, …)            reads the tree, runs Compose: everything but pins
    unpinned(draft, pins)     which references are still to be looked up
    complete(draft, pins)     pure: the Manifest

The Manifest says what runs and nothing of why: no revision, no time, no renderer. So a revert has the digest
of what it goes back to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from events import labels
from events.kernel.errors import InternalError, error_code
from events.manifest import HostManifest, ImagePin, Manifest, Service
from gitops.compose.reload import executables
from gitops.config.load import list_environments
from gitops.draft import Draft, DraftHost, DraftService, draft
from gitops.pins import Lookup, own_pin, wanted
from gitops.servicehash import service_hash

__all__ = ["Draft", "DraftHost", "DraftService", "complete", "draft", "list_environments", "unpinned"]

IMAGE_UNPINNED = error_code("image-unpinned", "A Manifest was to be made without the pin of an image.")


def unpinned(draft: Draft, pins: Mapping[str, ImagePin]) -> dict[str, Lookup]:
    """`{reference: how it is looked up}` of what neither carries a digest nor is in `pins`.

    Raises UserError `image-invalid`.
    """
    refs = wanted(draft.images, draft.pull_policies, draft.platforms)
    return {ref: lookup for ref, lookup in refs.items() if ref not in pins}


def complete(draft: Draft, pins: Mapping[str, ImagePin]) -> Manifest:
    """The Manifest. Raises InternalError `image-unpinned` when `unpinned` would not be empty."""
    chosen = {service: _pin(ref, pins) for service, ref in draft.images.items()}
    return Manifest(
        project=draft.project,
        environment=draft.environment,
        compose_project=draft.compose_project,
        hosts={name: _host(draft, host, chosen) for name, host in sorted(draft.hosts.items())},
        routing=draft.routing,
    )


def _pin(ref: str, pins: Mapping[str, ImagePin]) -> ImagePin:
    pin = own_pin(ref) or pins.get(ref)
    if pin is None:
        raise InternalError(IMAGE_UNPINNED, f"no pin for {ref!r}")
    return pin


def _host(draft: Draft, host: DraftHost, pins: Mapping[str, ImagePin]) -> HostManifest:
    document = host.document
    definitions: dict[str, dict[str, Any]] = {
        name: {**service, "image": pins[name].pinned_text} for name, service in document["services"].items()
    }
    hashes = {
        name: service_hash(service, document, executables=_executables(host, name))
        for name, service in definitions.items()
    }
    labelled: dict[str, dict[str, Any]] = {}
    for name, service in definitions.items():
        given: dict[str, str] = service.get("labels") or {}
        labelled[name] = {**service, "labels": {**given, **_labels(draft, name, hashes[name])}}
    return HostManifest(
        compose={**document, "services": labelled},
        services={
            name: Service(
                hash=hashes[name],
                role=service.role,
                image=pins[name],
                job=service.job,
                waits_for=service.waits_for,
                gate=service.gate,
                reload=service.reload,
                rollout=service.rollout,
            )
            for name, service in host.services.items()
        },
        files=host.files,
        env_file=host.env_file,
    )


def _executables(host: DraftHost, service: str) -> list[str]:
    reload = host.services[service].reload
    return [] if reload is None else executables(reload, host.files)


def _labels(draft: Draft, service: str, digest: str) -> dict[str, str]:
    """Whose the container is; the log's lineage is added by whoever runs it."""
    return {
        labels.PROJECT: draft.project,
        labels.ENVIRONMENT: draft.environment,
        labels.SERVICE: service,
        labels.SERVICE_HASH: digest,
    }
