"""Which tag of a repository is the newest version in a range.

What a tag names is what counts, not when it was made. A name that is no whole version, as `v1`, `latest` or
`release-7`, is none. Two tags for one version that point at different commits are nobody's to choose between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from events.kernel.errors import UserError, error_code
from events.refs import TAGS
from gitops.source.paths import shown
from gitops.source.versions import Version, VersionRange, parse_version

VERSION_MISSING = error_code(
    "version-missing", "No tag of the watched repository is a version in the range that is watched."
)
VERSION_AMBIGUOUS = error_code(
    "version-ambiguous", "Two tags name the newest version and point at different commits."
)

PEELED: Final = "^{}"  # how a server names what an annotated tag points at
_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTag:
    """A tag at the source that names a version."""

    name: str  # without `refs/tags/`
    version: Version
    object_id: str  # of the tag itself; of a lightweight one what it points at
    revision: str  # what it points at in the end

    @property
    def annotated(self) -> bool:
        """Whether it is an object of its own, which can be signed."""
        return self.object_id != self.revision


def newest_version(repository: str, refs: Mapping[str, str], wanted: VersionRange) -> VersionTag:
    """The tag with the highest version in the range; `refs` are object ids by full names, peeled ones too.

    Raises UserError `version-missing` or `version-ambiguous`, with `repository` as people know it.
    """
    every = list(_versions(refs))
    found = [one for one in every if wanted.allows(one.version)]
    if not found:
        raise _missing(repository, every, wanted)
    newest = max(found, key=lambda one: (one.version.key, one.name))
    for one in found:
        if one.version == newest.version and one.revision != newest.revision:
            raise UserError(
                VERSION_AMBIGUOUS,
                f"{repository} has {one.name} and {newest.name}, which are one version and two commits",
                next=f"git push origin --delete {one.name}, or tag a newer version",
            )
    return newest


def _versions(refs: Mapping[str, str]) -> list[VersionTag]:
    found: list[VersionTag] = []
    for ref, object_id in refs.items():
        name = ref.removeprefix(TAGS)
        version = parse_version(name) if name != ref else None
        if version is not None:
            revision = refs.get(f"{ref}{PEELED}", object_id)
            found.append(VersionTag(name=name, version=version, object_id=object_id, revision=revision))
    return found


def _missing(repository: str, every: list[VersionTag], wanted: VersionRange) -> UserError:
    known = [one.name for one in sorted(every, key=lambda one: one.version.key, reverse=True)]
    named = ", ".join(shown(name) for name in known[:_MOST_NAMED]) or "none at all"
    more = f" and {len(known) - _MOST_NAMED} more" if len(known) > _MOST_NAMED else ""
    return UserError(
        VERSION_MISSING,
        f"no tag of {repository} is a version in the range {wanted.text!r}",
        why=f"its tags that name a version are: {named}{more}",
        next="git tag v1.0.0, and push it, or change `tags` in controller.yml",
    )
