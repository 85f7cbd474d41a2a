"""What the operator's policy comes to for one environment: its own entry, its project's, the defaults.

The schema of `policy` is `gitops.config.policy`; it is not imported here, because who has read no file should
not wait for schemas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops.remotes import parse_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from events.catalog.drift import DriftPolicy
    from gitops.config.policy import PolicySection, RemovalSection
    from gitops.remotes import Server


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
    from gitops.config.policy import RemovalSection  # noqa: PLC0415  # where nothing was read no schema is needed

    return RemovalSection()
