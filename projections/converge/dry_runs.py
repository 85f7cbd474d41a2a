"""Compose's dry run, made no more often than it can come to something else.

It is a process for each host, all at once, and eight of them keep a small machine busy for a second before
anything is changed. What a dry run tells follows from what it is given: the document, the services, the
containers of the project, and of the engine its version, networks and volumes.

Where all of these are the same on another host, so is the answer, and that one is taken. Hosts of one role
mostly are alike; one that differs in anything has a dry run of its own, and so have others where the first
one failed.

And what is asked for here is whether a network or a volume would be made anew. Neither an image nor a
container has a part in that. So once a dry run has found that it is harmless, a document that differs in
images alone is not tried again as long as the engine's version, networks and volumes are the same: the most
common Release of all, a new image, begins that much sooner.

What lies outside of all that is left alone: a document that names networks, volumes or containers of others,
or variables of its host, is tried each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from events import labels
from events.kernel.canonical import canonical_json, sha256_digest
from projections.converge.checks import predict, rising
from projections.converge.harmless import Harmless
from projections.converge.operations import HostPlan
from projections.converge.site import Site
from projections.engine.port import App, Container, Prediction

_OF_A_CONTAINER = '"container:'  # `network_mode`, `pid`, `ipc`, `volumes_from`


@dataclass(slots=True)
class DryRuns:
    """Those of one undertaking."""

    _begun: dict[str, asyncio.Task[Prediction]] = field(default_factory=dict[str, "asyncio.Task[Prediction]"])

    async def predict(
        self, site: Site, app: App, plan: HostPlan, *, containers: Iterable[Container]
    ) -> Prediction:
        """As `checks.predict`; `containers` are those of the Compose project, as the plan saw them.

        Of what is known to be harmless the answer names nothing.
        """
        services = rising(plan)
        if not services or not _stands_alone(app):
            return await predict(site, app, plan)
        with site.errors_here():
            grounds = await site.engine.grounds(app)
        harmless: Harmless = site.equipment.harmless
        lasting = _key(app.compose_project, _without_images(app.document), services, grounds)
        if lasting in harmless:
            return Prediction()
        key = _key(app.compose_project, app.document, services, grounds, _shown(containers))
        found = await self._shared(site, app, plan, key=key)
        if not found.removed_networks and not found.volume_question:
            harmless.add(lasting)
        return found

    async def _shared(self, site: Site, app: App, plan: HostPlan, *, key: str) -> Prediction:
        """The dry run of the first host with these facts."""
        first = self._begun.get(key)
        if first is None:
            self._begun[key] = first = asyncio.ensure_future(predict(site, app, plan))
            return await first
        await asyncio.wait({first})
        if first.cancelled() or first.exception() is not None:
            return await predict(site, app, plan)
        return first.result()


def _key(*facts: Any) -> str:  # noqa: ANN401  # whatever JSON can say
    return sha256_digest(canonical_json(facts))


def _without_images(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as it is for any image, and so for any hash of a service."""
    services = cast("Mapping[str, Mapping[str, Any]]", document.get("services") or {})
    return {**document, "services": {name: _without_image(one) for name, one in services.items()}}


def _without_image(service: Mapping[str, Any]) -> dict[str, Any]:
    carried = cast("Mapping[str, Any]", service.get("labels") or {})
    kept = {name: text for name, text in carried.items() if name != labels.SERVICE_HASH}
    return {**{key: part for key, part in service.items() if key != "image"}, "labels": kept}


def _stands_alone(app: App) -> bool:
    """Whether a document refers to nothing that is neither in it nor among what is compared."""
    named = [one for kind in ("networks", "volumes") for one in _listed(app, kind).values()]
    external = any(one is not None and one.get("external") for one in named)
    return app.host_file is None and not external and _OF_A_CONTAINER not in _text(app)


def _listed(app: App, kind: str) -> Mapping[str, Mapping[str, Any] | None]:
    return cast("Mapping[str, Mapping[str, Any] | None]", app.document.get(kind) or {})


def _text(app: App) -> str:
    return canonical_json(app.document).decode()


def _shown(containers: Iterable[Container]) -> list[Any]:
    """What Compose goes by of containers; their ids are the engine's."""
    return sorted(
        [one.name, one.state, one.image, one.image_id, sorted(one.labels.items()), one.networks, one.volumes]
        for one in containers
    )
