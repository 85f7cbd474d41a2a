"""Which Compose file of a folder is the project's: the first of Compose's own names, in Compose's order.

An override file is not loaded, although Compose run by hand would: what runs must be the same for every
reader of the folder. Every name is noted whether it is there or not, because adding a file with an earlier
name changes the render.
"""

from __future__ import annotations

from dataclasses import dataclass

from events.kernel.errors import UserError, Where, error_code
from gitops.findings import Finding, FindingCode
from gitops.source.paths import join, shown
from gitops.source.tree import Tree

COMPOSE_NOT_FOUND = error_code("compose-not-found", "There is no Compose file beside stagecraft.yml.")

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = tuple(name.replace("compose.", "compose.override.") for name in NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The project's Compose file."""

    path: str  # from the root of the tree
    looked_for: tuple[str, ...]
    findings: tuple[Finding, ...]


def discover(tree: Tree, folder: str) -> Discovery:
    """Look for the Compose file in `folder`. Raises UserError `compose-not-found`."""
    present = [path for name in NAMES if tree.entry(path := join(folder, name)) is not None]
    if not present:
        place = shown(folder) or "the root of the repository"
        raise UserError(
            COMPOSE_NOT_FOUND,
            f"no Compose file in {place}; looked for {', '.join(NAMES)}",
            where=Where(file=place),
            next="add compose.yaml beside stagecraft.yml",
        )
    findings = [
        Finding(
            code=FindingCode.COMPOSE_SEVERAL,
            message=f"{present[0]} is taken, as Compose does; this file is not read",
            file=path,
        )
        for path in present[1:]
    ]
    findings += [
        Finding(code=FindingCode.OVERRIDE_IGNORED, message="override files are not loaded", file=path)
        for name in OVERRIDES
        if tree.entry(path := join(folder, name)) is not None
    ]
    looked_for = tuple(join(folder, name) for name in (*NAMES, *OVERRIDES))
    return Discovery(path=present[0], looked_for=looked_for, findings=tuple(findings))
