"""In which order hosts get a Release."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from events.catalog.environment import HostsConduct
from events.manifest import HostManifest
from projections.converge.schedule import canaries, steps_of
from tests.unit.projections.converge.hosts_scene import over
from tests.unit.projections.converge.scene import Spec

WEB, WORKER = Spec(), Spec(role="worker")
DB, CACHE, GATE = Spec(role="db"), Spec(role="cache"), Spec(role="gateway")


def apps(count: int) -> dict[str, HostManifest]:
    return dict(over({f"a{number}": {"web": WEB} for number in range(1, count + 1)}).hosts)


def all_of(contents: Mapping[str, HostManifest]) -> dict[str, Collection[str]]:
    return {host: content.services.keys() for host, content in contents.items()}


def order(
    contents: Mapping[str, HostManifest], due: Mapping[str, Collection[str]] | None = None, **said: object
) -> list[str]:
    conduct = HostsConduct.model_validate(said)
    return [
        " ".join(step.hosts) for step in steps_of(contents, all_of(contents) if due is None else due, conduct)
    ]


def test_one_host_makes_one_step_with_all_of_it() -> None:
    contents = dict(over({"local": {"web": WEB}}).hosts)
    for due in (all_of(contents), {"local": ()}):
        (step,) = steps_of(contents, due, HostsConduct(canary=1, max_parallel=9))
        assert (step.hosts, step.whole) == (("local",), frozenset({"local"}))


def test_hosts_go_one_after_the_other_unless_told_otherwise() -> None:
    assert order(apps(3)) == ["a1", "a2", "a3"]


def test_hosts_go_in_batches() -> None:
    assert order(apps(5), max_parallel=2) == ["a1 a2", "a3 a4", "a5"]


def test_the_canaries_go_first() -> None:
    assert order(apps(4), canary=1, max_parallel=9) == ["a1", "a2 a3 a4"]
    assert order(apps(4), canary="a3", max_parallel=9) == ["a3", "a1 a2 a4"]
    assert order(apps(4), canary=2, max_parallel=9) == ["a1 a2", "a3 a4"]


def test_more_canaries_than_may_change_at_once_go_in_batches_too() -> None:
    assert order(apps(3), canary=2) == ["a1", "a2", "a3"]


def test_tiers_go_over_all_hosts() -> None:
    contents = over({"z": {"db": DB}, "y": {"cache": CACHE}, "m": {"web": WEB}, "a": {"gate": GATE}}).hosts
    assert order(contents, max_parallel=9) == ["y", "z", "m", "a"]


def test_a_host_of_several_tiers_takes_part_in_each() -> None:
    contents = over({"one": {"db": DB, "web": WEB}, "two": {"web": WEB, "gate": GATE}}).hosts
    steps = steps_of(contents, all_of(contents), HostsConduct(max_parallel=2))
    assert [dict(step.services) for step in steps] == [
        {"one": {"db"}},
        {"one": {"web"}, "two": {"web"}},
        {"two": {"gate"}},
    ]
    assert [step.whole for step in steps] == [set(), set(), set()]


def test_the_only_host_of_a_role_is_a_batch_of_its_own() -> None:
    contents = over(
        {
            "a1": {"web": WEB},
            "a2": {"web": WEB},
            "cron": {"tick": WORKER},
            "mail": {"send": Spec(role="mail")},
        }
    )
    assert order(contents.hosts, max_parallel=9) == ["cron", "mail", "a1 a2"]


def test_a_canary_is_of_each_role_that_stands_on_several_hosts() -> None:
    contents = over(
        {
            "a1": {"web": WEB},
            "a2": {"web": WEB},
            "w1": {"work": WORKER},
            "w2": {"work": WORKER},
            "d": {"db": DB},
        }
    ).hosts
    assert canaries(contents, HostsConduct(canary=1)) == {"a1", "w1"}
    assert order(contents, canary=1, max_parallel=9) == ["d", "a1 w1", "a2 w2"]


def test_hosts_with_nothing_to_do_stand_together_at_the_end() -> None:
    assert order(apps(4), {"a1": (), "a2": (), "a3": {"web"}, "a4": ()}, canary=1) == ["a3", "a1 a2 a4"]


def test_a_service_that_waits_for_a_later_tier_goes_with_it() -> None:
    gated = Spec(role="db", waits_for={"gate": "service_started"})
    contents = over({"one": {"gate": GATE, "db": gated}, "two": {"web": WEB}}).hosts
    assert order(contents) == ["two", "one"]
