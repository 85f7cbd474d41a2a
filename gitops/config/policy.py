"""`policy` of `controller.yml`: what the operator lets a repository ask for.

It never stands in a repository: what is guarded must not hold the key. Without an entry nothing is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from events.catalog.environment import DriftPolicy
from gitops.config.scalars import MAX_NAME, Count, Duration, Text, checked_name
from gitops.config.section import UNUSED, Emptied, Section
from gitops.permissions import Permission, checked_allowance
from gitops.remotes import Server, parse_prefix

_PATH = re.compile(r"(?P<project>[^/]+)(?:/(?P<environment>[^/]+))?")


def _checked_path(text: str) -> str:
    """A project, or an environment as `<project>/<name>`. Raises ValueError."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise ValueError("it names a project, or an environment as project/name")
    for part in filter(None, match.groups()):
        checked_name(part)
    return text


def _checked_prefix(text: str) -> str:
    """How addresses of repositories begin. Raises ValueError."""
    parse_prefix(text)
    return text


_PART = rf"[a-z0-9][a-z0-9_-]{{0,{MAX_NAME - 1}}}"
_ALLOWANCE = rf"^({'|'.join(sorted(Permission))})(:.+)?$"

PolicyTarget = Annotated[
    str,
    AfterValidator(_checked_path),
    WithJsonSchema({"type": "string", "pattern": f"^{_PART}(/{_PART})?$"}),
]
Allowance = Annotated[
    str, AfterValidator(checked_allowance), WithJsonSchema({"type": "string", "pattern": _ALLOWANCE})
]
RemotePrefix = Annotated[str, AfterValidator(_checked_prefix), WithJsonSchema({"type": "string"})]


class RemovalSection(Section):
    """`policy.<…>.removal`: what may be taken away because Git does not have it any more."""

    orphans: Literal["keep", "remove"] = Field(
        default="keep", description="What becomes of an environment that is gone from the branch."
    )
    grace: Duration = Field(
        default=86400.0, description="How long such an environment is left before it is removed."
    )
    most_environments: Count = Field(
        default=1, description="No environment is removed when more than these went with one commit."
    )
    most_services: Count = Field(
        default=5,
        description="What one Release takes away: with more services than these, or of more than two with "
        "over half of all, they run on until a person confirms.",
    )


class PolicySection(Section):
    """`policy.<project>` or `policy.<project>/<environment>`."""

    allow: list[Allowance] = Field(
        default=[], description="Permissions, each alone or as `name:value`; see below."
    )
    remotes: list[RemotePrefix] = Field(
        default=[],
        description="How addresses of repositories begin that Compose files may name, each with a commit.",
    )
    removal: Emptied[RemovalSection | None] = Field(
        default=None, description="What may be taken away; an environment's own entry stands for all of it."
    )
    drift: Literal["heal", "hold", "report"] | None = Field(
        default=None,
        description="What is done about changes made by hand, at least; `heal` unless given. An "
        "environment's own entry stands for its project's.",
    )
    windows: Annotated[list[Text], UNUSED] = Field(
        default=[], description="When deploys may start, as in `mon-fri 09:00-17:00`."
    )


Policy = dict[PolicyTarget, Emptied[PolicySection]]


def allowed_by(policy: Mapping[str, PolicySection], *, project: str, environment: str) -> frozenset[str]:
    """What `policy` allows an environment: its own entry and its project's together."""
    entries = (policy.get(project), policy.get(f"{project}/{environment}"))
    return frozenset(word for entry in entries if entry is not None for word in entry.allow)


def remotes_allowed_by(
    policy: Mapping[str, PolicySection], *, project: str, environment: str
) -> tuple[Server, ...]:
    """The repositories that the Compose files of an environment may name, by its entry and its project's."""
    entries = (policy.get(project), policy.get(f"{project}/{environment}"))
    texts = {text for entry in entries if entry is not None for text in entry.remotes}
    return tuple(parse_prefix(text) for text in sorted(texts))


_LAXEST_FIRST: tuple[DriftPolicy, ...] = ("heal", "report", "hold")


def drift_of(
    policy: Mapping[str, PolicySection], *, project: str, environment: str, asked: DriftPolicy
) -> DriftPolicy:
    """What becomes of drift: what `policy` says, or what the descriptor `asked` for where that is stricter.

    Of `policy` the environment's own entry counts, else its project's, else `heal`.
    """
    given: DriftPolicy = "heal"
    for path in (f"{project}/{environment}", project):
        entry = policy.get(path)
        if entry is not None and entry.drift is not None:
            given = entry.drift
            break
    return given if _LAXEST_FIRST.index(given) >= _LAXEST_FIRST.index(asked) else asked


def most_removed_of(
    policy: Mapping[str, PolicySection], *, project: str, environment: str, asked: int | None
) -> int:
    """How many services one Release may take away: by `policy`, or what is `asked` where that is less."""
    most = removal_of(policy, project=project, environment=environment).most_services
    return most if asked is None else min(most, asked)


def removal_of(policy: Mapping[str, PolicySection], *, project: str, environment: str) -> RemovalSection:
    """What `policy` has on removal: the environment's own entry, else its project's, else the defaults."""
    for path in (f"{project}/{environment}", project):
        entry = policy.get(path)
        if entry is not None and entry.removal is not None:
            return entry.removal
    return RemovalSection()
