"""The plan for what a killed Compose client left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import labels
from projections.engine.port import Container, ContainerState
from projections.engine.sweep import Owner, Remove, Rename, plan_sweep

US = Owner(project="shop", environment="prod", log="log-1")
OURS = {
    labels.PROJECT: "shop",
    labels.ENVIRONMENT: "prod",
    labels.SERVICE: "web",
    labels.SERVICE_HASH: "sha256:aa",
    labels.LOG: "log-1",
}
HALF = "0123456789ab_shop-prod-web-1"
HALF_TOO = "ba9876543210_shop-prod-web-1"
REAL = "shop-prod-web-1"


def container(name: str, state: ContainerState = "running", found: dict[str, str] | None = None) -> Container:
    return Container(
        id=f"id of {name}",
        name=name,
        image="web:1",
        image_id="sha256:bb",
        state=state,
        health="none",
        labels=OURS if found is None else found,
    )


REMOVED = Remove(id=f"id of {HALF}", name=HALF)
RENAMED = Rename(id=f"id of {HALF}", name=HALF, to=REAL)


@pytest.mark.parametrize(
    ("state", "real_name", "expected"),
    [
        ("created", "taken", [REMOVED]),
        ("created", "free", [RENAMED]),
        ("running", "free", [RENAMED]),
        ("running", "taken", []),
        ("exited", "free", [RENAMED]),
        ("exited", "taken", []),
        ("restarting", "free", [RENAMED]),
        ("paused", "taken", []),
        ("removing", "free", []),
        ("dead", "free", []),
    ],
)
def test_what_happens_depends_on_its_state_and_on_its_name(
    state: ContainerState, real_name: str, expected: list[Remove | Rename]
) -> None:
    everything = [container(HALF, state)]
    if real_name == "taken":
        everything.append(container(REAL))
    assert plan_sweep(everything, US) == expected


@pytest.mark.parametrize(
    "name",
    [
        REAL,
        "0123456789ab",
        "0123456789ab_",
        "0123456789a_web",
        "0123456789abc_web",
        "0123456789AB_web",
        "x_web",
    ],
)
def test_other_names_are_left_alone(name: str) -> None:
    assert plan_sweep([container(name, "created")], US) == []


def test_a_name_that_a_stranger_has_is_taken() -> None:
    strangers = container(REAL, "exited", found={})
    assert plan_sweep([container(HALF, "created"), strangers], US) == [REMOVED]


def test_of_two_that_wait_for_a_name_the_running_one_gets_it() -> None:
    plan = plan_sweep([container(HALF, "created"), container(HALF_TOO, "running")], US)
    assert plan == [REMOVED, Rename(id=f"id of {HALF_TOO}", name=HALF_TOO, to=REAL)]


def test_steps_can_be_read() -> None:
    assert str(REMOVED) == f"remove the half-made {HALF}"
    assert str(RENAMED) == f"rename {HALF} to {REAL}"


@pytest.mark.parametrize("label", labels.IDENTITY)
def test_each_label_counts(label: str) -> None:
    without = {name: value for name, value in OURS.items() if name != label}
    assert plan_sweep([container(HALF, "created", without)], US) == []
    assert plan_sweep([container(HALF, "created", {**OURS, label: ""})], US) == []


@pytest.mark.parametrize("label", [labels.PROJECT, labels.ENVIRONMENT, labels.LOG])
def test_labels_with_the_values_of_others_do_not_count(label: str) -> None:
    assert plan_sweep([container(HALF, "created", {**OURS, label: "other"})], US) == []


NAMES = st.sampled_from([HALF, HALF_TOO, REAL, "0123456789ab_other", "other"])
STATES: st.SearchStrategy[ContainerState] = st.sampled_from(
    ["created", "running", "paused", "restarting", "removing", "exited", "dead"]
)
LABELS = st.dictionaries(
    st.sampled_from(labels.IDENTITY), st.sampled_from(["shop", "prod", "log-1", "", "x"])
)
CONTAINERS = st.lists(
    st.builds(container, NAMES, STATES, st.one_of(st.just(OURS), LABELS)), unique_by=lambda found: found.name
)


@given(CONTAINERS)
def test_nothing_without_all_our_labels_is_ever_touched(everything: list[Container]) -> None:
    by_id = {found.id: found for found in everything}
    for step in plan_sweep(everything, US):
        touched = by_id[step.id].labels
        assert all(touched.get(label) for label in labels.IDENTITY)
        assert (touched[labels.PROJECT], touched[labels.ENVIRONMENT], touched[labels.LOG]) == (
            "shop",
            "prod",
            "log-1",
        )


@given(CONTAINERS)
def test_only_what_never_ran_is_removed_and_no_name_is_given_twice(everything: list[Container]) -> None:
    by_id = {found.id: found for found in everything}
    plan = plan_sweep(everything, US)
    assert all(by_id[step.id].state == "created" for step in plan if isinstance(step, Remove))
    names = [found.name for found in everything] + [step.to for step in plan if isinstance(step, Rename)]
    assert len(names) == len(set(names))


@given(CONTAINERS)
def test_a_second_sweep_finds_nothing(everything: list[Container]) -> None:
    plan = {step.id: step for step in plan_sweep(everything, US)}
    after: list[Container] = []
    for found in everything:
        step = plan.get(found.id)
        if step is None:
            after.append(found)
        elif isinstance(step, Rename):
            after.append(container(step.to, found.state, dict(found.labels)))
    assert plan_sweep(after, US) == []
