"""The soak by itself, as `make soak` runs it: `python -m tests.soak --seconds N --seed N --report FILE`.

SIGUSR1 brings it to its end early, checks and report included.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.soak.report import page
from tests.soak.run import soak
from tests.support.isolation import isolate

_DEFAULT_SECONDS = 3600.0
_FAILED = 1
_INTERRUPTED = 130


def main() -> int:
    """Run it and write the report; exit code 1 when anything was not as it should be."""
    asked = _parsed()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1_000_000)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    enough = threading.Event()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: enough.set())
    folder = Path(tempfile.mkdtemp(prefix="stagecraft-soak-"))
    isolate(folder)
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)  # noqa: T201  # a program of its own

    tell(f"seed {seed}, {asked.seconds:g} s")
    try:
        result = soak(folder, seed=seed, seconds=asked.seconds, tell=tell, enough=enough.is_set)
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        tell("interrupted; nothing is kept")
        return _INTERRUPTED
    if asked.report is not None:
        asked.report.write_text(page(result))
    for fault in result.faults:
        tell(f"FAULT: {fault}")
    if result.faults:
        tell(f"what was said and recorded is kept in {folder}")
        return _FAILED
    shutil.rmtree(folder)
    tell("it ended in sync")
    return 0


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=_DEFAULT_SECONDS)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--report", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
