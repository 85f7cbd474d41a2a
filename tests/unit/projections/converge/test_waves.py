"""The order of services."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from events.kernel.errors import InternalError
from events.manifest import Job, Service
from projections.converge.waves import Order, healthy_needs, order_of
from tests.unit.projections.converge.scene import Spec, host_manifest


def services(**specs: Spec) -> dict[str, Service]:
    return host_manifest(specs).services


def waves(
    found: Mapping[str, Service], chosen: Collection[str] | None = None, *, most: int = 100
) -> list[tuple[str, ...]]:
    """What is begun after what, when each wave passes as a whole."""
    return told(order_of(found, found if chosen is None else chosen), most=most)


def told(order: Order, *, most: int = 100, free: Collection[str] = ()) -> list[tuple[str, ...]]:
    begun: set[str] = set()
    waves: list[tuple[str, ...]] = []
    while wave := order.next(begun=begun, passed=begun, most=most, free=free):
        waves.append(wave)
        begun |= set(wave)
    return waves


CHAINS = services(
    a1=Spec(), a2=Spec(waits_for={"a1": "service_healthy"}),
    b1=Spec(), b2=Spec(waits_for={"b1": "service_healthy"}),
)  # fmt: skip


def test_services_that_wait_for_nobody_are_one_wave() -> None:
    assert waves(services(b=Spec(), a=Spec())) == [("a", "b")]


def test_order_of_starting_alone_makes_no_wave() -> None:
    assert waves(services(a=Spec(waits_for={"db": "service_started"}), db=Spec())) == [("a", "db")]


def test_a_verdict_makes_a_wave() -> None:
    found = services(
        web=Spec(waits_for={"migrate": "service_completed_successfully"}),
        migrate=Spec(job=Job(), waits_for={"db": "service_healthy"}),
        db=Spec(),
        cache=Spec(),
    )
    assert waves(found) == [("cache", "db"), ("migrate",), ("web",)]


def test_a_chain_goes_on_without_the_verdict_of_another_one() -> None:
    order = order_of(CHAINS, CHAINS)
    assert order.next(begun=(), passed=(), most=9) == ("a1", "b1")
    assert order.next(begun={"a1", "b1"}, passed={"a1"}, most=9) == ("a2",)


def test_no_more_than_the_bound_begin_and_one_is_one_after_the_other() -> None:
    assert waves(CHAINS, most=1) == [("a1",), ("a2",), ("b1",), ("b2",)]
    order = order_of(CHAINS, CHAINS)
    assert order.next(begun={"a1"}, passed=(), most=0) == ()


def test_who_is_only_looked_at_takes_nobodys_place() -> None:
    assert told(order_of(CHAINS, CHAINS), most=1, free={"a1", "a2"}) == [("a1", "b1"), ("a2", "b2")]


def test_mere_order_never_begins_before_what_it_follows() -> None:
    found = services(
        a=Spec(waits_for={"b": "service_started"}), b=Spec(waits_for={"c": "service_healthy"}), c=Spec()
    )
    assert waves(found) == [("c",), ("a", "b")]
    assert waves(found, most=1) == [("c",), ("b",), ("a",)]


def test_a_job_comes_after_all_it_waits_for() -> None:
    found = services(migrate=Spec(job=Job(), waits_for={"db": "service_started"}), db=Spec())
    assert waves(found) == [("db",), ("migrate",)]


def test_a_chosen_one_keeps_its_place_after_one_that_it_reaches_through_a_third() -> None:
    found = services(
        a=Spec(waits_for={"b": "service_healthy"}), b=Spec(waits_for={"c": "service_healthy"}), c=Spec()
    )
    assert waves(found, {"a", "c"}) == [("c",), ("a",)]
    assert waves(found, ()) == []
    started = services(
        a=Spec(waits_for={"b": "service_healthy"}), b=Spec(waits_for={"c": "service_started"}), c=Spec()
    )
    assert waves(started, {"a", "c"}) == [("c",), ("a",)]


def test_data_comes_before_all_other_roles_and_gateways_last() -> None:
    found = services(
        edge=Spec(role="gateway"),
        web=Spec(),
        cache=Spec(role="cache"),
        mail=Spec(role="mailer"),
        db=Spec(role="db"),
    )
    assert waves(found) == [("cache", "db"), ("mail", "web"), ("edge",)]
    assert told(order_of(found, found, ranked={"web", "edge"})) == [("cache", "db", "mail", "web"), ("edge",)]


def test_what_services_wait_for_goes_before_their_roles() -> None:
    found = services(
        db=Spec(role="db", waits_for={"keys": "service_healthy"}),
        keys=Spec(),
        web=Spec(waits_for={"edge": "service_started"}),
        edge=Spec(role="gateway"),
        other=Spec(waits_for={"db": "service_healthy"}),
    )
    assert waves(found) == [("keys",), ("db",), ("other",), ("edge", "web")]


def test_those_in_one_anothers_containers_begin_together_whatever_the_bound() -> None:
    found = services(a=Spec(), m=Spec(waits_for={"z": "service_started"}), z=Spec())
    assert told(order_of(found, found, shared={"m": {"z"}}), most=1) == [("a",), ("m", "z")]


def test_a_service_on_another_host_is_not_waited_for() -> None:
    found = services(web=Spec(waits_for={"db": "service_healthy"}))
    assert waves(found) == [("web",)]
    assert healthy_needs(found, found) == ()


def test_a_circle_is_a_bug_and_named() -> None:
    found = services(a=Spec(waits_for={"b": "service_started"}), b=Spec(waits_for={"a": "service_started"}))
    with pytest.raises(InternalError, match=r"waits-in-a-circle.*a -> b -> a"):
        waves(found)


def test_needs_of_health_are_those_outside_the_chosen() -> None:
    found = services(
        a=Spec(waits_for={"b": "service_healthy", "c": "service_started"}),
        b=Spec(waits_for={"d": "service_healthy"}),
        c=Spec(),
        d=Spec(),
    )
    assert healthy_needs(found, {"a", "b"}) == ("d",)
    assert healthy_needs(found, {"a"}) == ("b",)
