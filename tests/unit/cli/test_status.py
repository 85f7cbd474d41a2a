"""`status`: the published JSON, the text at a glance, and which environment a name means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.status import status_lines
from events.catalog import Failure
from events.catalog.draining import TrafficDrained
from events.catalog.environment import RenderFailed
from events.catalog.release import HostVerdict, ReleaseFailed, TrafficProof
from events.catalog.watch import WatchBegun
from events.kernel.clock import parse_utc
from events.kernel.errors import UserError
from gitops.source.signers import COMMIT_UNSIGNED
from projections.observed import HostObservation, ObservedContainer, ObservedService, ObservedStore
from projections.views.environment_fold import ENVIRONMENTS
from projections.views.environments import find_environment
from projections.views.status import join
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import FAILURE, History, digest, folded


def observe(home: Path, **changes: Any) -> HostObservation:  # noqa: ANN401  # fields of the observation
    made = replace(_OBSERVED, **{"at": datetime.now(UTC) - timedelta(seconds=5), **changes})
    ObservedStore(home / "observed.db").save(made)
    return made


_OBSERVED = HostObservation(
    environment="shop/prod",
    host="local",
    reachable=True,
    services=(
        ObservedService(
            name="web",
            image="web:1",
            containers=(ObservedContainer(id="f" * 64, state="running", health="healthy", version="1" * 64),),
        ),
    ),
)


def test_json_joins_the_log_and_what_hosts_answered(call: Call, history: History, home: Path) -> None:
    release = history.deployed("a", revision="c1")
    observe(home)
    shown = json.loads(call("status", "--env", "prod", "--json").out)
    assert 5 <= shown["freshness"].pop("host_seconds") < 60
    assert shown["freshness"].pop("git_seconds") > 0
    assert shown.pop("as_of")
    assert shown == {
        "project": "shop",
        "environment": "prod",
        "sync": "in-sync",
        "health": "healthy",
        "git": {"revision": "c1"},
        "desired": {"release": release, "digest": digest("a")},
        "deployed": {"release": release, "digest": digest("a"), "revision": "c1"},
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
                        "containers": [
                            {"id": "f" * 64, "state": "running", "health": "healthy", "version": "1" * 64}
                        ],
                        "drift": [],
                        "health": "healthy",
                    }
                ],
            }
        ],
        "mixed": [],
        "freshness": {"git_error": None, "git_failing_since": None},
    }


@pytest.mark.parametrize("named", ["prod", "shop/prod"])
def test_an_environment_has_a_short_and_a_long_name(call: Call, history: History, named: str) -> None:
    history.deployed("a")
    assert json.loads(call("status", "--env", named, "--json").out)["project"] == "shop"


def test_an_unknown_environment_is_an_error_that_lists_the_known(call: Call, history: History) -> None:
    history.deployed("a")
    said = call("status", "--env", "prd")
    assert (said.code, said.out) == (1, "")
    assert "environment-unknown" in said.err
    assert "shop/prod" in said.err


def test_an_ambiguous_name_is_an_error_that_lists_the_candidates(call: Call, history: History) -> None:
    history.deployed("a")
    history.project = "blog"
    history.deployed("b")
    said = call("status", "--env", "prod")
    assert said.code == 1
    assert "environment-ambiguous" in said.err
    assert "blog/prod, shop/prod" in said.err


def test_a_declared_environment_that_was_never_deployed_is_missing(
    call: Call, folder: Path, home: Path
) -> None:
    (folder / "stagecraft.yml").write_text("project: {name: shop}\nenvironments: {prod: {}}\n")
    for argv in (("--env", "prod"), ("--env", "shop/prod"), ()):
        shown = json.loads(call("status", *argv, "--json").out)
        assert (shown["sync"], shown["health"], shown["hosts"]) == ("unknown", "missing", [])
    assert not home.exists()


def test_without_any_environment_it_says_what_to_do(call: Call) -> None:
    said = call("status")
    assert said.code == 1
    assert "environment-required" in said.err
    assert "stagecraft init" in said.err


def test_the_only_environment_needs_no_name(call: Call, history: History) -> None:
    history.deployed("a")
    assert call("status").out.startswith("shop/prod: ")


def test_several_environments_are_an_overview(call: Call, history: History) -> None:
    release = history.deployed("a")
    history.held("a")
    history.environment = "dev"
    history.suspended()
    assert call("status").out.splitlines() == [
        "ENVIRONMENT  SYNC     HEALTH   DEPLOYED                NOTE",
        "shop/dev     unknown  missing  -                       suspended",
        f"shop/prod    unknown  unknown  {release}  held",
    ]
    said = call("status", "--json")
    assert said.code == 1
    assert "environment-required" in said.err
    assert "shop/dev, shop/prod" in said.err


def text(history: History, path: Path, *observations: HostObservation) -> list[str]:
    with folded(history.log, path / "v.db", ENVIRONMENTS) as tables:
        found = find_environment(tables, "shop", "prod")
    assert found is not None
    return status_lines(join(found, observations, now=history.clock.now() + timedelta(minutes=3)))


def test_the_text_is_a_glance(history: History, home: Path, tmp_path: Path) -> None:
    release = history.deployed("a", revision="c1")
    seen = observe(home, at=history.clock.now())
    assert text(history, tmp_path, seen) == [
        "shop/prod: in-sync, healthy",
        "  git       c1 (3 min ago)",
        f"  desired   {release} sha256:610000000000",
        f"  deployed  {release} sha256:610000000000",
        "  local: reachable",
        "    web  healthy      web:1  ffffffffffff running healthy",
        "  hosts last answered (3 min ago)",
    ]


def test_several_hosts_have_a_health_each_and_mixed_versions_are_marked(
    history: History, home: Path, tmp_path: Path
) -> None:
    history.deployed("a", revision="c1")

    def web(version: str) -> ObservedService:
        one = ObservedContainer(id=version * 64, state="running", health="healthy", version=version * 64)
        return ObservedService(name="web", image="web:2", containers=(one,))

    seen = [
        observe(home, host="app-1", services=(web("1"),), at=history.clock.now()),
        observe(home, host="app-2", services=(web("2"),), at=history.clock.now()),
        observe(home, host="app-3", services=(web("1"),), at=history.clock.now()),
        observe(home, host="app-4", services=(web("3"),), reachable=False, reason="gone"),
        observe(home, host="local", at=history.clock.now()),
    ]
    lines = text(history, tmp_path, *seen)
    assert lines[0] == "shop/prod: unknown, unknown"
    assert lines[4] == (
        "  mixed     web runs in 2 versions: 111111111111 on app-1, app-3, local; 222222222222 on app-2"
    )
    assert [line for line in lines if line.startswith(("  app", "  local"))] == [
        "  app-1: reachable, healthy",
        "  app-2: reachable, healthy",
        "  app-3: reachable, healthy",
        "  app-4: not reachable: gone",
        "  local: reachable, healthy",
    ]


def test_a_rest_of_healing_says_what_to_do(call: Call, history: History, home: Path, tmp_path: Path) -> None:
    history.deployed("a", revision="c1")
    history.breaker_opened()
    seen = observe(home, at=history.clock.now())
    since, until = "2026-01-02T03:04:09.000Z", "2026-01-02T03:09:09Z"
    assert text(history, tmp_path, seen)[4:6] == [
        f"  rests     healing: it ends (since {since}; 5 attempts, until {until})",
        "            next: stagecraft resume --env shop/prod, or push a commit that mends it",
    ]
    assert call("status", "--env", "prod", "--json").out.count('"breaker": {') == 1
    history.environment = "dev"
    history.deployed("a")
    assert "healing rests" in call("status").out


def test_the_text_says_what_is_drained_and_what_is_watched(history: History, tmp_path: Path) -> None:
    history.deployed("a")
    history.append("environment", TrafficDrained(kind="host", name="app-1", mode="draining", reason="disk"))
    history.append("environment", TrafficDrained(kind="service", name="web", mode="maintenance"))
    until = history.clock.now() + timedelta(seconds=60)
    history.append("environment", WatchBegun(release="rel-9", services=("api", "web"), until=until))
    reason = "no reason given (since 2026-01-02T03:04:10.000Z)"
    assert text(history, tmp_path)[4:7] == [
        "  drained   host app-1: disk (since 2026-01-02T03:04:09.000Z); `stagecraft undrain app-1` ends it",
        f"  drained   service web, in maintenance: {reason}; `stagecraft undrain web` ends it",
        "  watched   rel-9 until 2026-01-02T03:05:11Z: api, web",
    ]


def test_the_text_says_what_is_out_of_the_ordinary(history: History, home: Path, tmp_path: Path) -> None:
    history.deployed("a", revision="c1")
    release = history.requested("b", revision="c2")
    history.started(release, "b")
    history.held("a", "b")
    history.suspended()
    history.render_failed("c3")
    drifted = ObservedService(name="db", image="db:1", drift=("no container",))
    seen = observe(home, services=(drifted,), reachable=False, reason="connection refused", at=None)
    assert text(history, tmp_path, seen)[4:] == [
        f"  active    {release} running",
        "  held      it was slow (since 2026-01-02T03:04:11.000Z); `stagecraft resume --hold` ends it",
        "  suspended moving (since 2026-01-02T03:04:12.000Z); `stagecraft resume --suspend` ends it",
        "  render    c3 failed: service-exited: web exited",
        "  local: not reachable: connection refused",
        "    db  missing      db:1",
        "        drift: no container",
        "  hosts last answered (never)",
    ]


def test_a_commit_that_is_not_taken_has_a_line_and_a_key_of_its_own(
    call: Call, history: History, tmp_path: Path
) -> None:
    history.deployed("a", revision="c1")
    error = UserError(COMMIT_UNSIGNED, "c2 is not signed", next="sign it")
    failed = RenderFailed(revision="c2", failure=Failure.from_error(error), rule=error.code)
    history.append("environment", failed)
    assert text(history, tmp_path)[4] == "  refused   c2: commit-unsigned: c2 is not signed"
    assert json.loads(call("status", "--env", "prod", "--json").out)["refused"] == {
        "revision": "c2",
        "rule": "commit-unsigned",
        "code": "commit-unsigned",
        "message": "c2 is not signed",
        "where": "",
        "why": "",
        "next": "sign it",
    }
    history.rendered("b", revision="c3")
    assert json.loads(call("status", "--env", "prod", "--json").out)["refused"] is None


def test_a_desired_manifest_without_a_release_says_so(history: History, tmp_path: Path) -> None:
    history.deferred("b", revision=None)
    assert text(history, tmp_path)[1:4] == [
        "  git       - (never)",
        "  desired   no release sha256:620000000000",
        "  deployed  -",
    ]


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=23), "23 h"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(
    history: History, tmp_path: Path, age: timedelta, shown: str
) -> None:
    history.observed("c1", "shop/prod")
    with folded(history.log, tmp_path / "v.db", ENVIRONMENTS) as tables:
        found = find_environment(tables, "shop", "prod")
    assert found is not None
    assert found.revision_at is not None
    lines = status_lines(join(found, [], now=parse_utc(found.revision_at) + age))
    assert lines[1] == f"  git       c1 ({shown} ago)"


def test_a_live_look_at_what_was_never_deployed_asks_no_engine(call: Call, history: History) -> None:
    history.suspended()
    said = call("status", "--live")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("shop/prod: unknown, missing\n")


def test_the_last_look_at_git_is_read_from_what_was_observed(
    call: Call, history: History, home: Path
) -> None:
    history.deployed("a")
    observe(home)
    ObservedStore(home / "observed.db").note_look("shop/prod", at=datetime.now(UTC) - timedelta(seconds=5))
    assert json.loads(call("status", "--json").out)["freshness"]["git_seconds"] < 60


def test_a_service_that_a_person_stopped_says_so_and_is_well(
    call: Call, history: History, home: Path
) -> None:
    history.deployed("a", web="h1")
    history.stopped("web", "h1", reason="the disk is being moved")
    down = ObservedService(
        name="web", image="web:1", containers=(ObservedContainer(id="f" * 64, state="exited", health="none"),)
    )
    observe(home, services=(down,))
    shown = json.loads(call("status", "--env", "prod", "--json").out)
    assert (shown["sync"], shown["health"]) == ("in-sync", "suspended")
    (service,) = shown["hosts"][0]["services"]
    assert service["stopped"]["reason"] == "the disk is being moved"
    assert "stopped by" in call("status", "--env", "prod").out


def test_hosts_that_are_to_run_another_version_are_named(call: Call, history: History) -> None:
    history.deployed("a")
    history.rendered("b", revision="c2")
    release = history.requested("b", revision="c2")
    history.started(release, "b")
    hosts = {
        "app-1": HostVerdict(status="completed", digest=digest("b")),
        "app-2": HostVerdict(status="failed", reason="it ends"),
        "app-3": HostVerdict(status="untouched", digest=digest("a")),
    }
    failed = ReleaseFailed(release=release, digest=digest("b"), failure=FAILURE, hosts=hosts, stays=True)
    history.ended(failed)
    said = call("status", "--env", "prod").out
    assert f"  mixed     app-1 runs {digest('b')[:19]}\n" in said
    assert "  mixed     app-2 has parts of two Manifests, and is left so\n" in said
    shown = json.loads(call("status", "--env", "prod", "--json").out)
    assert shown["placed"] == {"app-1": digest("b"), "app-2": None}
    sentence = call("why", release, "--env", "prod").out
    assert "nothing more was changed (app-2 failed)" in sentence


def test_what_became_of_requests_when_it_came_is_shown_of_what_is_deployed(
    call: Call, history: History
) -> None:
    proof = TrafficProof(requests=1204, failed=0, longest_gap_ms=31, drain_ms=920, cut=0)
    first = history.deployed("a", traffic=proof)
    line = (
        "  traffic   1,204 requests during the switch, 0 failed, longest gap 31 ms, drained in 0.9 s, "
        "0 connections cut\n"
    )
    assert line in call("status", "--env", "prod").out
    assert json.loads(call("status", "--env", "prod", "--json").out)["traffic"] == proof.model_dump()
    assert "0 connections cut" in call("why", first, "--env", "prod").out
    history.deployed("b", revision="c2", previous=first)
    assert "traffic" not in call("status", "--env", "prod").out
    assert "traffic" not in json.loads(call("status", "--env", "prod", "--json").out)
