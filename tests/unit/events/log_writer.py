"""A process that appends to a log and says so.

    python -m tests.unit.events.log_writer FILE STREAM COUNT [--threads N] [--most-bytes BYTES]

It prints the log's lineage, then `<position> <event id>` for each event as soon as its append has returned,
and ends after COUNT appends of two events (0: never) in each thread. With BYTES no file may grow beyond that
size, as on a full disk; each thread then ends with the code of the error it got.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from uuid import uuid4

from events.kernel.errors import OutsideError
from events.log import EventLog, StreamAppend
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from tests.contract.event_log import proposed


def main() -> None:
    """Append until told otherwise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("stream")
    parser.add_argument("count", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most-bytes", type=int)
    asked = parser.parse_args()
    log = SqliteEventLog(asked.file)
    _say(log.lineage)
    if asked.most_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked.most_bytes, asked.most_bytes))
    threads = [
        threading.Thread(target=_write, args=(log, f"{asked.stream}/{number}", asked.count), daemon=True)
        for number in range(asked.threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()


def _write(log: EventLog, stream: str, count: int) -> None:
    """The appends of one thread."""
    done = 0
    while done < count or count == 0:
        events = tuple(proposed(b"%d" % number, event_id=uuid4()) for number in (2 * done, 2 * done + 1))
        try:
            stored = log.append([StreamAppend(stream=StreamName(stream), events=events)])
        except OutsideError as error:
            _say(error.code)
            break
        _say("\n".join(f"{event.position} {event.id}" for event in stored))
        done += 1


def _say(line: str) -> None:
    """One write for a line, so that lines of several threads do not mix."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


if __name__ == "__main__":
    main()
