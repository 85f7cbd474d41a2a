"""From the Manifest and the containers to operations."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import labels
from events.kernel.errors import UserError
from events.manifest import HostManifest, Job
from projections.converge.conflicts import COMPOSE_PROJECT, COMPOSE_SERVICE
from projections.converge.operations import HostPlan
from projections.converge.plan import Question, plan, plan_removal
from projections.converge.sharing import shared_with
from projections.converge.strategy import OF_THE_IMAGE
from projections.engine.port import Container, ContainerState, PublishedPort
from projections.engine.simulated_world import ONE_OFF
from projections.engine.sweep import Owner
from tests.unit.projections.converge.scene import COMPOSE_PROJECT as APP
from tests.unit.projections.converge.scene import (
    ENVIRONMENT,
    HOST,
    IN_PLACE,
    LINEAGE,
    PROJECT,
    Spec,
    host_manifest,
)

OWNER = Owner(project=PROJECT, environment=ENVIRONMENT, log=LINEAGE)
QUESTION = Question(host=HOST, owner=OWNER, compose_project=APP)
PORT: Mapping[str, Any] = {"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]}


def container(
    service: str,
    *,
    service_hash: str = "old",
    state: ContainerState = "running",
    number: int = 1,
    found: Mapping[str, str] | None = None,
    **more: object,
) -> Container:
    own = {
        labels.PROJECT: PROJECT,
        labels.ENVIRONMENT: ENVIRONMENT,
        labels.SERVICE: service,
        labels.SERVICE_HASH: service_hash,
        labels.LOG: LINEAGE,
        COMPOSE_PROJECT: APP,
        COMPOSE_SERVICE: service,
    }
    values: dict[str, Any] = {"name": f"{APP}-{service}-{number}", "id": f"id-{service}-{number}", **more}
    return Container(
        image="web:1",
        image_id="sha256:1",
        state=state,
        health="none",
        labels={**own, **(found or {})},
        **values,
    )


def right(
    content: HostManifest, service: str, *, state: ContainerState = "running", number: int = 1
) -> Container:
    return container(service, service_hash=content.services[service].hash, state=state, number=number)


def lines(made: HostPlan) -> list[tuple[str, str, str]]:
    return [(o.kind, o.service, o.reason) for o in made.operations]


def test_nothing_there_is_created_as_new() -> None:
    assert lines(plan(host_manifest({"web": Spec()}), [], QUESTION)) == [("create", "web", "new")]


def test_known_service_without_container_is_missing() -> None:
    question = replace(QUESTION, known_services=frozenset({"web"}))
    assert lines(plan(host_manifest({"web": Spec()}), [], question)) == [("create", "web", "missing")]


def test_equal_hash_that_runs_is_kept() -> None:
    content = host_manifest({"web": Spec()})
    made = plan(content, [right(content, "web")], QUESTION)
    assert lines(made) == [("keep", "web", "runs as the Manifest says")]
    assert made.changes == ()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("running", ("keep", "runs as the Manifest says")),
        ("restarting", ("keep", "runs as the Manifest says")),
        ("exited", ("start", "stopped")),
        ("created", ("start", "stopped")),
        ("paused", ("replace", "paused")),
        ("dead", ("replace", "dead")),
        ("removing", ("replace", "removing")),
    ],
)
def test_state_of_an_equal_container_decides(state: ContainerState, expected: tuple[str, str]) -> None:
    content = host_manifest({"web": Spec()})
    (operation,) = plan(content, [right(content, "web", state=state)], QUESTION).operations
    assert (operation.kind, operation.reason) == expected
    assert operation.containers == ("id-web-1",)
    assert operation.removes_first == (("id-web-1",) if operation.kind == "replace" else ())


def test_other_hash_is_replaced_whatever_its_state() -> None:
    content = host_manifest({"web": Spec()})
    for state in ("running", "exited"):
        (operation,) = plan(content, [container("web", state=state)], QUESTION).operations
        assert (operation.kind, operation.reason, operation.removes_first) == ("replace", "changed", ())


def test_one_of_two_replicas_with_another_hash_is_replaced() -> None:
    content = host_manifest({"web": Spec(more={"scale": 2})})
    found = [right(content, "web"), container("web", number=2)]
    (operation,) = plan(content, found, QUESTION).operations
    assert (operation.kind, operation.containers) == ("replace", ("id-web-2",))
    assert (operation.beside, operation.because) == (True, ())


def test_a_volume_that_the_image_declares_shows_on_the_container_and_keeps_it_in_its_place() -> None:
    content = host_manifest({"web": Spec()})
    keeping = replace(container("web"), volumes=("f" * 64,))
    (operation,) = plan(content, [keeping], QUESTION).operations
    assert (operation.beside, operation.because) == (False, (OF_THE_IMAGE,))
    (word,) = plan(host_manifest({"web": Spec(rollout="start-first")}), [keeping], QUESTION).operations
    assert word.beside
    named = replace(container("web"), volumes=("data",))
    assert plan(content, [named], QUESTION).operations[0].beside


def test_what_cannot_be_twice_is_replaced_in_its_place_and_says_why() -> None:
    content = host_manifest({"web": Spec(more=IN_PLACE)})
    (operation,) = plan(content, [container("web")], QUESTION).operations
    assert (operation.strategy, operation.because) == ("stop-first", ("volume data with one writer",))


def test_two_versions_side_by_side_are_one_exchange_that_goes_on() -> None:
    content = host_manifest({"web": Spec()})
    found = [
        container("web", number=1),
        right(content, "web", number=2),
        container("web", number=3, state="exited"),
    ]
    (operation,) = plan(content, found, QUESTION).operations
    assert operation.beside
    assert operation.containers == ("id-web-1", "id-web-3")
    assert operation.removes_first == ("id-web-3",)


def test_where_nothing_runs_there_is_nothing_to_be_beside() -> None:
    content = host_manifest({"web": Spec()})
    (operation,) = plan(content, [container("web", state="exited")], QUESTION).operations
    assert (operation.kind, operation.beside, operation.because) == ("replace", False, ())


def test_too_few_replicas_are_created_as_missing() -> None:
    content = host_manifest({"web": Spec(more={"deploy": {"replicas": 3}})})
    made = plan(content, [right(content, "web")], QUESTION)
    assert lines(made) == [("create", "web", "missing")]


def test_surplus_goes_by_id_and_stopped_ones_first() -> None:
    content = host_manifest({"web": Spec()})
    found = [right(content, "web", state="exited"), right(content, "web", number=2)]
    (operation,) = plan(content, found, QUESTION).operations
    assert (operation.kind, operation.reason, operation.containers) == ("remove", "duplicate", ("id-web-1",))


def test_surplus_beside_a_stopped_one_removes_and_starts() -> None:
    content = host_manifest({"web": Spec(more={"scale": 1})})
    found = [right(content, "web", state="exited", number=n) for n in (1, 2)]
    made = plan(content, found, QUESTION)
    assert lines(made) == [("remove", "web", "duplicate"), ("start", "web", "stopped")]


def test_no_replicas_wanted_and_none_there_is_kept() -> None:
    content = host_manifest({"web": Spec(more={"deploy": {"replicas": 0}})})
    assert lines(plan(content, [], QUESTION)) == [("keep", "web", "runs as the Manifest says")]


def test_orphan_goes_by_id_last() -> None:
    content = host_manifest({"web": Spec()})
    made = plan(content, [right(content, "web"), container("alpha")], QUESTION)
    assert lines(made)[-1] == ("remove", "alpha", "orphan")
    assert made.of("remove")[0].containers == ("id-alpha-1",)
    assert not made.of("remove")[0].clears_way


@pytest.mark.parametrize(
    ("published", "clears"), [("8080", True), ("8070-8090", True), ("9090", False), ("", False)]
)
def test_orphan_on_a_wanted_port_clears_the_way(published: str, *, clears: bool) -> None:
    more = {"ports": [{"target": 80, "published": published, "protocol": "tcp"}]}
    orphan = container("old", ports=(PublishedPort(address="0.0.0.0", port=8080, protocol="tcp"),))  # noqa: S104  # the engine's default
    made = plan(host_manifest({"web": Spec(more=more)}), [orphan], QUESTION)
    assert made.of("remove")[0].clears_way is clears


def test_orphan_with_a_wanted_name_clears_the_way() -> None:
    content = host_manifest({"web": Spec(more={"container_name": "fixed"})})
    made = plan(content, [container("old", name="fixed")], QUESTION)
    assert made.of("remove")[0].clears_way


def test_empty_manifest_is_refused() -> None:
    with pytest.raises(UserError, match="manifest-empty"):
        plan(HostManifest(compose={}, services={}), [container("web")], QUESTION)


def test_job_runs_until_its_hash_succeeded() -> None:
    content = host_manifest({"migrate": Spec(job=Job())})
    assert lines(plan(content, [], QUESTION)) == [("run_job", "migrate", "new")]
    key = (HOST, "migrate", content.services["migrate"].hash)
    done = replace(QUESTION, succeeded_jobs=frozenset({key}))
    assert lines(plan(content, [], done)) == [("keep", "migrate", "succeeded before")]
    elsewhere = replace(QUESTION, succeeded_jobs=frozenset({("n2", *key[1:])}))
    assert lines(plan(content, [], elsewhere)) == [("run_job", "migrate", "new")]


@pytest.mark.parametrize(
    ("on_rollback", "going_back", "done", "kind"),
    [
        (True, True, False, "run_job"),
        (True, True, True, "keep"),
        (True, False, False, "keep"),
        (False, True, False, "keep"),
    ],
)
def test_job_that_succeeded_runs_again_only_on_rollback(
    *, on_rollback: bool, going_back: bool, done: bool, kind: str
) -> None:
    content = host_manifest({"migrate": Spec(job=Job(on_rollback=on_rollback))})
    keys = frozenset({(HOST, "migrate", content.services["migrate"].hash)})
    question = replace(
        QUESTION, succeeded_jobs=keys, going_back=going_back, rerun_jobs=keys if done else frozenset()
    )
    assert plan(content, [], question).operations[0].kind == kind


def test_runs_of_jobs_are_no_replicas_and_no_orphans() -> None:
    content = host_manifest({"web": Spec()})
    runs = [
        container("web", number=7, found={ONE_OFF: "True"}),
        container("gone", number=8, found={ONE_OFF: "True"}),
    ]
    assert lines(plan(content, [right(content, "web"), *runs], QUESTION)) == [
        ("keep", "web", "runs as the Manifest says")
    ]


def test_service_that_became_a_job_leaves_an_orphan() -> None:
    content = host_manifest({"migrate": Spec(job=Job())})
    made = plan(content, [container("migrate")], QUESTION)
    assert lines(made) == [("run_job", "migrate", "new"), ("remove", "migrate", "orphan")]
    assert [o.kind for o in made.repairs] == ["remove"]


def test_whoever_shares_a_replaced_container_is_replaced_too_to_any_depth() -> None:
    content = host_manifest(
        {
            "web": Spec(),
            "side": Spec(more={"network_mode": "service:web"}),
            "third": Spec(more={"volumes_from": ["side:ro"]}),
            "free": Spec(more={"pid": "host", "volumes_from": ["container:other"]}),
        }
    )
    found = [container("web"), *(right(content, name) for name in ("side", "third", "free"))]
    assert lines(plan(content, found, QUESTION)) == [
        ("keep", "free", "runs as the Manifest says"),
        ("replace", "side", "shares with web"),
        ("replace", "third", "shares with side"),
        ("replace", "web", "changed"),
    ]


def test_shared_with_names_each_provider_once() -> None:
    definition = {
        "network_mode": "service:a",
        "ipc": "service:a",
        "pid": "service:b",
        "volumes_from": ["c:rw"],
    }
    assert shared_with(definition) == ("a", "b", "c")


@pytest.mark.parametrize(
    "found",
    [
        {labels.LOG: "lineage-2"},
        {labels.ENVIRONMENT: "test"},
        {labels.PROJECT: "other"},
    ],
)
def test_container_of_another_owner_in_the_project_is_a_conflict(found: dict[str, str]) -> None:
    with pytest.raises(UserError) as raised:
        plan(host_manifest({"web": Spec()}), [container("anything", found=found)], QUESTION)
    assert raised.value.code == "container-not-ours"
    assert next(iter(found.values())) in raised.value.why


def test_container_by_hand_for_our_service_is_a_conflict() -> None:
    by_hand = replace(
        container("web"), name="whatever", labels={COMPOSE_PROJECT: APP, COMPOSE_SERVICE: "web"}
    )
    with pytest.raises(UserError, match="container-not-ours") as raised:
        plan(host_manifest({"web": Spec()}), [by_hand], QUESTION)
    assert "a person" in raised.value.why
    assert raised.value.where.service == "web"


def test_container_by_hand_for_no_service_of_ours_is_left_alone() -> None:
    by_hand = replace(
        container("x"), name="whatever", labels={COMPOSE_PROJECT: APP, COMPOSE_SERVICE: "experiment"}
    )
    one_off = replace(by_hand, labels={COMPOSE_PROJECT: APP, COMPOSE_SERVICE: "web", ONE_OFF: "True"})
    content = host_manifest({"web": Spec()})
    assert lines(plan(content, [by_hand, one_off, right(content, "web")], QUESTION)) == [
        ("keep", "web", "runs as the Manifest says")
    ]


def test_container_elsewhere_with_a_name_we_need_is_a_conflict() -> None:
    for content, name in (
        (host_manifest({"web": Spec()}), f"{APP}-web-1"),
        (host_manifest({"web": Spec(more={"container_name": "fixed"})}), "fixed"),
    ):
        with pytest.raises(UserError, match="container-not-ours"):
            plan(content, [replace(container("x"), name=name, labels={})], QUESTION)


def test_removal_takes_all_of_ours_and_nothing_else() -> None:
    found = [container("web"), container("web", number=2), replace(container("x"), labels={})]
    made = plan_removal(found, host=HOST, owner=OWNER)
    assert [(o.service, o.containers) for o in made.operations] == [("web", ("id-web-1", "id-web-2"))]


LABELS = st.fixed_dictionaries(
    {},
    optional={
        labels.PROJECT: st.sampled_from([PROJECT, "other"]),
        labels.ENVIRONMENT: st.sampled_from([ENVIRONMENT, "test"]),
        labels.SERVICE: st.sampled_from(["web", "db", "gone"]),
        labels.SERVICE_HASH: st.sampled_from(["old", "new"]),
        labels.LOG: st.sampled_from([LINEAGE, "lineage-2"]),
        COMPOSE_PROJECT: st.sampled_from([APP, "else"]),
        COMPOSE_SERVICE: st.sampled_from(["web", "db", "gone", "strange"]),
        ONE_OFF: st.sampled_from(["True", "False"]),
    },
)
STATES = st.sampled_from(["created", "running", "paused", "restarting", "removing", "exited", "dead"])


@given(st.lists(st.tuples(LABELS, STATES), max_size=8))
def test_no_operation_ever_names_a_container_that_is_not_ours(
    found: list[tuple[dict[str, str], ContainerState]],
) -> None:
    containers = [
        replace(container("x"), id=f"id-{n}", name=f"name-{n}", labels=own, state=state)
        for n, (own, state) in enumerate(found)
    ]
    content = host_manifest({"web": Spec(), "db": Spec(image="db:1")})
    with contextlib.suppress(UserError):  # somebody else stands in the way: then nothing is done at all
        made = plan(content, containers, QUESTION)
        named = {one for o in made.operations for one in (*o.containers, *o.removes_first)}
        assert named <= {c.id for c in containers if OWNER.owns(c)}


def test_operations_describe_themselves() -> None:
    content = host_manifest({"web": Spec(), "db": Spec(image="db:1")})
    made = plan(content, [container("web", id="3f2a91c07d1e" + "0" * 52), right(content, "db")], QUESTION)
    assert made.describe() == ("local: replace web (changed) 3f2a91c07d1e",)
    assert made.only(frozenset({"db"})).describe() == ()
