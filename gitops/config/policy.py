"""`policy` of `controller.yml`: what the operator lets a repository ask for.

It never stands in a repository: what is guarded must not hold the key. Without an entry nothing is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from gitops.config.models import Section, checked_name
from gitops.permissions import checked_allowance

_PATH = re.compile(r"(?P<project>[^/]+)(?:/(?P<environment>[^/]+))?")


def _checked_path(text: str) -> str:
    """A project, or an environment as `<project>/<name>`. Raises ValueError."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise ValueError("it names a project, or an environment as project/name")
    for part in filter(None, match.groups()):
        checked_name(part)
    return text


class PolicySection(Section):
    """`policy.<project>` or `policy.<project>/<environment>`."""

    allow: list[Annotated[str, AfterValidator(checked_allowance)]] = Field(
        default=[], description="Permissions, each alone or as `name:value`; see below."
    )


def _emptied(value: object) -> object:
    return {} if value is None else value


Policy = dict[
    Annotated[str, AfterValidator(_checked_path)], Annotated[PolicySection, BeforeValidator(_emptied)]
]


def allowed_by(policy: Mapping[str, PolicySection], *, project: str, environment: str) -> frozenset[str]:
    """What `policy` allows an environment: its own entry and its project's together."""
    entries = (policy.get(project), policy.get(f"{project}/{environment}"))
    return frozenset(word for entry in entries if entry is not None for word in entry.allow)
