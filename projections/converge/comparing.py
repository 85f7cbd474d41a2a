"""What a service's definition would make on a host, put beside what a container there was made with.

Adoption and drift ask the same question of a container, so they ask it here: the definition filled in with
what the host's files say, over what its image says, compared field by field (`sameness.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from events.hostenv import HostEnvFile, host_env_files, values_of
from events.manifest import HostManifest, Manifest
from events.references import filled, mapped_texts, passed_on, references, texts_of
from projections.converge.conflicts import COMPOSE_SERVICE
from projections.converge.hostenv import ReadHostFile, env_paths, environment_values, fetched
from projections.converge.materialise import app_for
from projections.converge.sameness import Difference, differences
from projections.converge.site import Site
from projections.converge.wish import Wish
from projections.engine.makeup import ImageDefaults, Makeup
from projections.engine.port import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparer:
    """Compares containers of one host with one Manifest."""

    site: Site
    content: HostManifest
    document: Mapping[str, Any]  # as Compose takes it, paths of the host filled in
    values: Mapping[str, str]  # of the environment's file on the host
    read: ReadHostFile  # of the host's env files, as they were when it was made
    services: Mapping[str, str]  # service by id of its container, for shared namespaces

    def wish(self, name: str) -> Wish:
        """What the definition of a service would make, over an image that says nothing."""
        written: Mapping[str, Any] = self.document["services"][name]
        known = self.content.env_file is None
        definition = written if known else _filled_in(written, self.values)
        return Wish(
            definition=definition,
            document=self.document,
            image=ImageDefaults(id=""),
            host_variables=_host_variables(definition, self.read),
            services=self.services,
            hidden=frozenset() if known else _referring(written),
        )

    async def whole(self, name: str, made: Makeup) -> tuple[Difference, ...]:
        """All fields in which a container differs; its image is looked up in the engine."""
        wish = self.wish(name)
        text = str(wish.definition.get("image") or self.content.services[name].image.pinned_text)
        image = await self.site.engine.image_defaults(text) or ImageDefaults(id=f"{text}, which is not here")
        return differences(replace(wish, image=image), made)


async def comparer(site: Site, manifest: Manifest, present: list[Container]) -> Comparer:
    """The comparer of one host for the containers that are `present` there."""
    content = manifest.hosts[site.host]
    read = await fetched(env_paths(content), files=site.files)
    return Comparer(
        site=site,
        content=content,
        document=app_for(manifest, site.host, root=site.root, lineage=site.owner.log).document,
        values=_values(content, read),
        read=read,
        services={one.id: one.labels.get(COMPOSE_SERVICE, "") for one in present},
    )


def _values(content: HostManifest, read: ReadHostFile) -> dict[str, str]:
    """What the environment's file on the host says. One that cannot be used has nothing."""
    if content.env_file is None:
        return {}
    return environment_values(HostEnvFile(path=content.env_file), read=read) or {}


def _filled_in(definition: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """A definition as Compose would fill it in, `$` doubled again."""
    found: dict[str, Any] = mapped_texts(
        dict(definition), lambda text: filled(text, values).replace("$", "$$")
    )
    for name in set(passed_on(definition)) & values.keys():
        found["environment"][name] = values[name].replace("$", "$$")
    return found


def _referring(definition: Mapping[str, Any]) -> frozenset[str]:
    """The keys of a definition with a reference below them."""
    return frozenset(
        key for key, value in definition.items() if any(references(text) for text in texts_of(value))
    )


def _host_variables(definition: Mapping[str, Any], read: ReadHostFile) -> dict[str, str]:
    """What the host's env files say. A file that cannot be used is told by `Bound.faults`."""
    values: dict[str, str] = {}
    for file in host_env_files(definition):
        content = read(file.path)
        if content is not None:
            values |= values_of(content, file)
    return values
