"""Services that left the Compose file: how many go by themselves, and what a person's word does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.decide.state import Unpruned
from controller.leaving import foretold
from controller.pruning import confirm_prune
from events.catalog import decode
from events.catalog.removal import PruneConfirmed, PruneDeferred
from events.catalog.service import ServiceReplaced
from events.kernel.errors import UserError
from gitops.config.policy import PolicySection, RemovalSection
from tests.support.controllers import PERSON, PROD, SimulatedController
from tests.support.repos import Repository

CAPPED = "project: {{name: shop}}\nenvironments: {{prod: {{rollout: {{most_removed: {most}}}}}}}\n"
SEVEN = dict.fromkeys("abcdefg", "app:1")


@pytest.fixture
def shop(repository: Repository, tmp_path: Path) -> SimulatedController:
    """Seven services run."""
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(**SEVEN)
    assert {one.status for one in made.look()} == {"completed"}
    return made


def running(shop: SimulatedController) -> str:
    """The services that run, in one word."""
    names = {one.labels["stagecraft.service"] for one in shop.engine.world.containers.values()}
    return "".join(sorted(names))


def events(shop: SimulatedController, *kinds: type) -> list[Any]:
    return [event for one in shop.log.read() if isinstance(event := decode(one), kinds)]


def only(*names: str, image: str = "app:1") -> dict[str, str]:
    return dict.fromkeys(names, image)


def confirm(shop: SimulatedController, number: int) -> tuple[str, ...]:
    work = confirm_prune(shop.context, PROD, confirmed=number, reason="yes", actor=PERSON)
    return asyncio.run(work)


def test_a_few_that_left_go_with_their_release(shop: SimulatedController) -> None:
    shop.merge(**only("a", "b", "c", "d"))
    (found,) = shop.look()
    assert (found.status, running(shop)) == ("completed", "abcd")
    assert not events(shop, PruneDeferred)


def test_more_than_half_run_on_and_everything_else_of_the_release_is_done(shop: SimulatedController) -> None:
    shop.merge(**only("a", "b", image="app:2"), new="app:1")
    (found,) = shop.look()
    assert (found.status, running(shop)) == ("completed", "abcdefgnew")
    assert {one.image for one in shop.engine.world.replicas("a")} == {shop.engine.world.images["app:2"]}
    (deferred,) = events(shop, PruneDeferred)
    assert deferred.services == ("local/c", "local/d", "local/e", "local/f", "local/g")
    types = shop.types
    assert types.index("PruneDeferred") + 1 == types.index("ReleaseCompleted", types.index("PruneDeferred"))


def test_what_waits_is_no_drift_and_nothing_is_appended_for_it(shop: SimulatedController) -> None:
    shop.merge(**only("a", "b"))
    shop.look()
    head = shop.log.head()
    for _ in range(2):
        shop.clock.advance(1000)
        (found,) = shop.look()
        assert found.status == "in-sync"
    assert shop.log.head() == head
    reports = asyncio.run(
        shop.context.converger.drift(
            shop.context.manifest(shop.state.deployed_digest or ""), stopped={}, kept=shop.state.kept_places
        )
    )
    assert [one.rows for one in reports] == [()]


def test_a_person_who_says_the_number_lets_it_go(shop: SimulatedController) -> None:
    shop.merge(**only("a", "b"))
    shop.look()
    with pytest.raises(UserError, match="prune-count-differs") as refused:
        confirm(shop, 4)
    assert "--confirm 5" in (refused.value.next or "")
    assert running(shop) == "abcdefg"
    assert confirm(shop, 5) == ("local/c", "local/d", "local/e", "local/f", "local/g")
    assert running(shop) == "ab"
    (confirmed,) = events(shop, PruneConfirmed)
    assert (confirmed.services, confirmed.reason) == (
        ("local/c", "local/d", "local/e", "local/f", "local/g"),
        "yes",
    )
    gone = [one for one in events(shop, ServiceReplaced) if one.reason == "orphan"]
    assert [one.service for one in gone] == list("cdefg")
    with pytest.raises(UserError, match="nothing-to-prune"):
        confirm(shop, 5)
    head = shop.log.head()
    shop.look()
    assert shop.log.head() == head


def test_a_deploy_may_say_the_number_beforehand(shop: SimulatedController) -> None:
    shop.merge(**only("a", "b"))
    assert shop.deploy(confirm_prune=4).kept == ("local/c", "local/d", "local/e", "local/f", "local/g")
    assert running(shop) == "abcdefg"
    assert shop.deploy(confirm_prune=5).kept == ()
    assert running(shop) == "ab"
    assert shop.state.unpruned is None


def test_the_operators_number_counts_and_a_descriptor_may_only_lower_it(shop: SimulatedController) -> None:
    shop.merge(project=CAPPED.format(most=9), **SEVEN)
    shop.look()
    policy = PolicySection(removal=RemovalSection(most_services=2))
    shop.context = replace(shop.context, policy={"shop": policy})
    shop.merge(project=CAPPED.format(most=9), **only("a", "b", "c", "d"))
    shop.look()
    assert running(shop) == "abcdefg"
    shop.merge(project=CAPPED.format(most=1), **only("a", "b", "c", "d", "e"))
    shop.look()
    assert running(shop) == "abcdefg"
    shop.merge(project=CAPPED.format(most=1), **only("a", "b", "c", "d", "e", "f"))
    shop.look()
    assert running(shop) == "abcdef"


def test_what_comes_back_was_never_touched(shop: SimulatedController) -> None:
    before = {name: shop.engine.world.ids(name) for name in "cdefg"}
    shop.merge(**only("a", "b"))
    shop.look()
    shop.merge(**SEVEN, x="app:1")
    (found,) = shop.look()
    assert found.status == "completed"
    assert {name: shop.engine.world.ids(name) for name in "cdefg"} == before
    assert shop.state.unpruned is None


def test_going_back_waits_for_nobody(shop: SimulatedController) -> None:
    shop.merge(**SEVEN, **only(*"hijklmnopq"))
    shop.look()
    shop.merge(**SEVEN)
    (found,) = shop.look()
    assert (found.status, running(shop)) == ("completed", "abcdefg")


def test_what_a_kill_left_of_a_confirmed_removal_goes_with_the_next_look(shop: SimulatedController) -> None:
    shop.merge(**only("a", "b"))
    shop.look()

    def die(name: str, _argument: str) -> None:
        if name == "remove":
            raise KeyboardInterrupt

    shop.engine.before = die
    with pytest.raises(KeyboardInterrupt):
        confirm(shop, 5)
    shop.engine.before = None
    assert running(shop) == "abcdefg"
    shop.look()
    assert running(shop) == "ab"


def test_a_plan_says_the_number_that_a_deploy_then_asks_for(shop: SimulatedController) -> None:
    deployed = shop.context.manifest(shop.state.deployed_digest or "")
    shop.merge(**only("a", "b", "x"))
    verdict = shop.deploy()
    wanted = shop.context.manifest(shop.state.deployed_digest or "")
    told = foretold(replace(shop.state, unpruned=None, releases={}), wanted=wanted, before=deployed, most=5)
    assert told is not None
    assert told.services == verdict.kept
    assert "--confirm-prune 5" in told.words
    assert told.as_json()["count"] == 5
    assert foretold(shop.state, wanted=wanted, before=deployed, most=5) is None, "it ran here before"


def test_a_plan_counts_what_waits_already(shop: SimulatedController) -> None:
    shop.merge(**only("a", "b"))
    shop.look()
    before = shop.context.manifest(shop.state.deployed_digest or "")
    shop.merge(**only("a", "y"))
    verdict = shop.deploy()
    wanted = shop.context.manifest(shop.state.deployed_digest or "")
    waits = Unpruned(release="rel-1", services=verdict.kept[1:], most=5)
    told = foretold(replace(shop.state, unpruned=waits, releases={}), wanted=wanted, before=before, most=5)
    assert told is not None
    assert (told.services, len(told.services)) == (verdict.kept, 6)
