"""The Compose document that one host would get, for `config render`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.bootstrap import open_catalogue, open_log
from controller.decide.state import fold
from events.kernel.errors import UserError, error_code
from events.streams import environment_stream
from gitops.manifest import complete, draft
from gitops.pins import resolve_pins
from projections.converge.materialise import with_host_paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.home import Home
    from gitops.source.tree import Tree

HOST_UNKNOWN = error_code(
    "host-unknown", "The environment has no host of this name, or several and none was named."
)


async def document_of(
    home: Home,
    tree: Tree,
    *,
    config_path: str,
    environment: str,
    revision: str,
    host: str | None,
    pinned: bool,
) -> dict[str, Any]:
    """The document with the host's own paths filled in.

    Raises UserError `host-unknown` and whatever rendering and, when `pinned`, resolving raise.
    """
    made = await draft(
        tree, config_path=config_path, environment=environment, revision=revision, version=None
    )
    chosen = _choose(sorted(made.hosts), host)
    if not pinned:
        document = made.hosts[chosen].document
    else:
        with open_log(home) as log:
            stored = [] if log is None else log.read_stream(environment_stream(made.project, environment))
        with open_catalogue(home) as catalogue:
            pins = await resolve_pins(made, sticky=fold(stored).pins, catalogue=catalogue)
        document = complete(made, pins).hosts[chosen].compose
    return with_host_paths(document, root=home.local, project=made.project, environment=environment)


def _choose(known: Iterable[str], named: str | None) -> str:
    names = list(known)
    if named is None and len(names) == 1:
        return names[0]
    if named not in names:
        what = "name one of several hosts with --host" if named is None else f"unknown host {named!r}"
        raise UserError(HOST_UNKNOWN, what, why=f"known hosts: {', '.join(names)}")
    return named
