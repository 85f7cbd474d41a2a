"""The view behind `why`: disposable, and tolerant of what it has no use for."""

from __future__ import annotations

from pathlib import Path

from events.envelope import ProposedEvent
from events.log import StreamAppend
from events.streams import host_stream, release_stream
from projections.views.why.traces import TRACES
from tests.unit.projections.views.history import folded, rows
from tests.unit.projections.views.why.chronicle import Chronicle, commit


def test_it_comes_back_equal_after_it_was_deleted(tmp_path: Path) -> None:
    days = Chronicle(tmp_path)
    days.deploys("one", web="1", worker="1")
    days.merge("two", web="2")
    days.fails()
    days.heals("web")
    with folded(days.log, tmp_path / "first.db", TRACES) as tables:
        first = rows(tables, [TRACES])
    with folded(days.log, tmp_path / "second.db", TRACES) as tables:
        assert rows(tables, [TRACES]) == first
    assert all(first.values())


def test_a_commit_has_one_row_an_environment_however_often_it_is_named(tmp_path: Path) -> None:
    days = Chronicle(tmp_path)
    days.deploys("one", web="1")
    days.observed("one")
    days.person_deploys("one", web="1")
    with folded(days.log, tmp_path / "views.db", TRACES) as tables:
        query = "SELECT name FROM trace_revisions WHERE revision = ? ORDER BY name"
        found = [row["name"] for row in tables.execute(query, (commit("one"),))]
    assert found == ["", "", "prod"]


def test_events_in_streams_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    days = Chronicle(tmp_path)
    days.deploys("one", web="1")
    template = days.log.read()[0]
    strays = [
        ("DeployRequested", b'{"revision": "c", "release": "rel-x"}'),
        ("ManifestRendered", b'{"revision": "c", "services": {}}'),
        ("JobCompleted", b'{"release": "rel-x", "container": "c", "host": "h", "service": "s"}'),
    ]
    for type_name, data in strays:
        stray = ProposedEvent(
            id=days.ids.event_id(),
            type=type_name,
            schema=1,
            time=template.time,
            actor=template.actor,
            correlation=template.correlation,
            causation=None,
            data=data,
        )
        days.log.append([StreamAppend(stream=host_stream("local"), events=(stray,))])
    days.exchange("rel-unknown", "web", "new", recorder=days.recorder())
    assert days.log.stream_version(release_stream("rel-unknown")) == 1
    with folded(days.log, tmp_path / "views.db", TRACES) as tables:
        (count,) = tables.execute("SELECT count(*) FROM trace_releases").fetchone()
        assert count == 1
        (count,) = tables.execute("SELECT count(*) FROM trace_containers").fetchone()
        assert count == 1
