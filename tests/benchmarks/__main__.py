"""The benchmarks by themselves, as `make bench` runs them: `python -m tests.benchmarks [--report FILE]`."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.page import machine, page
from tests.benchmarks.run import BENCHMARKS, run_all
from tests.benchmarks.stage import Stage
from tests.support.engine import connect, running_engine
from tests.support.images import TestImages
from tests.support.isolation import isolate


def main() -> int:
    """Run them, write the page; exit code 1 when a target is missed."""
    asked = _parsed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)  # noqa: T201  # a program of its own

    folder = Path(tempfile.mkdtemp(prefix="stagecraft-bench-"))
    try:
        isolate(folder)
        with running_engine(), contextlib.closing(connect()) as engine:
            images = TestImages(engine)
            try:
                stage = Stage(engine=engine, images=images, folder=folder, quick=asked.quick, tell=tell)
                figures = run_all(stage, asked.only or tuple(BENCHMARKS))
                if asked.report is not None:
                    asked.report.write_text(page(figures, machine(engine, now=datetime.now(UTC))))
            finally:
                images.remove_all()
    finally:
        shutil.rmtree(folder)
    missed = [figure.what for figure in figures if not figure.met]
    tell(f"missed: {'; '.join(missed)}" if missed else "all targets are met")
    return 1 if missed else 0


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--report", type=Path, help="write the page there")
    parser.add_argument(
        "--quick", action="store_true", help="few samples: whether it runs, not what it takes"
    )
    parser.add_argument("--only", nargs="+", choices=sorted(BENCHMARKS))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
