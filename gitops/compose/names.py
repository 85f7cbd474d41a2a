"""The names of a project's services as its Compose file spells them, without running Compose.

For checking a configuration while it is written; what is deployed is what Compose itself says. A file that
includes others has services that do not stand in it, so nothing is answered then.
"""

from __future__ import annotations

from yaml.nodes import MappingNode, Node

from events.kernel.errors import UserError
from gitops.compose.closure import MAX_FILE_BYTES
from gitops.compose.discover import discover
from gitops.compose.reads import TAGS
from gitops.source.tree import Tree
from gitops.yamlnodes import YamlFaultError, compose_documents, mapping_items


class NamesUnknownError(Exception):
    """The names cannot be told from the file; the message says why."""


def service_names(tree: Tree, folder: str) -> frozenset[str]:
    """The services of the Compose file in `folder`. Raises NamesUnknownError."""
    try:
        path = discover(tree, folder).path
        content = tree.read(path, max_bytes=MAX_FILE_BYTES)
        top = [_items(document) for document in compose_documents(content, tags=TAGS)]
        names = [_items(keys.get("services")) for keys in top]
    except UserError as error:
        raise NamesUnknownError(error.message) from error
    except YamlFaultError as error:
        raise NamesUnknownError(f"the Compose file is not YAML: {error.message}") from error
    if any("include" in keys for keys in top):
        raise NamesUnknownError(f"{path} includes other files")
    return frozenset(name for services in names for name in services)


def _items(node: Node | None) -> dict[str, Node]:
    """The keys of a mapping; none for anything else. Raises YamlFaultError."""
    if not isinstance(node, MappingNode):
        return {}
    return {name.value: value for name, value in mapping_items(node)}
