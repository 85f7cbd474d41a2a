"""All faults of a configuration file in one error, each with its position and dotted key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from events.kernel.errors import UserError, Where, error_code
from gitops.yamlnodes import Mark

CONFIG_INVALID = error_code("config-invalid", "stagecraft.yml or a descriptor breaks a rule.")

KeyPath = tuple[str | int, ...]
_MAX_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One broken rule."""

    file: str
    message: str
    key: KeyPath = ()
    mark: Mark | None = None

    @property
    def place(self) -> Where:
        """Where it is."""
        line, column = (self.mark.line, self.mark.column) if self.mark else (None, None)
        return Where(file=self.file, line=line, column=column, key=dotted(self.key) or None)


def dotted(key: KeyPath) -> str:
    """`services.web.role`, with list positions as `hosts.app[0]`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def config_invalid(faults: Sequence[Fault]) -> UserError:
    """One error for all of `faults`, the first in the file first."""
    ordered = sorted(faults, key=lambda fault: (fault.file, _order(fault.mark), dotted(fault.key)))
    first = ordered[0]
    if len(ordered) == 1:
        message = first.message
    else:
        rows = [f"  {fault.place}: {fault.message}" for fault in ordered[:_MAX_SHOWN]]
        message = "\n".join([f"{len(ordered)} rules are broken:", *rows])
    return UserError(
        CONFIG_INVALID,
        message,
        where=first.place,
        next="correct the file and run: stagecraft plan --env NAME",
    )


def allowed(names: Iterable[str]) -> str:
    """The list of what may stand there."""
    return f"allowed: {', '.join(sorted(names)) or 'nothing'}"


def unknown(what: str, name: str, names: Iterable[str]) -> str:
    """A message about a name that is not among `names`, with the nearest of them."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r}{hint} ({allowed(known)})"


def _order(mark: Mark | None) -> tuple[int, int]:
    return (mark.line, mark.column) if mark else (0, 0)
