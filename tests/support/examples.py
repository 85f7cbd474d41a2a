"""How many examples a property test takes whose examples are dear: few in each run, many in a search."""

from __future__ import annotations

import os

SEARCH = "search"


def examples(*, steady: int, search: int) -> int:
    """`steady` of them, the same in each run; `search` where new ones are looked for (`make test-full`)."""
    return search if os.environ.get("HYPOTHESIS_PROFILE") == SEARCH else steady
