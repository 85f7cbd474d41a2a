"""What an event log's file is: its mark, its tables, what came before them, and how it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.log import LOG_TOO_NEW, LOG_UNAVAILABLE
from events.sqlite_file import FileKind
from events.sqlite_query import EVENTS_BY_FACTS
from events.sqlite_tables import APPENDS, EVENTS, FIRST_HEAD, GUARDS, LOG_HEAD, STREAMS
from events.sqlite_upgrade import FROM_1
from events.sqlite_views import VIEWS

if TYPE_CHECKING:
    import sqlite3


def event_log(*, lineage: str | None = None) -> FileKind:
    """The kind of file; a new one begins a lineage unless it goes on with the one that is given."""

    def begin(connection: sqlite3.Connection) -> None:
        import secrets  # noqa: PLC0415  # a file is begun once

        from events.chain import genesis  # noqa: PLC0415  # as above

        log_id = secrets.token_hex(16)
        first = lineage or log_id
        values = {"log_id": log_id, "lineage": first, "hash": genesis(log_id=log_id, lineage=first)}
        connection.execute(FIRST_HEAD, values)

    return FileKind(
        noun="event log",
        application_id=0x5354_4C47,  # "STLG"
        version=2,
        tables=(LOG_HEAD, STREAMS, EVENTS, EVENTS_BY_FACTS, APPENDS, *GUARDS, *VIEWS),
        begin=begin,
        older={1: FROM_1},
        journal="WAL",
        # A reader keeps the default: each commit of somebody else empties what it holds, and a look through
        # an index of 80 MB took 134 ms with as much as the writer has, 79 with 2 MiB.
        # As long as the write-ahead log grows, a flush waits for the file system's own journal as well: an
        # append took 1.6 times as long as in one that is written over. So it begins anew early: with 16,000
        # pages after 2,700 appends, each time with one that waited 110 ms; with 4,000 after 670, and 50 ms.
        # Pages of a thousand events take as long with either.
        writing_pragmas=(
            "cache_size = -65536",  # KiB; the default of 2 MiB costs 1.7 times the work with two indexes
            "wal_autocheckpoint = 4000",  # pages
            "journal_size_limit = 67108864",  # bytes: the write-ahead log is cut back to this
        ),
        takes_turns=True,
        unavailable=LOG_UNAVAILABLE,
        too_new=LOG_TOO_NEW,
    )


EVENT_LOG = event_log()
