"""Which environment a person means by `prod` or `shop/prod`, judged by what the log knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.kernel.errors import UserError, error_code
from events.streams import split_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from events.log import EventLog

ENVIRONMENT_UNKNOWN = error_code("environment-unknown", "No environment of that name is known.")
ENVIRONMENT_AMBIGUOUS = error_code(
    "environment-ambiguous", "Several projects have an environment of this name."
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Target:
    """One environment."""

    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"


def known_targets(log: EventLog | None) -> list[Target]:
    """Every environment with an event, sorted; without a log there is none."""
    if log is None:
        return []
    named = (split_environment(stream) for stream in log.streams("environment/"))
    return sorted(Target(project=one[0], name=one[1]) for one in named if one is not None)


def find_environment(log: EventLog | None, named: str) -> Target:
    """The environment that `named` means. Raises UserError `environment-unknown` or `-ambiguous`."""
    known = known_targets(log)
    found = [one for one in known if named in (one.name, str(one))]
    if len(found) > 1:
        raise UserError(
            ENVIRONMENT_AMBIGUOUS,
            f"several projects have an environment {named!r}",
            why=f"known: {', '.join(map(str, found))}",
            next="name it as PROJECT/ENVIRONMENT",
        )
    if not found:
        raise unknown_environment(named, known)
    return found[0]


def unknown_environment(named: str, known: Sequence[Target]) -> UserError:
    """The error `environment-unknown`: it lists the known ones and proposes one that is spelled alike."""
    listed = ", ".join(map(str, known)) or "none: nothing was deployed from this home yet"
    near = _nearest(named, [*(one.name for one in known), *map(str, known)])
    return UserError(
        ENVIRONMENT_UNKNOWN,
        f"unknown environment {named!r}" + near,
        why=f"known environments: {listed}",
        next="stagecraft status"
        if known
        else "stagecraft deploy --env NAME, or name the home with --home DIR",
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    """A proposal to add to a message, empty when nothing is spelled alike."""
    from difflib import get_close_matches  # noqa: PLC0415  # who names things rightly does not wait for it

    found = get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def choose_environments(known: Sequence[str], wanted: Sequence[str], *, project: str) -> tuple[str, ...]:
    """Those of a project's environments that are wanted, `prod` or `shop/prod`; all without a wish, sorted.

    Raises UserError `environment-unknown` with the names there are.
    """
    chosen = {one.removeprefix(f"{project}/") for one in wanted} or set(known)
    for name in sorted(chosen - set(known)):
        near = _nearest(name, sorted(known))
        raise UserError(
            ENVIRONMENT_UNKNOWN,
            f"project {project!r} has no environment {name!r}" + near,
            why=f"known environments: {', '.join(sorted(known))}",
            next="name one of them with --env, or add it to stagecraft.yml",
        )
    return tuple(sorted(chosen))
