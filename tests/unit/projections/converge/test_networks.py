"""A network that is made anew takes exactly its services along."""

from __future__ import annotations

from projections.converge.networks import RENEWED, renewing
from projections.converge.operations import HostPlan, Operation, OperationKind
from projections.engine.port import Container


def container(service: str, *networks: str) -> Container:
    return Container(
        id=f"id-{service}",
        name=f"shop-{service}-1",
        image="web",
        image_id="sha256:1",
        state="running",
        health="none",
        labels={"stagecraft.service": service},
        networks=networks,
    )


def operation(kind: OperationKind, service: str, *ids: str) -> Operation:
    return Operation(kind=kind, host="local", service=service, reason="as it was", containers=ids)


def shown(plan: HostPlan) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.service, one.clears_way) for one in plan.operations]


def test_without_a_network_to_renew_the_plan_is_the_same() -> None:
    plan = HostPlan(host="local", operations=(operation("replace", "web", "id-web"),))
    assert renewing(plan, [container("web", "shop_default")], []) is plan
    assert renewing(plan, [container("web", "shop_default")], ["shop_other"]) is plan


def test_services_on_the_network_go_first_and_come_again() -> None:
    plan = HostPlan(
        host="local",
        operations=(
            operation("keep", "db", "id-db"),
            operation("start", "cache", "id-cache"),
            operation("replace", "web", "id-web"),
            operation("keep", "worker", "id-worker"),
            operation("create", "new"),
        ),
    )
    containers = [
        container("db", "front"),
        container("cache", "front", "back"),
        container("web", "front"),
        container("worker", "back"),
    ]
    renewed = renewing(plan, containers, ["front"])
    assert shown(renewed) == [
        ("create", "db", False),
        ("create", "cache", False),
        ("create", "web", False),
        ("keep", "worker", False),
        ("create", "new", False),
        ("remove", "cache", True),
        ("remove", "db", True),
        ("remove", "web", True),
    ]
    assert {one.reason for one in renewed.operations if one.service in {"db", "cache"}} == {RENEWED}
    assert [one.reason for one in renewed.operations if one.service == "web"] == ["as it was", RENEWED]


def test_an_orphan_on_the_network_goes_before_it_is_renewed() -> None:
    plan = HostPlan(host="local", operations=(operation("remove", "old", "id-old"),))
    assert shown(renewing(plan, [container("old", "front")], ["front"])) == [("remove", "old", True)]
