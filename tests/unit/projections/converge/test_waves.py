"""The order of services."""

from __future__ import annotations

import pytest

from events.kernel.errors import InternalError
from events.manifest import Job, Service
from projections.converge.waves import healthy_needs, waves
from tests.unit.projections.converge.scene import Spec, host_manifest


def services(**specs: Spec) -> dict[str, Service]:
    return host_manifest(specs).services


def test_services_that_wait_for_nobody_are_one_wave() -> None:
    found = services(b=Spec(), a=Spec())
    assert waves(found, found) == (("a", "b"),)


def test_order_of_starting_alone_makes_no_wave() -> None:
    found = services(web=Spec(waits_for={"db": "service_started"}), db=Spec())
    assert waves(found, found) == (("db", "web"),)


def test_a_verdict_makes_a_wave() -> None:
    found = services(
        web=Spec(waits_for={"migrate": "service_completed_successfully"}),
        migrate=Spec(job=Job(), waits_for={"db": "service_healthy"}),
        db=Spec(),
        cache=Spec(),
    )
    assert waves(found, found) == (("cache", "db"), ("migrate",), ("web",))


def test_mere_order_carries_the_level_on() -> None:
    found = services(
        a=Spec(waits_for={"b": "service_started"}), b=Spec(waits_for={"c": "service_healthy"}), c=Spec()
    )
    assert waves(found, found) == (("c",), ("a", "b"))


def test_a_job_comes_after_all_it_waits_for() -> None:
    found = services(migrate=Spec(job=Job(), waits_for={"db": "service_started"}), db=Spec())
    assert waves(found, found) == (("db",), ("migrate",))


def test_the_latest_of_several_waits_decides() -> None:
    found = services(
        web=Spec(waits_for={"a": "service_healthy", "z": "service_healthy"}),
        a=Spec(waits_for={"b": "service_healthy"}),
        b=Spec(),
        z=Spec(),
    )
    assert waves(found, found) == (("b", "z"), ("a",), ("web",))


def test_only_chosen_services_and_no_empty_waves() -> None:
    found = services(
        a=Spec(waits_for={"b": "service_healthy"}), b=Spec(waits_for={"c": "service_healthy"}), c=Spec()
    )
    assert waves(found, {"a", "c"}) == (("c",), ("a",))
    assert waves(found, ()) == ()


def test_a_service_on_another_host_is_not_waited_for() -> None:
    found = services(web=Spec(waits_for={"db": "service_healthy"}))
    assert waves(found, found) == (("web",),)
    assert healthy_needs(found, found) == ()


def test_a_circle_is_a_bug_and_named() -> None:
    found = services(a=Spec(waits_for={"b": "service_started"}), b=Spec(waits_for={"a": "service_started"}))
    with pytest.raises(InternalError, match=r"waits-in-a-circle.*a -> b -> a"):
        waves(found, found)


def test_needs_of_health_are_those_outside_the_chosen() -> None:
    found = services(
        a=Spec(waits_for={"b": "service_healthy", "c": "service_started"}),
        b=Spec(waits_for={"d": "service_healthy"}),
        c=Spec(),
        d=Spec(),
    )
    assert healthy_needs(found, {"a", "b"}) == ("d",)
    assert healthy_needs(found, {"a"}) == ("b",)
