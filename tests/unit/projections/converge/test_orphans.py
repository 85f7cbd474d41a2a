"""How much one Release takes away by itself."""

from __future__ import annotations

import pytest

from events.manifest import Job
from projections.converge.operations import HostPlan, Operation
from projections.converge.orphans import Cap, lasting, orphans_of
from tests.unit.projections.converge.scene import HOST, Spec, manifest_of


@pytest.mark.parametrize(
    ("going", "there", "stops"),
    [(0, 9, False), (1, 1, False), (2, 2, False), (3, 5, True), (3, 6, False), (5, 10, False), (6, 99, True)],
)
def test_more_than_the_number_or_than_half_of_what_ran_stays(going: int, there: int, *, stops: bool) -> None:
    assert Cap(most=5).stops(going, there=there) is stops


def test_a_low_number_counts_for_few_too_and_zero_is_none_at_all() -> None:
    assert Cap(most=1).stops(2, there=99)
    assert Cap(most=0).stops(1, there=99)
    assert not Cap(most=0).stops(0, there=99)


def test_the_confirmed_number_alone_passes() -> None:
    cap = Cap(most=5, confirmed=7)
    assert [cap.stops(going, there=99) for going in (6, 7, 8)] == [True, False, True]
    assert not Cap().stops(99, there=99)


def test_an_orphan_left_the_manifest_and_a_duplicate_did_not() -> None:
    gone = Operation(kind="remove", host=HOST, service="a", reason="orphan")
    surplus = Operation(kind="remove", host=HOST, service="b", reason="duplicate")
    assert orphans_of(HostPlan(host=HOST, operations=(gone, surplus))) == {(HOST, "a")}


def test_jobs_do_not_last() -> None:
    manifest = manifest_of(web=Spec(), migrate=Spec(image="job:1", job=Job()))
    assert lasting(manifest) == {(HOST, "web")}
    assert lasting(manifest, hosts=["elsewhere"]) == lasting(None) == frozenset()
