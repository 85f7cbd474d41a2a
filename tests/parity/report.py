"""What a run says: a line for each app, and how many there are of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.parity.compare import Result, Verdict


def table(results: Sequence[Result]) -> list[str]:
    """A line for each app, columns below one another."""
    rows = [(_name(result), str(result.verdict), result.detail) for result in results]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [f"{name:{widths[0]}}  {verdict:{widths[1]}}  {detail}".rstrip() for name, verdict, detail in rows]


def totals(results: Sequence[Result]) -> list[str]:
    """A line for each verdict with its number, with those of each code below refusals."""
    lines: list[str] = []
    for verdict in Verdict:
        of_it = [result for result in results if result.verdict is verdict]
        lines.append(f"{len(of_it):5}  {verdict}")
        if verdict is Verdict.REFUSED:
            codes = Counter(result.code for result in of_it)
            lines += [f"{number:13}  {code}" for code, number in sorted(codes.items())]
    return lines


def _name(result: Result) -> str:
    return f"{result.app.path} (every profile)" if result.app.with_profiles else result.app.path
