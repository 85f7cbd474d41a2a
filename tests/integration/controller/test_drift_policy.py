"""What becomes of drift: healed, reported or held, by the operator's word and the descriptor's."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from controller.closer import EVERY
from controller.drifting import ask
from controller.steering import steer
from events.catalog.drift import DriftPolicy
from events.kernel.errors import UserError
from gitops.config.policy import PolicySection
from gitops.policies import drift_of
from tests.support.controllers import PERSON, PROD, SimulatedController
from tests.support.repos import Repository

WEB = "shop-prod-web-1"
_REPORTING = "project: {name: shop}\nenvironments: {prod: {drift: report}}\n"


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    made = SimulatedController(repository=repository, folder=tmp_path / "home")
    made.merge(web="web:1", worker="worker:1")
    made.look()
    return made


def operator(controller: SimulatedController, drift: DriftPolicy) -> None:
    """The operator's policy for the project from now on."""
    entries = {"shop": PolicySection.model_validate({"drift": drift})}
    controller.context = replace(controller.context, policy=entries)


def stopped(controller: SimulatedController) -> str | None:
    return controller.engine.world.named(WEB).stopped


@pytest.mark.parametrize(
    ("policy", "asked", "found"),
    [
        ({}, "heal", "heal"),
        ({}, "report", "report"),
        ({"shop": "report"}, "heal", "report"),
        ({"shop": "report"}, "hold", "hold"),
        ({"shop": "hold"}, "report", "hold"),
        ({"shop": "hold", "shop/prod": "heal"}, "heal", "heal"),
        ({"shop": "hold", "shop/prod": "heal"}, "report", "report"),
    ],
)
def test_the_stricter_word_counts_and_an_environments_entry_stands_for_its_projects(
    policy: dict[str, DriftPolicy], asked: DriftPolicy, found: DriftPolicy
) -> None:
    entries = {path: PolicySection.model_validate({"drift": one}) for path, one in policy.items()}
    assert drift_of(entries, project="shop", environment="prod", asked=asked) == found


def test_what_is_only_reported_is_told_once_and_its_end_too_by_whoevers_hand(
    controller: SimulatedController,
) -> None:
    operator(controller, "report")
    web = controller.engine.world.named(WEB)
    web.stopped = "exited"
    head = len(controller.types)
    for _ in range(3):
        (outcome,) = controller.look()
        assert outcome.healed is False
    assert controller.types[head:] == ["DriftDetected"]
    assert stopped(controller) == "exited"
    web.stopped = None
    controller.look()
    assert controller.types[head:] == ["DriftDetected", "DriftHealed"]


def test_a_held_drift_lets_nothing_be_deployed_until_a_person_has_looked(
    controller: SimulatedController,
) -> None:
    operator(controller, "hold")
    controller.engine.world.named(WEB).stopped = "exited"
    head = len(controller.types)
    controller.look()
    controller.look()
    assert controller.types[head:] == ["DriftDetected", "EnvironmentHeld"]
    held = controller.state.hold
    assert held is not None
    assert (held.clears, held.target) == ("manual", controller.state.deployed_digest)
    assert held.reason == "drift on local (web), and the policy is `hold`"
    controller.merge(web="web:1", worker="worker:2")
    (outcome,) = controller.look()
    assert outcome.status == "deferred"
    assert stopped(controller) == "exited"
    controller.resume()
    (outcome,) = controller.look()
    assert outcome.status == "completed", "a Release makes all of it as its Manifest says"
    assert stopped(controller) is None
    controller.look()
    assert controller.state.hold is None
    assert controller.types[-1] == "DriftHealed"


def test_a_person_who_has_looked_is_not_held_again_for_the_same(controller: SimulatedController) -> None:
    operator(controller, "hold")
    controller.engine.world.named(WEB).stopped = "exited"
    controller.look()
    controller.resume()
    controller.look()
    assert controller.state.hold is None
    controller.engine.world.named("shop-prod-worker-1").stopped = "exited"
    controller.look()
    assert controller.state.hold is not None, "another drift is another reason to look"


def test_a_descriptor_makes_it_stricter_and_counts_without_git(controller: SimulatedController) -> None:
    controller.merge(project=_REPORTING, web="web:1", worker="worker:1")
    controller.look()
    rendered = [one for one in controller.log.read() if one.type == "ManifestRendered"][-1]
    assert json.loads(rendered.data)["drift"] == "report"
    controller.engine.world.named(WEB).stopped = "exited"
    controller.repository.origin.rename(controller.repository.origin.with_name("away.git"))
    assert ask(controller.context, PROD).policy == "report"


def test_a_change_that_no_hint_told_of_is_found_by_the_next_thorough_look(
    controller: SimulatedController,
) -> None:
    controller.look()
    controller.engine.update(WEB, Memory=5)
    (outcome,) = controller.look()
    assert outcome.healed is False
    controller.clock.advance(EVERY.total_seconds())
    controller.engine.calls.clear()
    (outcome,) = controller.look()
    assert outcome.healed is True
    controller.engine.calls.clear()
    controller.look()
    assert {name for name, _ in controller.engine.calls} <= {"containers", "identity"}


def test_what_differs_is_told_with_field_owner_and_age_and_nothing_is_recorded(
    controller: SimulatedController,
) -> None:
    operator(controller, "report")
    web = controller.engine.world.named(WEB)
    controller.engine.update(WEB, Memory=5)
    del controller.engine.world.containers[controller.engine.world.named("shop-prod-worker-1").id]
    controller.look()
    controller.clock.advance(90)
    head = len(controller.types)
    report = ask(controller.context, PROD).as_json()
    assert len(controller.types) == head
    assert report["policy"] == "report"
    assert report["hosts"] == [{"name": "local", "reachable": True, "reason": ""}]
    limit, missing = report["drift"]
    assert limit["age_seconds"] >= 90
    del limit["since"], limit["age_seconds"], missing["since"], missing["age_seconds"]
    assert limit == {
        "host": "local",
        "service": "web",
        "container": web.id,
        "field": "mem_limit",
        "wanted": "0",
        "found": "5",
        "owner": "person",
        "policy": "report",
    }
    assert (missing["service"], missing["container"], missing["field"]) == ("worker", None, "containers")
    assert (missing["wanted"], missing["found"], missing["owner"]) == ("1", "0", "unknown")


def test_a_host_that_does_not_answer_is_unknown_and_nothing_on_it_is_missing(
    controller: SimulatedController,
) -> None:
    controller.engine.world.reachable = False
    report = ask(controller.context, PROD)
    assert (report.rows, [one.reachable for one in report.hosts]) == ((), [False])


def test_what_a_person_asks_of_a_service_works_under_a_hold_and_a_suspend(
    controller: SimulatedController,
) -> None:
    controller.hold()
    controller.suspend()

    def wish(word: str, service: str = "web") -> bool:
        return asyncio.run(
            steer(controller.context, PROD, word, service=service, reason="why", actor=PERSON)  # type: ignore[arg-type]  # one of the three words
        )

    assert wish("stop") is True
    assert wish("stop") is False
    assert stopped(controller) == "exited"
    assert ask(controller.context, PROD).rows == ()
    with pytest.raises(UserError, match="service-stopped"):
        wish("restart")
    assert wish("start") is True
    assert stopped(controller) is None
    assert wish("restart") is True
    (said,) = [one for one in controller.log.read() if one.type == "ServiceStopped"]
    assert said.actor == PERSON
