"""Parity by itself, as `make parity CORPUS=DIR` runs it: `python -m tests.parity DIR`."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.parity.compare import Verdict
from tests.parity.report import table, totals
from tests.parity.run import run


def main() -> int:
    """Compare all and tell; exit code 1 when any app is different, 2 when there is none."""
    asked = _parsed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="stagecraft-parity-"))
    try:
        results = asyncio.run(run(asked.corpus, folder, jobs=asked.jobs))
    finally:
        shutil.rmtree(folder)
    print("\n".join([*table(results), "", *totals(results)]))  # noqa: T201  # a program of its own
    if not results:
        return 2
    return int(any(result.verdict is Verdict.DIFFERENT for result in results))


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("corpus", type=_folder, help="a folder with Compose files, at any depth")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    return parser.parse_args()


def _folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


if __name__ == "__main__":
    sys.exit(main())
