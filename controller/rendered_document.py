"""The Compose document that one host would get, for `config render`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from controller.bootstrap import open_catalogue, open_log
from controller.building import pins_of_builds
from controller.decide.folding import fold
from controller.preview import stand_ins
from controller.providers.table import PROVIDERS
from controller.remotes import pinned_remotes
from events import labels
from events.kernel.errors import UserError, Where, error_code
from events.streams import environment_stream
from gitops.manifest import complete, draft, list_environments, unpinned
from gitops.pins import resolve_pins
from projections.converge.materialise import app_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.home import Home
    from events.manifest import ImagePin
    from gitops.config.controller import ControllerFile
    from gitops.manifest import Draft
    from gitops.source.tree import Tree

IMAGE_NOT_BUILT = error_code("image-not-built", "An image that is built from the commit is not built yet.")
HOST_UNKNOWN = error_code(
    "host-unknown", "The environment has no host of this name, or several and none was named."
)
_UNRESOLVED = "unresolved"  # stands for every image while the document is made; they may be blank


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDocument:
    """What `config render` shows."""

    document: dict[str, Any]
    findings: tuple[str, ...]


async def document_of(
    home: Home,
    tree: Tree,
    *,
    config_path: str,
    environment: str,
    revision: str,
    host: str | None,
    pinned: bool,
    operator: ControllerFile,
) -> HostDocument:
    """The document with the host's own paths filled in, and the findings of the render.

    `operator` says which registries and other repositories are asked, and how.

    Raises UserError `host-unknown` and whatever rendering and, when `pinned`, resolving raise.
    """
    project, _names = list_environments(tree, config_path)
    with pinned_remotes(home, operator.policy, project=project, environment=environment) as remotes:
        made = await draft(
            tree,
            config_path=config_path,
            environment=environment,
            version=revision,
            providers=PROVIDERS,
            preview=not pinned,
            remotes=remotes,
        )
    chosen = _choose(sorted(made.hosts), host)
    findings = tuple(str(finding) for finding in made.findings)
    with open_log(home) as log:
        stored = [] if log is None else log.read_stream(environment_stream(made.project, environment))
        lineage = "" if log is None else log.lineage
    if not pinned:
        shown = replace(made, images=dict.fromkeys(made.images, _UNRESOLVED))
        manifest = complete(shown, stand_ins([_UNRESOLVED]))
        app = app_for(manifest, chosen, root=home.local.absolute(), lineage=lineage, images=made.images)
        document = _without(dict(app.document), labels.LOG, labels.SERVICE_HASH)  # a hash is over the pins
        return HostDocument(document=document, findings=findings)
    with open_catalogue(home, settings=operator) as catalogue:
        pins = {**await pins_of_builds(catalogue, made.builds.values()), **fold(stored).pins}
        _refuse_not_built(made, pins)
        found = await resolve_pins(unpinned(made, {}), sticky=pins, catalogue=catalogue)
    app = app_for(complete(made, found.or_raise()), chosen, root=home.local.absolute(), lineage=lineage)
    document = dict(app.document) if lineage else _without(dict(app.document), labels.LOG)
    return HostDocument(document=document, findings=findings)


def _refuse_not_built(made: Draft, pins: Mapping[str, ImagePin]) -> None:
    for build in made.builds.values():
        if build.ref not in pins:
            raise UserError(
                IMAGE_NOT_BUILT,
                f"the image of service {build.service!r} is not built yet",
                where=Where(service=build.service),
                next="a deploy builds it; --no-pin shows the document without pins",
            )


def _without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """The document without some of our labels: those that nothing is known for yet."""
    for definition in document["services"].values():
        for name in names:
            definition["labels"].pop(name, None)
    return document


def _choose(known: Iterable[str], named: str | None) -> str:
    names = list(known)
    if named is None and len(names) == 1:
        return names[0]
    if named not in names:
        what = "name one of several hosts with --host" if named is None else f"unknown host {named!r}"
        raise UserError(HOST_UNKNOWN, what, why=f"known hosts: {', '.join(names)}")
    return named
