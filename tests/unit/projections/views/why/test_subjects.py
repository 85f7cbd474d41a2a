"""What a word means, and what is said when it means nothing or several things."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.catalog import Failure
from events.catalog.service import ServiceReplaced, ServiceStartedBeside, ServiceWithdrawn
from events.kernel.errors import UserError
from events.streams import release_stream
from projections.views.why.subjects import Shown
from tests.unit.projections.views.why.chronicle import Chronicle, commit


@pytest.fixture
def days(tmp_path: Path) -> Chronicle:
    made = Chronicle(tmp_path)
    made.deploys("one", web="1")
    return made


def refused(days: Chronicle, word: str) -> UserError:
    with pytest.raises(UserError) as caught:
        days.why(word)
    return caught.value


def also_in_stage(days: Chronicle) -> None:
    """The same commit runs in another environment too."""
    days.name = "stage"
    days.deploys("one", web="1")


@pytest.mark.parametrize("word", ["api", "4e07", "0123456789", "rel-20200101-000000000", "", "%"])
def test_an_unknown_word_names_the_services_that_are_known(days: Chronicle, word: str) -> None:
    error = refused(days, word)
    assert error.code == "why-subject-unknown"
    assert "web" in error.why


def test_a_commit_is_known_by_seven_digits_and_not_by_six(days: Chronicle) -> None:
    assert days.why(commit("one")[:7]).subject.id == commit("one")
    assert days.why(commit("one")[:7].upper()).subject.id == commit("one")
    assert refused(days, commit("one")[:6]).code == "why-subject-unknown"


def test_a_service_of_two_environments_is_asked_for_with_its_environment(days: Chronicle) -> None:
    also_in_stage(days)
    error = refused(days, "web")
    assert error.code == "why-subject-ambiguous"
    assert "service:web in shop/prod, service:web in shop/stage" in error.why
    assert "--env" in error.next
    assert days.why("web", environment=("shop", "stage")).subject.environment == "shop/stage"


def test_a_commit_of_two_environments_is_asked_for_with_its_environment(days: Chronicle) -> None:
    also_in_stage(days)
    assert refused(days, commit("one")).code == "why-subject-ambiguous"
    answer = days.why(commit("one"), environment=("shop", "prod"))
    assert answer.subject.environment == "shop/prod"


def test_a_name_known_in_another_environment_alone_says_where(days: Chronicle) -> None:
    days.name = "stage"
    days.deploys("two", worker="1")
    with pytest.raises(UserError) as caught:
        days.why("worker", environment=("shop", "prod"))
    assert "service:worker in shop/stage" in caught.value.why


def test_a_whole_name_wins_over_a_beginning(days: Chronicle) -> None:
    service = days.container("web")[:12]
    days.deploys("two", **{"web": "1", service: "1"})
    assert days.why(service).subject.kind == "service"
    assert days.why(f"container:{service}").subject.kind == "container"


def test_two_containers_of_one_beginning_are_listed(days: Chronicle) -> None:
    first, second = "abcd" + "0" * 60, "abcd" + "1" * 60
    exchange = ServiceReplaced(host="local", service="web", old_ids=(), new_ids=(first, second), reason="new")
    deployed = days.state.deployed
    assert deployed is not None
    days.recorder().append(release_stream(deployed), exchange)
    error = refused(days, "abcd")
    assert error.code == "why-subject-ambiguous"
    assert f"container:{first} in shop/prod, container:{second}" in error.why
    assert "more of its digits" in error.next


def test_a_container_that_was_taken_away_again_says_for_what_it_came_and_why_it_went(days: Chronicle) -> None:
    made, deployed = "abcd" + "0" * 60, days.state.deployed
    assert deployed is not None
    stream, running = release_stream(deployed), days.container("web")
    begun = ServiceStartedBeside(
        host="local", service="web", old_ids=(running,), new_ids=(made,), reason="changed"
    )
    failure = Failure(code="container-exited", message="it ended", cause="repository", exit_code=3)
    gone = ServiceWithdrawn(host="local", service="web", containers=(made,), failure=failure)
    days.recorder().append(stream, begun)
    assert "abcd00000000 of web came because" in days.why("abcd").sentence
    days.recorder().append(stream, gone)
    answer = days.why("abcd")
    assert f"it went with {deployed} again, before the old one was touched" in answer.sentence
    assert "the old one runs on: it ended" in answer.steps[-1].text
    assert running[:12] in days.why("web").sentence, "what runs is still the old one"


def test_a_container_that_an_engine_showed_and_no_event_names_says_so_and_tells_of_its_service(
    days: Chronicle,
) -> None:
    stranger = Shown(id="feed" + "0" * 60, project="shop", name="prod", host="local", service="web")
    answer = days.why("feed", shown=[stranger])
    assert answer.subject.kind == "container"
    assert "no event names feed00000000" in answer.sentence
    assert days.container("web")[:12] in answer.sentence
    assert answer.steps


def test_an_old_commit_of_a_shared_stream_is_one_row_each(days: Chronicle) -> None:
    days.observed("docs", affects=False)
    answer = days.why(commit("docs"))
    assert answer.subject.environment == "shop/prod"
