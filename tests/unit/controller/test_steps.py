"""The order of a plan's steps."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given

from controller.steps import Image, PlanPhase, steps_of
from events.blobs import MemoryBlobStore
from events.manifest import Manifest
from gitops.manifest import complete
from tests.unit.controller.apps import JOB_IMAGES, App, Part, apps, draft_of
from tests.unit.controller.test_foretelling import PINS


def wanted(parts: Mapping[str, Part]) -> Manifest:
    return manifest_of_app(App(parts=parts))


def manifest_of_app(app: App) -> Manifest:
    return complete(draft_of(app, blobs=MemoryBlobStore(), env_path="/etc/platform/env"), PINS)


def job(*waits: str, role: str = "app") -> Part:
    return Part(image=JOB_IMAGES[0], job=True, waits=waits, role=role)


def ids(steps: tuple[PlanPhase, ...]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(step.id, step.services, step.depends_on) for step in steps]


def test_data_comes_first_and_gateways_last_when_nothing_waits() -> None:
    made = wanted({"a": Part(role="gateway"), "b": Part(role="app"), "c": Part(role="db")})
    assert ids(steps_of(made, ())) == [
        ("DEPLOY_DB", ("c",), ()),
        ("DEPLOY_APP", ("b",), ("DEPLOY_DB",)),
        ("DEPLOY_GATEWAY", ("a",), ("DEPLOY_APP",)),
        ("HEALTH_CHECK", ("a", "b", "c"), ("DEPLOY_APP", "DEPLOY_DB", "DEPLOY_GATEWAY")),
    ]


def test_what_services_wait_for_comes_before_what_their_role_is() -> None:
    made = wanted({"a": Part(role="gateway"), "b": Part(role="db", waits=("a",))})
    assert [step.id for step in steps_of(made, ())] == ["DEPLOY_GATEWAY", "DEPLOY_DB", "HEALTH_CHECK"]


def test_a_job_stands_between_what_it_waits_for_and_what_waits_for_it() -> None:
    made = wanted({"a": Part(role="db"), "b": job("a"), "c": Part(waits=("b",))})
    assert ids(steps_of(made, ())) == [
        ("DEPLOY_DB", ("a",), ()),
        ("MIGRATE_APP", ("b",), ("DEPLOY_DB",)),
        ("DEPLOY_APP", ("c",), ("DEPLOY_DB", "MIGRATE_APP")),
        ("HEALTH_CHECK", ("a", "c"), ("DEPLOY_APP", "DEPLOY_DB")),
    ]


def test_a_role_goes_on_in_a_second_step_where_its_services_wait_for_each_other_through_a_job() -> None:
    made = wanted({"a": Part(), "b": job("a"), "c": Part(waits=("b",))})
    assert ids(steps_of(made, ()))[:3] == [
        ("DEPLOY_APP", ("a",), ()),
        ("MIGRATE_APP", ("b",), ("DEPLOY_APP",)),
        ("DEPLOY_APP_2", ("c",), ("DEPLOY_APP", "MIGRATE_APP")),
    ]


def test_images_that_the_project_makes_come_before_all_and_are_waited_for_by_their_services() -> None:
    made = wanted({"a": Part(role="db"), "b": Part(), "c": Part()})
    images = [
        Image(service="c", ref="c:1", source="awaited-from-ci", known=False),
        Image(service="b", ref="b:1", source="built-here", known=True),
    ]
    steps = steps_of(made, images)
    assert ids(steps)[:3] == [
        ("BUILD_APP", ("b", "c"), ()),
        ("DEPLOY_DB", ("a",), ()),
        ("DEPLOY_APP", ("b", "c"), ("BUILD_APP", "DEPLOY_DB")),
    ]
    assert steps[0].description == "Build b here, await c from CI"
    assert [one["service"] for one in steps[0].as_json()["metadata"]["images"]] == ["b", "c"]


def test_roles_that_are_spelled_alike_have_steps_of_their_own() -> None:
    made = wanted({"a": Part(role="a-b"), "b": Part(role="a_b"), "c": Part(role="a_b_2")})
    images = [Image(service=name, ref="x:1", source="built-here", known=False) for name in "abc"]
    told = [step.id for step in steps_of(made, images)]
    assert len(set(told)) == len(told) == 7


def test_only_jobs_need_no_look_at_health() -> None:
    assert [step.id for step in steps_of(wanted({"a": job(role="db")}), ())] == ["MIGRATE_DB"]


@given(apps())
def test_every_step_comes_after_all_that_its_services_wait_for(app: App) -> None:
    steps = steps_of(manifest_of_app(app), ())
    assert len({step.id for step in steps}) == len(steps)
    seen: set[str] = set()
    known: set[str] = set()
    for step in steps:
        assert set(step.depends_on) <= known
        known.add(step.id)
        seen |= set(step.services)
        assert all(set(app.parts[name].waits) <= seen for name in step.services)
    assert seen == set(app.parts)
