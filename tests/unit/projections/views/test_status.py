"""Status: sync, health and ages from the log's account and what hosts answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from projections.engine.port import ContainerState
from projections.engine.port import Health as ContainerHealth
from projections.observed import HostObservation, ObservedContainer, ObservedService
from projections.views.environments import Environment, Placed, unseen
from projections.views.health import worst
from projections.views.status import join
from tests.unit.projections.views.history import digest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A = Placed(release="rel-1", digest=digest("a"), revision="c1")
B = Placed(release="rel-2", digest=digest("b"), revision="c2")
DEPLOYED = replace(
    unseen("shop", "prod"),
    revision="c1",
    revision_at="2026-01-02T03:03:05.000Z",
    desired=A,
    deployed=A,
    services={"local": {"web": "h1"}},
)
RUNNING = ObservedContainer(id="f" * 64, state="running", health="none")


def service(
    name: str = "web", *containers: ObservedContainer, drift: tuple[str, ...] = ()
) -> ObservedService:
    return ObservedService(name=name, image=f"{name}:1", containers=containers, drift=drift)


def host(
    *services: ObservedService,
    name: str = "local",
    reachable: bool | None = True,
    reason: str = "",
    age: float = 2,
) -> HostObservation:
    return HostObservation(
        environment="shop/prod",
        host=name,
        reachable=reachable,
        reason=reason,
        services=services,
        at=NOW - timedelta(seconds=age),
    )


def sync(environment: Environment, *hosts: HostObservation) -> str:
    return join(environment, hosts, now=NOW).sync


def health(environment: Environment, *hosts: HostObservation) -> str:
    return join(environment, hosts, now=NOW).health


def test_the_json_has_exactly_the_published_keys() -> None:
    shown = join(DEPLOYED, [host(service("web", RUNNING, drift=("image differs",)))], now=NOW)
    assert shown.as_json() == {
        "project": "shop",
        "environment": "prod",
        "sync": "out-of-sync",
        "health": "healthy",
        "git": {"revision": "c1"},
        "desired": {"release": "rel-1", "digest": digest("a")},
        "deployed": {"release": "rel-1", "digest": digest("a"), "revision": "c1"},
        "refused": None,
        "hold": None,
        "suspended": None,
        "breaker": None,
        "orphaned": None,
        "unpruned": None,
        "drained": [],
        "watch": None,
        "destroying": None,
        "destroyed": None,
        "as_of": "2026-01-02T03:04:05.000Z",
        "hosts": [
            {
                "name": "local",
                "reachable": True,
                "reason": "",
                "health": "healthy",
                "services": [
                    {
                        "name": "web",
                        "image": "web:1",
                        "containers": [{"id": "f" * 64, "state": "running", "health": "none", "version": ""}],
                        "drift": ["image differs"],
                        "health": "healthy",
                    }
                ],
            }
        ],
        "mixed": [],
        "freshness": {
            "git_seconds": 60.0,
            "host_seconds": 2.0,
            "git_error": None,
            "git_failing_since": None,
        },
    }


def test_what_runs_as_deployed_and_desired_is_in_sync() -> None:
    assert sync(DEPLOYED, host(service("web", RUNNING))) == "in-sync"


def test_another_desired_manifest_is_out_of_sync() -> None:
    assert sync(replace(DEPLOYED, desired=B), host(service("web", RUNNING))) == "out-of-sync"


def test_nothing_deployed_yet_is_out_of_sync() -> None:
    first = replace(DEPLOYED, deployed=unseen("shop", "prod").deployed)
    assert sync(first, host()) == "out-of-sync"


def test_drift_of_one_service_is_out_of_sync() -> None:
    drifted = service("web", RUNNING, drift=("image differs",))
    assert sync(DEPLOYED, host(service("db", RUNNING), drifted)) == "out-of-sync"


@pytest.mark.parametrize("reachable", [False, None])
def test_a_host_that_cannot_be_reached_makes_sync_and_health_unknown(*, reachable: bool | None) -> None:
    silent = host(service("web", RUNNING), reachable=reachable, reason="connection refused")
    shown = join(replace(DEPLOYED, desired=B), [silent], now=NOW)
    assert (shown.sync, shown.health) == ("unknown", "unknown")
    assert shown.as_json()["hosts"][0]["reason"] == "connection refused"


def test_a_host_that_was_never_looked_at_is_unknown_and_listed() -> None:
    shown = join(DEPLOYED, [], now=NOW)
    assert (shown.sync, shown.health, shown.host_seconds) == ("unknown", "unknown", None)
    assert shown.as_json()["hosts"] == [
        {
            "name": "local",
            "reachable": None,
            "reason": "never looked at",
            "health": "unknown",
            "services": [],
        }
    ]


def test_versions_that_run_side_by_side_are_mixed_and_what_is_down_or_unknown_is_not() -> None:
    def on(name: str, *versions: str, **more: object) -> HostObservation:
        containers = tuple(replace(RUNNING, version=one) for one in versions)
        seen = host(service("web", *containers), service("db", RUNNING))
        return replace(seen, host=name, **more)  # type: ignore[arg-type]  # names are literals below

    one = join(DEPLOYED, [on("a", "v1"), on("b", "v1")], now=NOW)
    assert one.mixed == ()
    several = join(DEPLOYED, [on("a", "v1", "v2"), on("b", "v2"), on("c", "v3", reachable=False)], now=NOW)
    assert several.as_json()["mixed"] == [{"service": "web", "versions": {"v1": ["a"], "v2": ["a", "b"]}}]
    down = replace(on("b"), services=(service("web", replace(RUNNING, state="exited", version="v0")),))
    assert join(DEPLOYED, [on("a", "v1"), down], now=NOW).mixed == ()


def test_a_commit_that_does_not_render_makes_sync_unknown() -> None:
    failed = replace(DEPLOYED, render_failure={"revision": "c2", "code": "x", "message": "y"})
    assert sync(failed, host(service("web", RUNNING))) == "unknown"
    assert health(failed, host(service("web", RUNNING))) == "healthy"


def test_nobody_knows_the_sync_of_an_environment_without_a_decision() -> None:
    assert sync(unseen("shop", "prod")) == "unknown"


def test_before_anything_was_released_or_seen_it_is_missing() -> None:
    assert health(unseen("shop", "prod")) == "missing"
    assert health(replace(DEPLOYED, deployed=unseen("a", "b").deployed)) == "missing"


def test_a_first_release_that_failed_shows_its_containers() -> None:
    failed = replace(DEPLOYED, deployed=unseen("a", "b").deployed)
    exited = ObservedContainer(id="e" * 64, state="exited", health="none")
    assert health(failed, host(service("web", exited))) == "degraded"


def test_a_first_release_on_a_host_that_went_away_is_unknown() -> None:
    first = replace(DEPLOYED, deployed=unseen("a", "b").deployed)
    assert health(first, host(reachable=False)) == "unknown"


@pytest.mark.parametrize(
    ("state", "check", "expected"),
    [
        ("running", "none", "healthy"),
        ("running", "healthy", "healthy"),
        ("running", "starting", "progressing"),
        ("running", "unhealthy", "degraded"),
        ("created", "none", "progressing"),
        ("removing", "none", "progressing"),
        ("paused", "none", "suspended"),
        ("restarting", "none", "degraded"),
        ("exited", "none", "degraded"),
        ("dead", "none", "degraded"),
    ],
)
def test_a_container_counts_by_its_state_and_its_check(
    state: ContainerState, check: ContainerHealth, expected: str
) -> None:
    container = ObservedContainer(id="f" * 64, state=state, health=check)
    assert health(DEPLOYED, host(service("web", container))) == expected


def test_a_state_of_a_newer_engine_is_unknown() -> None:
    for changes in list[dict[str, Any]](({"state": "hibernating"}, {"health": "elated"})):
        strange = replace(RUNNING, **changes)
        assert health(DEPLOYED, host(service("web", strange))) == "unknown"


def test_a_service_without_a_container_is_missing() -> None:
    assert health(DEPLOYED, host(service("web"))) == "missing"


def test_a_service_that_the_host_does_not_show_is_missing() -> None:
    assert health(DEPLOYED, host()) == "missing"
    two = replace(DEPLOYED, services={"local": {"web": "h1", "db": "h2"}})
    assert health(two, host(service("web", RUNNING))) == "missing"


def test_a_job_that_ran_needs_no_container() -> None:
    with_job = replace(
        DEPLOYED,
        services={"local": {"web": "h1", "migrate": "m1"}},
        finished_jobs=frozenset({("local", "migrate")}),
    )
    assert health(with_job, host(service("web", RUNNING))) == "healthy"
    assert health(with_job, host(service("web", RUNNING), service("migrate"))) == "healthy"


def test_the_worst_container_decides() -> None:
    sick = ObservedContainer(id="e" * 64, state="running", health="unhealthy")
    assert health(DEPLOYED, host(service("web", RUNNING, sick))) == "degraded"
    assert health(DEPLOYED, host(service("web", sick)), host(name="b", reachable=False)) == "unknown"


def test_the_order_from_healthy_to_unknown() -> None:
    order: list[Any] = ["healthy", "suspended", "progressing", "missing", "degraded", "unknown"]
    for number, one in enumerate(order):
        assert worst(order[: number + 1]) == one
    assert worst([]) == "healthy"


def test_a_suspended_environment_is_at_best_suspended() -> None:
    suspended = replace(DEPLOYED, suspended={"reason": "moving", "since": "x"})
    assert health(suspended, host(service("web", RUNNING))) == "suspended"
    assert health(suspended, host(service("web"))) == "missing"


def test_hosts_are_sorted_and_one_that_left_is_still_shown() -> None:
    shown = join(DEPLOYED, [host(service("web", RUNNING)), host(name="attic", age=9)], now=NOW)
    assert [one.name for one in shown.hosts] == ["attic", "local"]
    assert shown.host_seconds == 9


def test_the_age_of_hosts_is_unknown_while_one_never_answered() -> None:
    two = replace(DEPLOYED, services={"local": {"web": "h1"}, "other": {"web": "h1"}})
    assert join(two, [host(service("web", RUNNING))], now=NOW).host_seconds is None


def test_an_age_is_never_negative() -> None:
    shown = join(DEPLOYED, [host(service("web", RUNNING), age=-5)], now=NOW)
    assert shown.host_seconds == 0


def test_the_last_look_at_git_counts_unless_the_log_spoke_of_a_commit_later() -> None:
    assert join(DEPLOYED, [], now=NOW, git_looked_at=NOW - timedelta(seconds=3)).git_seconds == 3
    assert join(DEPLOYED, [], now=NOW, git_looked_at=NOW - timedelta(hours=3)).git_seconds == 60
    assert join(DEPLOYED, [], now=NOW).git_seconds == 60
    assert join(unseen("shop", "prod"), [], now=NOW).git_seconds is None
