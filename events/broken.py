"""A log that does not verify: what is wrong with it, and the refusal that follows.

Whoever finds a problem leaves it in the log's head, where every process sees it: from then on nothing is
appended, everything can be read, and a later clean verification takes the mark away. An append looks at the
end of the chain by itself, because it would build on it; it never looks further back, which takes as long as
the log is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from events.kernel.errors import OutsideError, Where, error_code

LOG_BROKEN = error_code(
    "log-broken", "The event log does not verify: it can be read, nothing is appended to it."
)

ProblemKind = Literal["edit", "actor", "swap", "drop", "tail", "all", "rewrite", "blob"]
"""edit, actor: an event says something else, or that somebody else did it. swap, drop: events change places
or are missing between others. tail, all: the newest ones or all are missing. rewrite: the end is another one
than a seal says. blob: bytes beside the log do not have the digest that an event names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProblem:
    """The first thing that is wrong with a log."""

    position: int  # of the first bad event; the first that is missing
    kind: ProblemKind
    detail: str

    def as_json(self) -> str:
        """The text that stands in the head of the log."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> LogProblem:
        """What `as_json` wrote; any other text is a mark too, for it stands where nothing else may stand."""
        try:
            found = json.loads(text)
            return cls(position=int(found["position"]), kind=found["kind"], detail=str(found["detail"]))
        except (ValueError, TypeError, KeyError):
            return cls(position=0, kind="rewrite", detail=f"the head of the log says {text[:200]!r}")


class LogBrokenError(OutsideError):
    """The log has a problem; nothing was written."""

    def __init__(self, problem: LogProblem, *, file: str | None = None) -> None:
        super().__init__(
            LOG_BROKEN,
            "the event log does not verify, so nothing is appended to it",
            where=Where(file=file),
            why=f"{problem.kind} at position {problem.position}: {problem.detail}",
            next="see `stagecraft audit verify`; `stagecraft log fork --reason TEXT` goes on in a new log",
        )
        self.problem = problem
