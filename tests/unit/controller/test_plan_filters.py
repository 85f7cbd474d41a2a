"""What of a plan is shown, and what comes along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from controller.plan_filters import Filters, View, view
from controller.steps import Image, steps_of
from events.kernel.errors import UserError
from tests.unit.controller.apps import Part
from tests.unit.controller.test_steps import job, wanted

PARTS: Mapping[str, Part] = {
    "a": Part(role="db"),
    "b": job("a"),
    "c": job("b"),
    "d": Part(waits=("a", "c")),
    "e": Part(role="gateway", waits=("d",)),
}
IMAGES = [
    Image(service=name, ref=f"{name}:1", source="built-here", known=False) for name in ("a", "b", "d", "e")
]


def shown(filters: Filters, before: Mapping[str, Part] | None = None) -> View:
    made = wanted(PARTS)
    former = None if before is None else wanted(before)
    return view(steps_of(made, IMAGES), filters, wanted=made, before=former)


def steps(found: View) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.id, step.services) for step in found.phases]


def test_without_a_filter_all_is_shown() -> None:
    found = shown(Filters())
    assert [step.id for step in found.phases] == [
        "BUILD_DB", "BUILD_APP", "BUILD_GATEWAY", "DEPLOY_DB", "MIGRATE_APP", "DEPLOY_APP", "DEPLOY_GATEWAY",
        "HEALTH_CHECK",
    ]  # fmt: skip
    assert {name for _host, name in found.pairs} == set(PARTS)


def test_a_service_keeps_its_image_and_the_jobs_it_waits_for_through_each_other() -> None:
    found = shown(Filters(services=("d",)))
    assert steps(found) == [
        ("BUILD_APP", ("b", "d")),
        ("MIGRATE_APP", ("b", "c")),
        ("DEPLOY_APP", ("d",)),
        ("HEALTH_CHECK", ("d",)),
    ]
    assert found.phases[0].description == "Build b, d here"
    assert {name for _host, name in found.pairs} == {"b", "c", "d"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(roles=("gateway",)), ["BUILD_GATEWAY", "DEPLOY_GATEWAY", "HEALTH_CHECK"]),
        (
            Filters(services=("a", "e"), phases=("DEPLOY",)),
            ["BUILD_DB", "BUILD_GATEWAY", "DEPLOY_DB", "DEPLOY_GATEWAY"],
        ),
        (Filters(services=("a", "d"), roles=("db",)), ["BUILD_DB", "DEPLOY_DB", "HEALTH_CHECK"]),
        (Filters(phases=("DEPLOY_APP",)), ["BUILD_APP", "MIGRATE_APP", "DEPLOY_APP"]),
        (Filters(phases=("BUILD",)), ["BUILD_DB", "BUILD_APP", "BUILD_GATEWAY"]),
        (Filters(phases=("HEALTH",)), ["HEALTH_CHECK"]),
        (Filters(phases=("MIGRATE", "DEPLOY_DB")), ["BUILD_DB", "BUILD_APP", "DEPLOY_DB", "MIGRATE_APP"]),
    ],
)
def test_filters_add_up_within_and_agree_with_each_other(filters: Filters, expected: Sequence[str]) -> None:
    found = shown(filters)
    assert [step.id for step in found.phases] == expected
    assert all(set(step.depends_on) <= set(expected) for step in found.phases)


def test_a_service_that_leaves_can_be_named() -> None:
    found = shown(Filters(services=("left",)), before={"left": Part()})
    assert found.phases == ()
    assert {name for _host, name in found.pairs} == {"left"}


@pytest.mark.parametrize(
    ("filters", "code", "words"),
    [
        (Filters(services=("dd",)), "service-unknown", "no service 'dd'; did you mean 'd'?"),
        (Filters(roles=("gatway",)), "role-unknown", "no role 'gatway'; did you mean 'gateway'?"),
        (Filters(hosts=("locl",)), "host-not-in-plan", "no host 'locl'; did you mean 'local'?"),
        (Filters(phases=("DEPLOY_A_",)), "phase-unknown", "no phase 'DEPLOY_A_'; did you mean 'DEPLOY_APP'?"),
        (Filters(phases=("deploy",)), "phase-unknown", "no phase 'deploy'"),
        (Filters(services=("x" * 10_000,)), "service-unknown", f"no service '{'x' * 60}…'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(filters: Filters, code: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        shown(filters)
    assert caught.value.code == code
    assert caught.value.message == words
    assert caught.value.why.startswith("known ")
