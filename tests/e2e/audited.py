"""Runs one command and tells what it did to the machine: programs, connections, files written.

Started as a program of its own: an audit hook stays for the life of an interpreter. One JSON object a line on
the file named first; the rest are the command's arguments.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Install the hook, then run the command line as the console script would."""
    record, arguments = Path(sys.argv[1]), sys.argv[2:]
    with record.open("w", encoding="utf-8", buffering=1) as file:

        def hook(event: str, values: tuple[Any, ...]) -> None:
            if event == "subprocess.Popen":
                file.write(json.dumps(["program", _words(values[1])]) + "\n")
            elif event == "socket.connect":
                file.write(json.dumps(["connect", [str(values[1])]]) + "\n")
            elif event == "open" and isinstance(values[0], str) and _writes(values):
                file.write(json.dumps(["write", [values[0]]]) + "\n")

        sys.addaudithook(hook)
        from cli.main import run  # noqa: PLC0415  # what importing it does is part of what is told

        return run(arguments)


def _words(told: Any) -> list[str]:  # noqa: ANN401  # what a program was started with has no narrower type
    return [told] if isinstance(told, str) else [os.fsdecode(word) for word in told]


def _writes(values: tuple[Any, ...]) -> bool:
    mode, flags = values[1], values[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


if __name__ == "__main__":
    sys.exit(main())
