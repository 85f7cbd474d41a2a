"""All faults of a configuration file in one error, each with its position and dotted key.

The error itself is always `config-invalid`; the code of a single fault says which kind of rule is broken, for
those who list faults one by one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from events.kernel.errors import UserError, Where, error_code
from gitops.findings import Finding, FindingCode
from gitops.source.paths import shown
from gitops.yamlnodes import Mark

CONFIG_INVALID = error_code("config-invalid", "stagecraft.yml or a descriptor breaks a rule.")

KeyPath = tuple[str | int, ...]
_MAX_SHOWN = 50
_MAX_COMPARED = 100  # characters; a longer name is near to none


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One broken rule."""

    file: str
    message: str
    code: FindingCode = FindingCode.VALUE_INVALID
    key: KeyPath = ()
    mark: Mark | None = None

    @property
    def place(self) -> Where:
        """Where it is."""
        line, column = (self.mark.line, self.mark.column) if self.mark else (None, None)
        return Where(file=self.file, line=line, column=column, key=dotted(self.key) or None)

    @property
    def finding(self) -> Finding:
        """The same for a list of findings."""
        place = self.place
        return Finding(
            code=self.code,
            message=self.message,
            file=place.file,
            line=place.line,
            column=place.column,
            key=place.key,
        )


class ConfigInvalidError(UserError):
    """`config-invalid`, with the faults one by one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(faults, key=lambda fault: (fault.file, _order(fault.mark), dotted(fault.key)))
        first = self.faults[0]
        rows = [f"  {fault.place}: {fault.message}" for fault in self.faults[:_MAX_SHOWN]]
        alone = len(self.faults) == 1
        super().__init__(
            CONFIG_INVALID,
            first.message if alone else "\n".join([f"{len(self.faults)} rules are broken:", *rows]),
            where=first.place,
            next="correct the file and run: stagecraft config check",
        )


def dotted(key: KeyPath) -> str:
    """`services.web.role`, with list positions as `hosts.app[0]`; of any name, what may be shown."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown(part)}" if text else shown(part)
    return text


def allowed(names: Iterable[str]) -> str:
    """The list of what may stand there."""
    return f"allowed: {', '.join(sorted(names)) or 'nothing'}"


def unknown(what: str, name: str, names: Iterable[str]) -> str:
    """A message about a name that is not among `names`, with the nearest of them."""
    known = sorted(names)
    return f"unknown {what} {shown(name)!r}{meant(name, known)} ({allowed(known)})"


def meant(name: str, names: Iterable[str]) -> str:
    """A question for the nearest of `names`; nothing when none is near."""
    near = difflib.get_close_matches(name[:_MAX_COMPARED], sorted(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _order(mark: Mark | None) -> tuple[int, int]:
    return (mark.line, mark.column) if mark else (0, 0)
