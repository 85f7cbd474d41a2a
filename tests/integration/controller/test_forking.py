"""One changed byte: nothing is rolled back any more, a fork goes on, and then it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from controller.auditing import look_through, note_problem
from controller.forking import LOG_IN_USE, LOG_SOUND, Fork
from events.catalog.log import LogForked
from events.kernel.errors import OutsideError, UserError
from events.kernel.ids import SystemIds
from events.sqlite import SqliteEventLog
from projections.engine.simulated_world import opened
from tests.crash.player import PERSON, Stage, act_keep, act_rollback, play
from tests.crash.prepared import image_id, prepared
from tests.crash.promises import end_of
from tests.crash.same_views import fold_views
from tests.crash.stories import STORIES

ROLLBACK = next(one for one in STORIES if one.name == "rollback")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Two versions were deployed one after the other."""
    return prepared(tmp_path, ROLLBACK)


def change_a_byte(stage: Stage) -> int:
    """Change an old event; its position."""
    with closing(sqlite3.connect(stage.home.events_db, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER events_are_not_updated")
        row = "SELECT position, data FROM events WHERE type = 'RevisionObserved' ORDER BY position LIMIT 1"
        position, data = connection.execute(row).fetchone()
        changed = data.replace(b"refs/heads/main", b"refs/heads/maim")
        assert changed != data
        connection.execute("UPDATE events SET data = ? WHERE position = ?", (changed, position))
    return int(position)


def audit(stage: Stage) -> None:
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        note_problem(log, look_through(stage.home))


def fork(stage: Stage) -> Fork:
    clock = stage.clock()
    return Fork(home=stage.home, actor=PERSON, reason="a bad bit", clock=clock, ids=SystemIds(clock))


def test_a_rollback_is_refused_by_a_log_that_does_not_verify_and_works_after_a_fork(stage: Stage) -> None:
    before = end_of(stage)
    position = change_a_byte(stage)
    audit(stage)
    stage = stage.later()
    refused = play(stage, act_rollback)
    assert refused.code == 1
    assert "log-broken" in refused.words
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        lineage, token = log.lineage, log.newest_token("shop/prod")

    made = fork(stage).made()
    assert (made.problem.kind, made.problem.position, made.left) == ("edit", position, ())
    assert made.kept_as.is_file()
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        assert (log.lineage, log.newest_token("shop/prod")) == (lineage, token)
        (told,) = log.read(type_name=LogForked.__name__)
        assert (told.position, told.actor) == (1, PERSON)
        assert log.anchor().log_id != lineage

    assert end_of(stage).types == ["LogForked", *before.types]
    assert end_of(stage).state == before.state
    stage = stage.later()
    play(stage, act_keep).expect()  # the containers are still ours, and nothing is touched
    assert end_of(stage).types == ["LogForked", *before.types]
    stage = stage.later()
    play(stage, act_rollback).expect()
    fold_views(stage)
    with opened(stage.world) as world:
        assert [one.image for one in world.replicas("web")] == [image_id("web:1")]
    assert look_through(stage.home).ok
    with pytest.raises(UserError) as caught:
        fork(stage).made()
    assert caught.value.code == LOG_SOUND


def test_a_log_that_somebody_has_open_is_not_set_aside(stage: Stage) -> None:
    change_a_byte(stage)
    with closing(SqliteEventLog(stage.home.events_db)) as log:
        with pytest.raises(OutsideError) as caught:
            fork(stage).made()
        assert caught.value.code == LOG_IN_USE
        assert log.head() > 2
    assert not list(stage.home.root.glob(".events.new*"))
    assert not list(stage.home.root.glob("events.broken*"))
    assert fork(stage).made().carried == len(end_of(stage).types) - 1
