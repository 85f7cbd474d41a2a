"""An environment over several hosts, from the merge to what each host is to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.decide.rollback import RollbackTarget
from controller.decide.scope import Scope
from controller.repositories import BranchRules
from events.catalog import decode
from events.catalog.drift import DriftHealed
from events.catalog.environment import DeployRequested
from events.catalog.release import ReleaseCompleted, ReleaseFailed, ReleaseRolledBack
from events.kernel.errors import UserError
from projections.engine.simulated_world import Life
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.environments import find_environment
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository
from tests.unit.projections.views.history import folded

HOSTS = ("one", "two", "three")
PROJECT = """\
project: {name: shop}
environments:
  prod:
    hosts: {app: [one, two, three]}
    gate: {settle: 1s}
    rollout: ROLLOUT
"""
CRASHES = Life(exits_after=0.2, exit_code=3)


class Shop:
    """Three hosts of one role."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.controller = SimulatedController(repository=repository, folder=folder, hosts=HOSTS)
        self.rollout = "{}"

    def merge(self, image: str) -> str:
        return self.controller.merge(project=PROJECT.replace("ROLLOUT", self.rollout), web=image)

    def look(self) -> str:
        (found,) = self.controller.look(rules=BranchRules(hosts=HOSTS))
        return found.status

    def bad(self, image: str, *hosts: str) -> None:
        for host in hosts:
            world = self.controller.engines[host].world
            world.lives[world.images[image]] = CRASHES

    def good(self) -> None:
        for engine in self.controller.engines.values():
            engine.world.lives.clear()

    def reach(self, host: str, *, answers: bool) -> None:
        self.controller.engines[host].world.reachable = answers

    @property
    def running(self) -> list[str]:
        """The image that runs on each host, in order; `-` for none, several are a fault."""
        return [self._runs(host) for host in HOSTS]

    def _runs(self, host: str) -> str:
        world = self.controller.engines[host].world
        names = {digest: name for name, digest in world.images.items() if name.startswith("web:")}
        now = self.controller.clock.monotonic()
        up = [one for one in world.containers.values() if world.moment(one, now).state == "running"]
        assert len(up) < 2
        return names[up[0].image] if up else "-"

    def last(self, *kinds: type) -> Any:  # noqa: ANN401  # an event of one of these
        found = [event for one in self.controller.log.read() if isinstance(event := decode(one), kinds)]
        return found[-1]

    @property
    def ends(self) -> dict[str, str]:
        """How the newest Release ended on each host."""
        verdict = self.last(ReleaseCompleted, ReleaseFailed, ReleaseRolledBack)
        return {host: one.status for host, one in verdict.hosts.items()}


@pytest.fixture
def shop(repository: Repository, tmp_path: Path) -> Iterator[Shop]:
    """At the end the view says of the hosts what decisions go by."""
    made = Shop(repository, tmp_path / "home")
    yield made
    state = made.controller.state
    with folded(made.controller.log, tmp_path / "views.db", ENVIRONMENTS) as tables:
        shown = find_environment(tables, "shop", "prod")
    assert shown is not None
    assert (shown.placed, shown.deployed.release) == (state.placed, state.deployed)


def test_a_merge_reaches_every_host_and_one_that_fails_is_taken_back_from_all(shop: Shop) -> None:
    shop.rollout = "{hosts: {canary: two, max_parallel: 2}}"
    shop.merge("web:1")
    assert (shop.look(), shop.running) == ("completed", ["web:1"] * 3)
    shop.merge("web:2")
    shop.bad("web:2", "three")
    assert (shop.look(), shop.running) == ("rolled_back", ["web:1"] * 3)
    assert shop.ends == dict.fromkeys(HOSTS, "restored")
    before = len(shop.controller.log.read())
    assert shop.look() == "in-sync"
    assert len(shop.controller.log.read()) == before
    shop.good()
    shop.merge("web:3")
    assert (shop.look(), shop.running) == ("completed", ["web:3"] * 3)
    assert shop.controller.state.hold is None


def test_a_host_that_was_skipped_catches_up_without_a_release(shop: Shop) -> None:
    shop.rollout = "{hosts: {on_unreachable: skip}}"
    shop.merge("web:1")
    shop.look()
    shop.reach("two", answers=False)
    shop.merge("web:2")
    assert shop.look() == "completed"
    assert shop.ends == {"one": "completed", "two": "skipped", "three": "completed"}
    assert shop.look() == "failed"  # it is silent still, and said to be so
    shop.reach("two", answers=True)
    requests = shop.controller.types.count("DeployRequested")
    assert (shop.look(), shop.running) == ("in-sync", ["web:2"] * 3)
    assert shop.last(DriftHealed).host == "two"
    assert shop.controller.types.count("DeployRequested") == requests


def test_a_silent_host_fails_a_release_that_is_tried_again_by_itself(shop: Shop) -> None:
    shop.merge("web:1")
    shop.look()
    shop.merge("web:2")
    shop.reach("three", answers=False)
    assert (shop.look(), shop.running[:2]) == ("failed", ["web:1"] * 2)
    assert shop.controller.state.hold is None
    shop.reach("three", answers=True)
    shop.controller.clock.advance(30)
    assert (shop.look(), shop.running) == ("completed", ["web:2"] * 3)
    assert shop.last(DeployRequested).retry_of is not None


