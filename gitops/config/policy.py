"""`policy` of `controller.yml`: what the operator lets a repository ask for.

It never stands in a repository: what is guarded must not hold the key. Without an entry nothing is allowed.
`gitops.policies` says what it comes to for one environment.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from gitops.config.scalars import MAX_NAME, Count, Duration, Text, checked_name
from gitops.config.section import UNUSED, Emptied, Section
from gitops.permissions import Permission, checked_allowance
from gitops.remotes import parse_prefix

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
