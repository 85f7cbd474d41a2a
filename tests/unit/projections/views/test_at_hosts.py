"""What ran on a host at a position, as the log knew it."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.catalog import event_classes
from events.catalog.adoption import ServiceAdopted
from events.catalog.base import Event
from events.catalog.host import HostRebound
from events.catalog.removal import Belongings, EnvironmentDestroyed
from events.catalog.running import ContainerStateChanged, ServiceRestarted
from events.catalog.service import ServiceReplaced, ServiceStartedBeside, ServiceWithdrawn
from events.recorder import Recorder
from events.streams import host_stream
from projections.views.at_hosts import RESIDENTS, Resident, known_hosts, ran_in, ran_on
from tests.support.time import START
from tests.unit.projections.views.history import FAILURE, History, folded

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return tmp_path / "views.db"


def at(history: History, views: Path, position: int | None = None, host: str = "local") -> list[Resident]:
    head = history.log.head() if position is None else position
    with folded(history.log, views, RESIDENTS) as tables:
        return ran_on(tables, host, position=head)


def names(found: list[Resident]) -> list[tuple[str, str]]:
    return [(one.service, one.container) for one in found]


def exchanged(history: History, release: str, *, old: tuple[str, ...] = (), new: tuple[str, ...] = ()) -> int:
    event = ServiceReplaced(host="local", service="web", old_ids=old, new_ids=new, reason="changed")
    history.append(release, event)
    return history.log.head()


def test_every_event_type_it_concerns_exists() -> None:
    assert RESIDENTS.concerns <= set(event_classes())


def test_a_container_is_there_from_the_event_it_came_with_to_the_one_it_went_with(
    history: History, views: Path
) -> None:
    first = history.deployed("a")
    came = exchanged(history, first, new=(OLD,))
    second = history.requested("b", previous=first)
    went = exchanged(history, second, old=(OLD,), new=(NEW,))
    assert at(history, views, came - 1) == []
    assert at(history, views, came) == [
        Resident(
            host="local",
            project="shop",
            name="prod",
            service="web",
            container=OLD,
            release=first,
            since="2026-01-02T03:04:09.000Z",
            position=came,
            note="",
        )
    ]
    assert names(at(history, views, went - 1)) == [("web", OLD)]
    assert [(one.container, one.release) for one in at(history, views, went)] == [(NEW, second)]
    with folded(history.log, views, RESIDENTS) as tables:
        assert known_hosts(tables) == ["local"]
        assert names(ran_in(tables, "shop", "prod", position=went)) == [("web", NEW)]
        assert ran_in(tables, "shop", "stage", position=went) == []


def test_side_by_side_there_are_two_until_one_goes(history: History, views: Path) -> None:
    release = history.deployed("a")
    exchanged(history, release, new=(OLD,))
    beside = ServiceStartedBeside(
        host="local", service="web", old_ids=(OLD,), new_ids=(NEW,), reason="changed"
    )
    history.append(release, beside)
    both = history.log.head()
    withdrawn = ServiceWithdrawn(host="local", service="web", containers=(NEW,), failure=FAILURE)
    history.append(release, withdrawn)
    assert names(at(history, views, both)) == [("web", OLD), ("web", NEW)]
    assert names(at(history, views)) == [("web", OLD)]


def test_a_container_that_is_started_again_is_there_since_it_first_came(
    history: History, views: Path
) -> None:
    release = history.deployed("a")
    came = exchanged(history, release, new=(OLD,))
    exchanged(history, release, old=(OLD,), new=(OLD,))
    assert [(one.container, one.position) for one in at(history, views)] == [(OLD, came)]


@pytest.mark.parametrize(
    "gone",
    [
        EnvironmentDestroyed(hosts={"local": Belongings(containers=(OLD,))}),
        HostRebound(
            host="local", machine="m2", engine="e2", former_machine="m", former_engine="e", reason="new disk"
        ),
    ],
)
def test_what_was_taken_away_or_is_on_another_machine_is_not_there(
    history: History, views: Path, gone: Event
) -> None:
    release = history.deployed("a")
    came = exchanged(history, release, new=(OLD,))
    recorder = Recorder(log=history.log, ids=history.ids, clock=history.clock, actor=history.actor)
    if isinstance(gone, HostRebound):
        recorder.append(host_stream("local"), gone)
    else:
        history.append("environment", gone)
    assert at(history, views) == []
    assert names(at(history, views, came)) == [("web", OLD)]


def test_adopted_containers_are_there_and_finished_jobs_are_not(history: History, views: Path) -> None:
    for service, container, job in (("web", OLD, False), ("migrate", NEW, True)):
        adopted = ServiceAdopted(
            release="rel-1", host="local", service=service, service_hash="h", containers=(container,), job=job
        )
        history.append("environment", adopted)
    assert names(at(history, views)) == [("web", OLD)]


def test_what_was_said_of_a_service_stands_beside_it_until_something_newer_is(
    history: History, views: Path
) -> None:
    release = history.deployed("a")
    exchanged(history, release, new=(OLD,))
    changed = ContainerStateChanged(host="local", service="web", state="die", count=2, since=START)
    history.append("environment", changed)
    died = history.log.head()
    history.append("environment", ServiceRestarted(service="web", hosts=("local",)))
    restarted = history.log.head()
    history.stopped("web", "h1")
    stopped = history.log.head()
    history.started_again("web")

    def note(position: int | None = None) -> str:
        (one,) = at(history, views, position)
        return one.note

    assert note(died - 1) == ""
    assert note(died) == "die (2 times) at 2026-01-02T03:04:10.000Z"
    assert note(restarted) == ""
    assert note(stopped) == "stopped by a person: moving at 2026-01-02T03:04:12.000Z"
    assert note() == ""
    history.append("environment", changed)
    exchanged(history, release, old=(OLD,), new=(NEW,))
    assert note() == ""


def test_environments_share_a_host(history: History, views: Path) -> None:
    exchanged(history, history.deployed("a"), new=(OLD,))
    history.environment = "dev"
    exchanged(history, history.deployed("a"), new=(NEW,))
    assert [(one.name, one.container) for one in at(history, views)] == [("dev", NEW), ("prod", OLD)]
    assert at(history, views, host="elsewhere") == []


def test_an_exchange_in_a_release_that_nobody_requested_is_passed_over(history: History, views: Path) -> None:
    exchanged(history, "rel-x", new=(OTHER,))
    assert at(history, views) == []