def test_what_is_held_is_left_as_it_is_until_a_person_says_more(shop: Shop) -> None:
    shop.rollout = "{on_failure: hold}"
    shop.merge("web:1")
    shop.look()
    first = shop.controller.state.deployed_digest
    shop.merge("web:2")
    shop.bad("web:2", "three")
    assert shop.look() == "failed"
    second = shop.controller.state.releases[shop.last(ReleaseFailed).release].digest
    assert shop.controller.state.placed == {"one": second, "three": None}
    assert shop.controller.state.deployed_digest == first
    mixed = shop.running
    assert mixed[:2] == ["web:2", "web:1"]
    assert (shop.look(), shop.running) == ("in-sync", mixed)
    shop.good()
    back = shop.controller.rollback(RollbackTarget(to_previous=True))
    assert (back.status, shop.running) == ("completed", ["web:1"] * 3)
    assert shop.controller.state.placed == {}


def test_some_hosts_alone_get_a_version_and_keep_it_until_all_have_it(shop: Shop) -> None:
    shop.merge("web:1")
    shop.look()
    first = shop.controller.state.deployed
    shop.merge("web:2")
    verdict = shop.controller.deploy(scope=Scope(hosts=("two",)))
    assert (verdict.status, shop.running) == ("completed", ["web:1", "web:2", "web:1"])
    state = shop.controller.state
    second = state.releases[verdict.release].digest
    assert (state.deployed, state.placed) == (first, {"two": second})
    assert shop.ends == {"one": "untouched", "two": "completed", "three": "untouched"}
    assert (shop.look(), shop.running) == ("deferred", ["web:1", "web:2", "web:1"])
    shop.controller.engines["two"].world.containers.clear()
    shop.look()
    assert shop.running == ["web:1", "web:2", "web:1"], "each host is healed to what it is to run"
    shop.controller.deploy(scope=Scope(hosts=("one",)))
    assert shop.controller.state.deployed == first
    last = shop.controller.deploy(scope=Scope(hosts=("three",)))
    assert shop.running == ["web:2"] * 3
    assert (shop.controller.state.deployed, shop.controller.state.placed) == (last.release, {})


def test_a_deploy_of_all_hosts_ends_what_a_partial_one_began(shop: Shop) -> None:
    shop.merge("web:1")
    shop.look()
    shop.merge("web:2")
    shop.controller.deploy(scope=Scope(hosts=("one", "two")))
    assert shop.look() == "deferred"
    verdict = shop.controller.deploy()
    assert (verdict.status, shop.running) == ("completed", ["web:2"] * 3)
    assert (shop.controller.state.placed, shop.controller.state.hold) == ({}, None)


def test_resumed_a_partial_release_goes_on_to_the_other_hosts(shop: Shop) -> None:
    shop.merge("web:1")
    shop.look()
    shop.merge("web:2")
    shop.controller.deploy(scope=Scope(hosts=("one",)))
    shop.controller.resume()
    assert (shop.look(), shop.running) == ("completed", ["web:2"] * 3)


def test_a_partial_release_that_fails_leaves_all_hosts_as_they_were(shop: Shop) -> None:
    shop.merge("web:1")
    shop.look()
    shop.merge("web:2")
    shop.controller.deploy(scope=Scope(hosts=("one",)))
    placed = shop.controller.state.placed
    shop.merge("web:3")
    shop.bad("web:3", "one")
    shop.controller.resume()
    verdict = shop.controller.deploy(scope=Scope(hosts=("one",)))
    assert (verdict.status, shop.running) == ("rolled_back", ["web:2", "web:1", "web:1"])
    assert shop.controller.state.placed == placed


def test_a_rollback_of_some_hosts_leaves_the_others(shop: Shop) -> None:
    for image in ("web:1", "web:2"):
        shop.merge(image)
        shop.look()
    verdict = shop.controller.rollback(scope=Scope(hosts=("three",)))
    assert (verdict.status, shop.running) == ("completed", ["web:2", "web:2", "web:1"])
    assert (shop.look(), shop.running) == ("in-sync", ["web:2", "web:2", "web:1"])
    shop.controller.rollback(RollbackTarget(to_previous=True))
    assert shop.running == ["web:2"] * 3


def test_names_that_no_host_or_role_has_are_refused(shop: Shop) -> None:
    shop.merge("web:1")
    with pytest.raises(UserError, match="all hosts"):
        shop.controller.deploy(scope=Scope(hosts=("one",)))
    shop.look()
    with pytest.raises(UserError, match="did you mean 'three'"):
        shop.controller.deploy(scope=Scope(hosts=("thre",)))
    with pytest.raises(UserError, match="no role 'db'"):
        shop.controller.deploy(scope=Scope(roles=("db",)))
    assert shop.controller.deploy(scope=Scope(roles=("app",))).status == "completed"
    assert shop.last(DeployRequested).scope == ()
