"""The end of a lab for people, `make lab-down`: nothing is left of it. Without a lab it does nothing.

python -m tests.lab.down [--state FOLDER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

from tests.lab.up import STATE, keeper, sweep
from tests.support.processes import wait_until

_END_SECONDS = 120.0


def main() -> int:
    """Answer when it is gone."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.down", description="Ends the lab.")
    parser.add_argument("--state", type=Path, default=STATE, metavar="FOLDER")
    state: Path = parser.parse_args().state.absolute()
    process = keeper(state)
    if process is not None:
        os.kill(process, signal.SIGTERM)
        wait_until("the end of the lab", lambda: keeper(state) is None, seconds=_END_SECONDS)
    sweep(state)
    shutil.rmtree(state, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
