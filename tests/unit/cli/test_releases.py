"""`releases list` and `releases show`, to the letter."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from events.catalog.release import HostVerdict, ReleaseCompleted, TrafficProof
from tests.support.time import START
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History, digest


def test_a_home_without_a_log_has_no_releases_and_gets_no_file(call: Call, home: Path) -> None:
    assert call("releases", "list").out == "No releases found\n"
    assert call("releases", "list", "--env", "prod").out == "No releases found\n"
    assert json.loads(call("releases", "list", "--json").out) == []
    assert not home.exists()


def test_an_empty_log_has_no_releases(call: Call, history: History) -> None:
    history.suspended()
    assert call("releases", "list").out == "No releases found\n"
    assert call("releases", "list", "--env", "prod").out == "No releases found\n"


def test_all_environments_are_listed_by_name_then_newest_first(call: Call, history: History) -> None:
    first = history.deployed("a", revision="c1")
    history.environment = "dev"
    failed = history.requested("b", revision="c2")
    history.failed(failed)
    history.environment = "prod"
    running = history.requested("b", revision="c2")
    history.started(running)
    assert call("releases", "list").out.splitlines() == [
        "RELEASE ID              ENVIRONMENT  VERSION  TIMESTAMP            STATUS",
        f"{failed}  dev          c2       2026-01-02 03:04:09  failed",
        f"{running}  prod         c2       2026-01-02 03:04:11  running",
        f"{first}  prod         c1       2026-01-02 03:04:06  completed",
    ]


def test_one_environment_is_listed_newest_first_without_its_name(call: Call, history: History) -> None:
    first = history.deployed("a", revision="c1")
    second = history.requested("b", revision="c2")
    history.environment = "dev"
    history.requested("c")
    for named in ("prod", "shop/prod"):
        assert call("releases", "list", "--env", named).out.splitlines() == [
            "RELEASE ID              VERSION  TIMESTAMP            STATUS",
            f"{second}  c2       2026-01-02 03:04:09  pending",
            f"{first}  c1       2026-01-02 03:04:06  completed",
        ]


def test_at_one_time_releases_are_listed_by_id(call: Call, history: History) -> None:
    made: list[str] = []
    for _ in range(2):
        made.append(history.requested("a"))
        history.clock.advance(-1)
    lines = call("releases", "list").out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == made


def test_two_projects_are_told_apart(call: Call, history: History) -> None:
    history.requested("a")
    history.project = "blog"
    history.requested("b")
    lines = call("releases", "list").out.splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["blog/prod", "shop/prod"]
    ambiguous = call("releases", "list", "--env", "prod")
    assert ambiguous.code == 1
    assert "environment-ambiguous" in ambiguous.err
    assert "blog/prod, shop/prod" in ambiguous.err


def test_an_unknown_environment_is_an_error_that_lists_the_known(call: Call, history: History) -> None:
    history.requested("a")
    said = call("releases", "list", "--env", "prd")
    assert (said.code, said.out) == (1, "")
    assert "environment-unknown" in said.err
    assert "shop/prod" in said.err


def test_an_environment_that_the_project_file_declares_just_has_no_releases(
    call: Call, history: History, folder: Path
) -> None:
    history.requested("a")
    (folder / "stagecraft.yml").write_text("project: {name: shop}\nenvironments: {prod: {}, stage: {}}\n")
    assert call("releases", "list", "--env", "stage").out == "No releases found\n"
    unknown = call("releases", "list", "--env", "stag")
    assert unknown.code == 1
    assert "known environments: shop/prod, shop/stage" in unknown.err


def test_a_broken_project_file_does_not_hide_history(call: Call, history: History, folder: Path) -> None:
    history.requested("a")
    (folder / "stagecraft.yml").write_text("project: [")
    assert call("releases", "list", "--env", "prod").code == 0
    assert "environment-unknown" in call("releases", "list", "--env", "stage").err


def test_json_is_newest_first_whatever_the_environment(call: Call, history: History) -> None:
    first = history.deployed("a")
    history.environment = "dev"
    second = history.requested("b", previous=None)
    history.environment = "prod"
    third = history.requested("b", revision="c2", previous=first)
    listed = json.loads(call("releases", "list", "--json").out)
    assert [one["id"] for one in listed] == [third, second, first]
    assert listed[0] == {
        "id": third,
        "project": "shop",
        "environment": "prod",
        "version": "c2",
        "revision": "c2",
        "digest": digest("b"),
        "created_at": "2026-01-02T03:04:10.000Z",
        "status": "pending",
        "previous_id": first,
        "kind": "deploy",
    }
    only = json.loads(call("releases", "list", "--json", "--env", "dev").out)
    assert [one["id"] for one in only] == [second]


def test_one_release_is_shown_with_its_phases_and_images(call: Call, history: History) -> None:
    first = history.deployed("a", revision="c1")
    release = history.reverted("a", revision="c3", previous=first, reverts=first)
    history.phase_completed(release, "build")
    history.phase_started(release, "push")
    assert call("releases", "show", release).out.splitlines() == [
        f"Release ID:        {release}",
        "Project:           shop",
        "Environment:       prod",
        "Version:           a",
        "Commit SHA:        c3",
        "Timestamp:         2026-01-02 03:04:09",
        f"Previous Release:  {first}",
        "Kind:              revert",
        "Status:            pending",
        f"Manifest:          {digest('a')}",
        f"Reverts:           {first}",
        "Phases:",
        "  build         completed  no-op",
        "  push          running",
        "  migrate_pre   pending",
        "  rollout       pending",
        "  migrate_post  pending",
        "  finalize      pending",
        "Images:",
        f"  web  web:1  {digest('web')}",
    ]


def test_a_failed_release_says_why(call: Call, history: History) -> None:
    failed = history.requested("a", revision=None)
    history.failed(failed)
    retry = history.requested("a", retry_of=failed)
    lines = call("releases", "show", failed).out.splitlines()
    assert "Commit SHA:        N/A" in lines
    assert "Previous Release:  N/A" in lines
    assert lines[-4:] == [
        "Failure:",
        "  service-exited: web exited",
        "  where: service web",
        "  exit code: 3",
    ]
    assert f"Retry of:          {failed}" in call("releases", "show", retry).out.splitlines()


def test_json_of_one_release_has_the_published_keys(call: Call, history: History) -> None:
    release = history.deployed("a")
    shown = json.loads(call("releases", "show", release, "--json").out)
    assert list(shown) == [
        "id",
        "project",
        "environment",
        "version",
        "revision",
        "digest",
        "created_at",
        "status",
        "previous_id",
        "kind",
        "phases",
        "images",
        "reverts",
        "retry_of",
    ]
    assert len(shown["phases"]) == 6
    assert shown["images"] == {"web": {"ref": "web:1", "pin": digest("web"), "pin_kind": "repo-digest"}}


def test_an_unknown_release_is_an_error(call: Call, history: History) -> None:
    history.requested("a")
    said = call("releases", "show", "rel-x")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "error: release-not-found: release not found: rel-x\n  next: stagecraft releases list\n"
    )


def test_the_clock_of_the_tests_starts_where_the_golden_texts_do() -> None:
    assert (START + timedelta(seconds=1)).isoformat() == "2026-01-02T03:04:06+00:00"


def test_a_release_over_hosts_says_how_it_ended_on_each(call: Call, history: History) -> None:
    history.deployed("a")
    release = history.requested("b", scope=("app-1", "app-2"), by_person=True)
    history.started(release, "b")
    hosts = {
        "app-1": HostVerdict(status="completed", digest=digest("b")),
        "app-2": HostVerdict(status="skipped", digest=digest("a"), reason="no answer"),
        "app-3": HostVerdict(status="untouched", digest=digest("a")),
    }
    history.ended(ReleaseCompleted(release=release, digest=digest("b"), hosts=hosts))
    said = call("releases", "show", release).out.splitlines()
    assert "Hosts:             app-1, app-2 alone" in said
    begin = said.index("Hosts:")
    short = {name: digest(name)[:19] for name in "ab"}
    assert [line.split() for line in said[begin + 1 : begin + 4]] == [
        ["app-1", "completed", short["b"]],
        ["app-2", "skipped", short["a"], "no", "answer"],
        ["app-3", "untouched", short["a"]],
    ]
    shown = json.loads(call("releases", "show", release, "--json").out)
    assert shown["scope"] == ["app-1", "app-2"]
    assert shown["hosts"]["app-2"] == {"status": "skipped", "digest": digest("a"), "reason": "no answer"}


def test_a_release_that_switched_requests_shows_its_proof(call: Call, history: History) -> None:
    proof = TrafficProof(requests=1204, failed=2, longest_gap_ms=31, drain_ms=920, cut=1)
    release = history.deployed("a", traffic=proof)
    assert (
        "Traffic: 1,204 requests during the switch, 2 failed, longest gap 31 ms, drained in 0.9 s, "
        "1 connection cut"
    ) in call("releases", "show", release).out.splitlines()
    shown = json.loads(call("releases", "show", release, "--json").out)
    assert shown["traffic"] == {
        "requests": 1204,
        "failed": 2,
        "longest_gap_ms": 31,
        "drain_ms": 920,
        "cut": 1,
    }
    before = call("releases", "show", release, "--json", "--at", "3")
    assert "traffic" not in json.loads(before.out), "it had not ended then"
