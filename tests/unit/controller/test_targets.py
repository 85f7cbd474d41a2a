"""Which environment a name means."""

from __future__ import annotations

import pytest

from controller.targets import Target, choose_environments, find_environment, known_targets
from events.catalog import propose
from events.catalog.environment import EnvironmentResumed
from events.envelope import CONTROLLER
from events.kernel.errors import UserError
from events.log import StreamAppend
from events.memory import MemoryEventLog
from events.streams import environment_stream
from tests.support.time import CountingIds, FakeClock


@pytest.fixture
def log() -> MemoryEventLog:
    made, ids = MemoryEventLog(), CountingIds()
    for project, name in (("shop", "prod"), ("shop", "staging"), ("blog", "prod")):
        event = propose(EnvironmentResumed(), ids=ids, clock=FakeClock(), actor=CONTROLLER)
        made.append([StreamAppend(stream=environment_stream(project, name), events=(event,))])
    return made


def test_a_short_name_is_enough_where_one_project_has_it(log: MemoryEventLog) -> None:
    assert find_environment(log, "staging") == Target(project="shop", name="staging")


def test_a_full_name_is_always_enough(log: MemoryEventLog) -> None:
    assert find_environment(log, "blog/prod") == Target(project="blog", name="prod")


def test_an_ambiguous_name_lists_what_it_could_mean(log: MemoryEventLog) -> None:
    with pytest.raises(UserError) as caught:
        find_environment(log, "prod")
    assert caught.value.code == "environment-ambiguous"
    assert "blog/prod, shop/prod" in caught.value.why


def test_an_unknown_name_lists_what_there_is(log: MemoryEventLog) -> None:
    with pytest.raises(UserError) as caught:
        find_environment(log, "dev")
    assert caught.value.code == "environment-unknown"
    assert "shop/staging" in caught.value.why


def test_without_a_log_nothing_is_known() -> None:
    assert known_targets(None) == []
    with pytest.raises(UserError):
        find_environment(None, "prod")


def test_all_environments_are_chosen_without_a_wish() -> None:
    assert choose_environments(["prod", "dev"], [], project="shop") == ("dev", "prod")


def test_a_wish_may_name_the_project() -> None:
    assert choose_environments(["prod", "dev"], ["shop/prod"], project="shop") == ("prod",)


def test_a_wish_for_an_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(UserError) as caught:
        choose_environments(["prod", "dev"], ["prdo"], project="shop")
    assert "dev, prod" in caught.value.why
