"""A process that appends to a log and says so.

    python -m tests.unit.events.log_writer FILE STREAM COUNT [BYTES]

It prints the log's lineage, then `<position> <event id>` for each event as soon as its append has returned,
and ends after COUNT appends of two events (0: never). With BYTES no file may grow beyond that size, as on a
full disk; it then ends with the code of the error it got.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path
from uuid import uuid4

from events.kernel.errors import OutsideError
from events.log import StreamAppend
from events.sqlite import SqliteEventLog
from events.streams import StreamName
from tests.contract.event_log import proposed


def main(file: str, stream: str, count: str, most_bytes: str = "") -> None:
    """Append until told otherwise."""
    log = SqliteEventLog(Path(file))
    _say(log.lineage)
    if most_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    done = 0
    while done < int(count) or count == "0":
        events = tuple(proposed(b"%d" % number, event_id=uuid4()) for number in (2 * done, 2 * done + 1))
        try:
            stored = log.append([StreamAppend(stream=StreamName(stream), events=events)])
        except OutsideError as error:
            _say(error.code)
            break
        for event in stored:
            _say(f"{event.position} {event.id}")
        done += 1
    log.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
