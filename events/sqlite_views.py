"""Views in `events.db` for people who open the file with a tool of their own (Datasette, sqlite3).

Ids as text, times as text in UTC, the name of the stream in place of its number, data as JSON text: what the
tables keep as bytes nobody can read. Nothing of ours reads them, so they are no part of what the file's
version promises to programs; a change of a table that they name drops and makes them.
"""

from __future__ import annotations

_UUID_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
_DATA = "CAST(e.data AS TEXT)"


def _uuid(column: str) -> str:
    """The text of 16 bytes as a UUID."""
    parts = [f"substr(hex({column}), {start}, {length})" for start, length in _UUID_PARTS]
    text = " || '-' || ".join(parts)
    return f"lower({text})"


def _field(name: str) -> str:
    """A key of the data; NULL where the data are no JSON, so that one damaged row does not hide the rest."""
    return f"CASE WHEN json_valid({_DATA}) THEN json_extract({_DATA}, '$.{name}') END"


EVENTS_READABLE = f"""
CREATE VIEW events_readable AS
SELECT e.position,
       strftime('%Y-%m-%dT%H:%M:%S', e.at_us / 1000000, 'unixepoch')
           || printf('.%06dZ', e.at_us % 1000000) AS time,
       e.type,
       s.name AS stream,
       e.version,
       e.actor,
       {_field("reason")} AS reason,
       {_field("release")} AS release,
       {_DATA} AS data,
       {_uuid("e.event_id")} AS id,
       {_uuid("e.correlation")} AS correlation,
       CASE WHEN e.causation IS NOT NULL THEN {_uuid("e.causation")} END AS causation,
       e.schema,
       lower(hex(e.hash)) AS hash
FROM events AS e JOIN streams AS s USING (stream_no)
"""  # noqa: S608 - the columns are ours
ROLLBACKS_READABLE = """
CREATE VIEW rollbacks_readable AS
SELECT position, time, substr(stream, length('environment/') + 1) AS environment,
       CASE type WHEN 'RollbackRequested' THEN 'rollback' ELSE 'revert' END AS kind,
       actor, reason, release, json_extract(data, '$.reverts') AS took_back
FROM events_readable
WHERE type IN ('RollbackRequested', 'RevertDetected')
"""
VIEWS = (EVENTS_READABLE, ROLLBACKS_READABLE)
