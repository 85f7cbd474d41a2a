"""Compose's dry run, made once for all hosts on which it can only come to the same.

It is a process for each host, all at once, and eight of them keep a small machine busy for a second before
anything is changed. What a dry run tells follows from what it is given: the document, the services, the
containers of the project, and of the engine its version, networks and volumes. Where all of these are the
same on another host, so is the answer, and that one is taken. Hosts of one role mostly are alike; one that
differs in anything has a dry run of its own, and so has each where the first one failed.

What lies outside of all that is left alone: a document that names networks, volumes or containers of others,
or variables of its host, is never taken for that of another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from events.kernel.canonical import canonical_json, sha256_digest
from projections.converge.checks import predict, rising
from projections.converge.operations import HostPlan
from projections.converge.site import Site
from projections.engine.port import App, Container, Prediction

_OF_A_CONTAINER = '"container:'  # `network_mode`, `pid`, `ipc`, `volumes_from`


@dataclass(slots=True)
class DryRuns:
    """Those of one undertaking."""

    _begun: dict[str, asyncio.Task[Prediction]] = field(default_factory=dict[str, "asyncio.Task[Prediction]"])

    async def predict(
        self, site: Site, app: App, plan: HostPlan, *, containers: Iterable[Container], alone: bool
    ) -> Prediction:
        """As `checks.predict`; `containers` are those of the Compose project, as the plan saw them.

        With `alone` there is no other host.
        """
        if alone or not rising(plan) or not _stands_alone(app):
            return await predict(site, app, plan)
        with site.errors_here():
            grounds = await site.engine.grounds(app)
        facts = (app.compose_project, app.document, rising(plan), grounds, _shown(containers))
        key = sha256_digest(canonical_json(facts))
        first = self._begun.get(key)
        if first is None:
            self._begun[key] = first = asyncio.ensure_future(predict(site, app, plan))
            return await first
        await asyncio.wait({first})
        if first.cancelled() or first.exception() is not None:
            return await predict(site, app, plan)
        return first.result()


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
