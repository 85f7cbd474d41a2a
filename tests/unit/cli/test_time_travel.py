"""`--at`: status, Releases and hosts as the log knew them at an earlier time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.catalog.service import ServiceReplaced
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History, digest

OLD, NEW = "a" * 64, "b" * 64


def exchanged(history: History, release: str, *, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    event = ServiceReplaced(host="local", service="web", old_ids=old, new_ids=new, reason="changed")
    history.append(release, event)


@pytest.fixture
def told(history: History) -> tuple[str, str]:
    """Two Releases: the first is done at position 5, the second under way at 9 and done at 10."""
    first = history.deployed("a", revision="c1")
    exchanged(history, first, old=(), new=(OLD,))
    history.rendered("b", revision="c2")
    second = history.requested("b", revision="c2", previous=first)
    history.started(second, "b")
    exchanged(history, second, old=(OLD,), new=(NEW,))
    history.completed(second, "b")
    history.held("a", "b")
    return first, second


def test_a_status_of_then_has_what_was_decided_and_made_and_says_what_it_lacks(
    call: Call, told: tuple[str, str]
) -> None:
    first, second = told
    assert call("status", "--at", "8").out.splitlines() == [
        "shop/prod as of position 8 (2026-01-02T03:04:12.000Z)",
        "  git       c2",
        f"  desired   {second} {digest('b')[:19]}",
        f"  deployed  {first} {digest('a')[:19]}",
        f"  active    {second} running",
        "  local:",
        f"    web  web:1 {digest('web')[:19]}  aaaaaaaaaaaa since 2026-01-02T03:04:09.000Z by {first}",
        "  what engines answered then is not in the log: sync and health are left out",
    ]
    later = call("status", "--at", "2026-01-02T03:04:15Z").out.splitlines()
    assert later[0] == "shop/prod as of 2026-01-02 03:04:15Z (position 11)"
    (held,) = [line for line in later if line.startswith("  held ")]
    assert held == "  held      it was slow (since 2026-01-02T03:04:15.000Z)"
    assert any("bbbbbbbbbbbb" in line for line in later)


def test_the_json_of_then_has_the_published_keys(call: Call, told: tuple[str, str]) -> None:
    first, second = told
    shown = json.loads(call("status", "--at", "8", "--json").out)
    assert shown["at"] == {"position": 8, "recorded_at": "2026-01-02T03:04:12.000Z", "asked": None}
    assert shown["left_out"] == ["sync", "health", "freshness"]
    assert shown["deployed"] == {"release": first, "digest": digest("a"), "revision": "c1"}
    assert shown["active"] == {"release": second, "status": "running"}
    assert shown["hosts"] == [
        {
            "name": "local",
            "services": [
                {
                    "name": "web",
                    "image": {"ref": "web:1", "pin": digest("web"), "pin_kind": "repo-digest"},
                    "containers": [
                        {"id": OLD, "release": first, "since": "2026-01-02T03:04:09.000Z", "note": ""}
                    ],
                    "finished_job": False,
                    "stopped": None,
                }
            ],
        }
    ]


def test_several_environments_are_a_table_and_one_that_was_not_there_yet_is_empty(
    call: Call, history: History, told: tuple[str, str]
) -> None:
    history.environment = "dev"
    release = history.deployed("a")
    said = call("status", "--at", "5")
    assert [line.split() for line in said.out.splitlines()] == [
        ["ENVIRONMENT", "DEPLOYED", "DESIRED", "NOTE"],
        ["shop/dev", "-", "-"],
        ["shop/prod", told[0], told[0]],
    ]
    assert "as of position 5" in said.err
    assert release in call("status", "--env", "dev", "--at", "now").out
    assert call("status", "--at", "5", "--json").code == 1


def test_what_engines_answer_now_says_nothing_of_then(call: Call, told: tuple[str, str]) -> None:
    del told
    said = call("status", "--at", "5", "--live")
    assert said.code == 1
    assert "engines answer for now" in said.err


def test_releases_are_listed_and_shown_as_they_were(call: Call, told: tuple[str, str]) -> None:
    first, second = told
    said = call("releases", "list", "--env", "prod", "--at", "8")
    assert [line.split()[0::4] for line in said.out.splitlines()[1:]] == [
        [second, "running"],
        [first, "completed"],
    ]
    assert "as of position 8 (2026-01-02T03:04:12.000Z)" in said.err
    assert [one["id"] for one in json.loads(call("releases", "list", "--at", "5", "--json").out)] == [first]
    shown = json.loads(call("releases", "show", second, "--at", "8", "--json").out)
    assert shown["status"] == "running"
    early = call("releases", "show", second, "--at", "5")
    assert early.code == 1
    assert "release not found as of position 5" in early.err
    assert "next: stagecraft releases list --at 5" in early.err


def test_a_host_is_shown_with_what_ran_there(call: Call, told: tuple[str, str]) -> None:
    first, second = told
    lines = call("hosts", "show", "local", "--at", "2026-01-02T03:04:09Z").out.splitlines()
    assert lines[0] == "local as of 2026-01-02 03:04:09Z (position 5), by the log"
    assert lines[2].split() == [
        "shop/prod",
        "web",
        "aaaaaaaaaaaa",
        "web:1",
        digest("web")[:19],
        "2026-01-02T03:04:09.000Z",
        first,
    ]
    now = json.loads(call("hosts", "show", "local", "--json").out)
    assert [(one["container"], one["release"], one["image"]["ref"]) for one in now["containers"]] == [
        (NEW, second, "web:1")
    ]
    assert call("hosts", "show", "local", "--at", "4").out.splitlines()[1:] == ["no container"]
    unknown = call("hosts", "show", "web1")
    assert unknown.code == 1
    assert "host-not-in-log" in unknown.err
    assert "known hosts: local" in unknown.err


@pytest.mark.parametrize(
    "argv",
    [
        ("status", "--env", "prod"),
        ("releases", "list"),
        ("releases", "show", "rel-x"),
        ("hosts", "show", "x"),
    ],
)
@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("2020-01-01", "moment-before-log"),
        ("2999-01-01", "moment-in-future"),
        ("99", "position-unknown"),
        ("soon", "moment-unreadable"),
    ],
)
def test_a_time_that_the_log_does_not_have_is_an_error_everywhere(
    call: Call, told: tuple[str, str], argv: tuple[str, ...], when: str, code: str
) -> None:
    del told
    said = call(*argv, "--at", when)
    assert (said.code, said.out) == (1, "")
    assert f"error: {code}:" in said.err
    assert "next: " in said.err


def test_a_home_without_a_log_has_no_past_and_gets_no_file(call: Call, home: Path) -> None:
    for argv in (("releases", "list"), ("hosts", "show", "local")):
        said = call(*argv, "--at", "14:05")
        assert said.code == 1
        assert "moment-before-log" in said.err
    assert not home.exists()
