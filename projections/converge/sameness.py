"""Whether a container that somebody else made is what a Manifest would make: field by field; pure.

Compose's own hash cannot tell: it covers labels that we add, and changes with Compose's version. So what the
definition says, over what the image says, is put in the form of a `Makeup` and compared. A key of the
definition that is not known here is a difference: what cannot be compared is never called the same.
Values of variables and labels are not shown, only their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from events.kernel.redact import REDACT
from projections.converge.wish import Wish, network_mode, texts, wanted_fields
from projections.engine.makeup import Fields, Makeup

_NOT_COMPARED = frozenset(
    {
        "attach",
        "build",
        "container_name",
        "depends_on",
        "deploy",
        "develop",
        "env_file",
        "expose",
        "network_mode",
        "platform",
        "profiles",
        "pull_policy",
        "scale",
    }
)
_BY_NAME_ONLY = frozenset({"environment", "labels"})
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is not as the Manifest says, in words that may be shown."""

    field: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: {self.found} runs, {self.wanted} is wanted"


def differences(wish: Wish, made: Makeup) -> tuple[Difference, ...]:
    """The fields that differ, sorted."""
    wanted, found = wanted_fields(wish), _resolved(wish, made)
    told = [
        _hidden(name)
        if name in wish.hidden and name not in _BY_NAME_ONLY
        else _told(name, wanted[name], found.get(name))
        for name in sorted(wanted)
        if wanted[name] != found.get(name)
    ]
    unknown = sorted(
        key
        for key, value in wish.definition.items()
        if value and key not in wanted and key not in _NOT_COMPARED and not key.startswith("x-")
    )
    told += [Difference(field=key, wanted="what cannot be compared", found="something") for key in unknown]
    return tuple(told)


def _resolved(wish: Wish, made: Makeup) -> Fields:
    """What was found, with the services behind shared namespaces."""
    found = dict(made.fields)
    for name, container in made.shares.items():
        shared = f"service:{wish.services.get(container, container[:12])}"
        found[name] = {shared: {"aliases": (), "addresses": ()}} if name == "networks" else shared
    if network_mode(wish.definition) == "host" and not wish.definition.get("hostname"):
        found["hostname"] = ""
    return found


def _told(name: str, wanted: object, found: object) -> Difference:
    if name in _BY_NAME_ONLY:
        return _by_name(name, texts(wanted), texts(found))
    if name == "networks" and set(texts(wanted)) != set(texts(found)):
        return Difference(
            field=name, wanted=_shown(sorted(texts(wanted))), found=_shown(sorted(texts(found)))
        )
    return Difference(field=name, wanted=_shown(wanted), found=_shown(found))


def _hidden(name: str) -> Difference:
    return Difference(field=name, wanted="what the file of the host says", found="something else")


def _by_name(name: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> Difference:
    """The names at fault, with nothing of what stands behind them."""
    more = [f"+{key}" for key in sorted(set(found) - set(wanted))]
    other = [f"~{key}" for key in sorted(set(found) & set(wanted)) if found[key] != wanted[key]]
    missing = [f"+{key}" for key in sorted(set(wanted) - set(found))]
    changed = [f"~{key}" for key in sorted(set(found) & set(wanted)) if found[key] != wanted[key]]
    return Difference(
        field=name,
        wanted=" ".join([*missing, *changed]) or "fewer",
        found=" ".join([*more, *other]) or "fewer",
    )


def _shown(value: object) -> str:
    """A value for people, with credentials masked and a bounded length."""
    if isinstance(value, tuple | list):
        text = " ".join(str(one) for one in cast("tuple[object, ...]", value))
    elif isinstance(value, dict):
        text = " ".join(f"{key}={one}" for key, one in cast("dict[str, object]", value).items())
    else:
        text = str(value)
    shown = REDACT(text) or "nothing"
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
