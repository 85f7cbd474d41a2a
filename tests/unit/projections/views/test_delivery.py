"""The figures of delivery, from a story whose numbers were worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given

from events.catalog import event_classes
from events.catalog.adoption import AdoptionRequested
from events.catalog.revision import RevisionObserved
from events.recorder import Recorder
from events.streams import repository_stream
from projections.runner import catch_up
from projections.view_store import ViewStore
from projections.views.delivery import CHANGES, DELIVERY, deliveries
from projections.views.delivery_figures import Report, first_moment, report
from tests.unit.projections.views.history import History, digest, folded
from tests.unit.projections.views.player import STEPS, Player, Step

NOW = datetime(2026, 1, 29, 12, tzinfo=UTC)  # a Thursday, week 5


class Story(History):
    """A history that is told with days of January 2026 and times of day."""

    def on(self, day: int, clock: str) -> None:
        """Move the clock there, forward or back."""
        hour, minute, second = (int(part) for part in f"{clock}:00".split(":")[:3])
        there = datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)
        self.clock.advance((there - self.clock.now()).total_seconds())

    def commit(self, revision: str, *, made: datetime | None) -> None:
        event = RevisionObserved(
            ref="refs/heads/main",
            revision=revision,
            previous=None,
            tree="t",
            author="act-2",
            subject="a change",
            affected=("shop/prod",),
            committed_at=made,
        )
        recorder = Recorder(log=self.log, ids=self.ids, clock=self.clock, actor=self.actor)
        recorder.append(repository_stream("shop"), event)

    def adopted(self) -> str:
        release = self.ids.release_id()
        event = AdoptionRequested(
            release=release, digest=digest("x"), version="1", revision=None, previous=None
        )
        self.append("environment", event)
        return release


def january(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def story() -> Iterator[Story]:
    made = Story()
    yield made
    made.log.close()


def figures(story: History, folder: Path, *, weeks: int = 4, now: datetime = NOW) -> Report:
    with folded(story.log, folder / "views.db", DELIVERY) as tables:
        since = first_moment(now, weeks=weeks)
        return report(deliveries(tables, "shop", "prod", since=since), now=now, weeks=weeks)


def tell(story: Story) -> None:
    """Four weeks; in the third nothing happens."""
    tell_week_2(story)
    tell_weeks_4_and_5(story)


def tell_week_2(story: Story) -> None:
    """Five changes, of which one took itself back and one was rolled back by a person."""
    story.on(5, "10:00")
    story.commit("c1", made=january(5, 9))
    first = story.requested("a", revision="c1")
    story.started(first)
    story.on(5, "10:02")
    story.completed(first)  # waited since 09:00: 3,720 s

    story.on(6, "11:59:59")
    story.commit("c2", made=january(6, 11))
    second = story.requested("b", revision="c2")
    story.on(6, "12:00")
    story.started(second)
    story.on(6, "12:01:30")
    story.rolled_back(second, "b", restored="a")  # all well again at 12:30: 1,800 s
    story.commit("c3", made=january(6, 12, 20))
    third = story.requested("c", revision="c3")
    story.started(third)
    story.on(6, "12:30")
    story.completed(third)  # 600 s

    story.commit("c4", made=january(5, 9, 30))
    fourth = story.requested("d", revision="c4")
    story.on(7, "14:59")
    story.started(fourth)
    story.on(7, "15:00")
    story.completed(fourth)  # 53 h 30 min: 192,600 s
    story.on(8, "09:00")
    rollback = story.rollback("c", target=third, previous=fourth)
    story.started(rollback)
    story.on(8, "09:00:40")
    story.completed(rollback)  # after 18 h 1 min 40 s: 64,900 s

    story.on(9, "10:00")
    waiting = story.requested("e", revision="c4")
    again = story.requested("d", revision="c4")
    story.superseded(waiting, by=again)
    story.started(again)
    story.completed(again)  # a deployment, and not the first of its commit


def tell_weeks_4_and_5(story: Story) -> None:
    """One change that a revert takes back, which fails, one that fails, and an adoption.

    An adoption is neither a change nor a remedy.
    """
    story.on(20, "10:00")
    story.commit("c5", made=None)
    fifth = story.requested("f", revision="c5")
    story.started(fifth)
    story.on(20, "10:05")
    story.completed(fifth)  # seen at 10:00: 300 s
    story.on(21, "10:00")
    revert = story.reverted("d", revision="c6", previous=fifth, reverts=fifth)
    story.started(revert)
    story.failed(revert)
    sixth = story.requested("g", revision="c7")
    story.started(sixth)
    story.failed(sixth)

    story.on(27, "10:00")
    adopted = story.adopted()
    story.started(adopted)
    story.completed(adopted)


NOTHING = {
    "deployments": 0,
    "changes": 0,
    "failures": 0,
    "change_failure_rate": None,
    "lead_time_seconds": {"count": 0, "median": None, "p90": None},
    "time_to_restore_seconds": {"count": 0, "median": None, "p90": None},
    "unrestored": 0,
}


def test_every_event_type_it_concerns_exists() -> None:
    assert DELIVERY.concerns <= set(event_classes())


def test_the_story_comes_to_the_numbers_worked_out_by_hand(story: Story, tmp_path: Path) -> None:
    tell(story)
    found = figures(story, tmp_path)
    assert [one.as_json() for one in found.weeks] == [
        {
            "week": "2026-W02",
            "begins": "2026-01-05",
            "deployments": 4,
            "changes": 5,
            "failures": 2,
            "change_failure_rate": 0.4,
            "lead_time_seconds": {"count": 3, "median": 3720.0, "p90": 192600.0},
            "time_to_restore_seconds": {"count": 2, "median": 33350.0, "p90": 64900.0},
            "unrestored": 0,
        },
        {"week": "2026-W03", "begins": "2026-01-12", **NOTHING},
        {
            "week": "2026-W04",
            "begins": "2026-01-19",
            "deployments": 1,
            "changes": 2,
            "failures": 2,
            "change_failure_rate": 1.0,
            "lead_time_seconds": {"count": 1, "median": 300.0, "p90": 300.0},
            "time_to_restore_seconds": {"count": 0, "median": None, "p90": None},
            "unrestored": 2,
        },
        {"week": "2026-W05", "begins": "2026-01-26", **NOTHING},
    ]
    assert found.total.as_json() == {
        "deployments": 5,
        "changes": 7,
        "failures": 4,
        "change_failure_rate": 0.5714,
        "lead_time_seconds": {"count": 4, "median": 2160.0, "p90": 192600.0},
        "time_to_restore_seconds": {"count": 2, "median": 33350.0, "p90": 64900.0},
        "unrestored": 2,
    }


def test_a_window_leaves_out_earlier_weeks_and_nothing_else(story: Story, tmp_path: Path) -> None:
    tell(story)
    whole, part = figures(story, tmp_path), figures(story, tmp_path, weeks=2)
    assert part.weeks == whole.weeks[-2:]
    assert part.total.changes == 2


def test_an_environment_without_releases_has_empty_weeks(story: Story, tmp_path: Path) -> None:
    story.suspended()
    found = figures(story, tmp_path, weeks=1)
    assert found.total.as_json() == NOTHING
    assert "NaN" not in json.dumps(found.total.as_json())


def test_what_is_taken_back_is_well_again_when_the_remedy_is_and_not_before(
    story: Story, tmp_path: Path
) -> None:
    story.on(26, "10:00")
    bad = story.deployed("a")
    good = story.deployed("b", revision="c2")
    story.on(26, "11:00")
    revert = story.reverted("z", revision="c3", previous=good, reverts=bad)
    story.started(revert)
    story.on(26, "12:00:02")
    story.completed(revert)
    assert figures(story, tmp_path).total.restore.seconds == (7200.0,)


def test_the_wait_of_a_commit_that_nobody_watched_begins_with_its_render(
    story: Story, tmp_path: Path
) -> None:
    story.on(26, "10:00")
    story.rendered("a", revision="c9")
    story.on(26, "10:10")
    release = story.requested("a", revision="c9", by_person=True)
    story.completed(release)
    assert figures(story, tmp_path).total.lead.seconds == (601.0,)


def test_a_clock_that_went_back_makes_no_negative_time(story: Story, tmp_path: Path) -> None:
    story.on(27, "10:00")
    story.commit("c1", made=january(28, 10))
    first = story.requested("a", revision="c1")
    story.started(first)
    story.on(27, "09:00")
    story.failed(first)
    second = story.requested("a", revision="c1")
    story.started(second)
    story.completed(second)
    found = figures(story, tmp_path)
    assert found.total.lead.seconds == (0.0,)
    assert found.total.restore.seconds == (0.0,)


@pytest.mark.parametrize(
    ("ended", "week"), [("2026-01-25 23:59", "2026-W04"), ("2026-01-26 00:00", "2026-W05")]
)
def test_a_week_begins_on_monday_in_utc(story: Story, tmp_path: Path, ended: str, week: str) -> None:
    there = datetime.fromisoformat(ended).replace(tzinfo=UTC)
    story.on(23, "10:00")
    release = story.requested("a")
    story.clock.advance((there - story.clock.now()).total_seconds())
    story.completed(release)
    found = figures(story, tmp_path)
    assert [one.name for one in found.weeks if one.figures.changes] == [week]


def test_the_first_week_of_a_year_has_its_name_from_the_calendar() -> None:
    found = report((), now=datetime(2027, 1, 2, tzinfo=UTC), weeks=2)
    assert [one.name for one in found.weeks] == ["2026-W52", "2026-W53"]


@given(played=STEPS)
def test_for_any_history_the_figures_hold_together(played: list[Step]) -> None:
    history = History()
    Player(history).play(played)
    now = history.clock.now()
    store = ViewStore(None, lineage=history.log.lineage)
    try:
        catch_up(history.log, store, DELIVERY)
        with store.reading() as tables:
            found = deliveries(tables, "shop", "prod", since=first_moment(now, weeks=2))
    finally:
        store.close()
    total = report(found, now=now, weeks=2).total
    assert total.changes == sum(
        one.kind in CHANGES and one.status not in {"superseded", "cancelled"} for one in found
    )
    assert 0 <= total.failures <= total.changes
    assert len(total.restore.seconds) + total.unrestored == total.failures
    assert total.changes - total.failures <= total.deployments
    assert len(total.lead.seconds) <= total.deployments
    assert all(0 <= one <= timedelta(hours=1).total_seconds() for one in total.restore.seconds)
