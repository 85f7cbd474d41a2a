"""`views rebuild`, `views verify`, and what commands say of views that wait or are made anew."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from events.envelope import CONTROLLER, ProposedEvent
from events.log import StreamAppend
from events.streams import StreamName, environment_stream, release_stream, repository_stream
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

PROD = environment_stream("shop", "prod")


def stray(history: History, stream: StreamName, type_name: str, schema: int = 1) -> None:
    """An event that a newer version wrote."""
    event_id = history.ids.event_id()
    proposed = ProposedEvent(
        id=event_id,
        type=type_name,
        schema=schema,
        time=history.clock.now(),
        actor=CONTROLLER,
        correlation=event_id,
        causation=None,
        data=b'{"name":"Ada"}',
    )
    history.log.append([StreamAppend(stream=stream, events=(proposed,))])


def change(home: Path, statement: str) -> None:
    with sqlite3.connect(home / "views.db") as db:
        db.execute(statement)
    db.close()


def test_a_home_without_a_log_has_nothing_to_make_or_compare_and_gets_no_file(call: Call, home: Path) -> None:
    assert call("views", "rebuild").out == "Nothing was recorded in this home yet\n"
    shown = json.loads(call("views", "verify", "--json").out)
    assert (shown["ok"], shown["views"], shown["difference"]) == (True, [], None)
    assert not home.exists()


def test_a_rebuild_tells_how_far_it_is_and_what_it_made(call: Call, history: History, home: Path) -> None:
    history.deployed("a")
    said = call("views", "rebuild")
    assert said.code == 0
    assert said.out.startswith("made anew from 4 events: environments, releases, ")
    assert said.err == "views are made anew: 4 of 4 events\n"
    assert call("views", "rebuild", "--quiet").err == ""
    assert call("views", "verify").code == 0
    assert (home / "views.db").is_file()


def test_views_as_the_log_makes_them_verify(call: Call, history: History) -> None:
    history.deployed("a")
    call("releases", "list")
    said = call("views", "verify", "--quiet")
    assert said.code == 0
    assert "releases: as the log makes it, up to position 4" in said.out
    assert "environments: nothing to compare, the next command that reads it makes it" in said.out
    shown = json.loads(call("views", "verify", "--json").out)
    assert shown["ok"] is True
    (view,) = shown["views"]
    assert (view["view"], view["position"]) == ("releases", 4)
    assert set(view["tables"]) == {"releases", "release_phases", "release_images", "parked"}


def test_a_row_that_is_not_its_fold_is_named_and_made_right(call: Call, history: History, home: Path) -> None:
    release = history.deployed("a")
    call("releases", "list")
    change(home, "UPDATE releases SET status = 'failed'")
    said = call("views", "verify")
    assert said.code == 2
    assert "differs: releases: releases: a row differs in status" in said.out
    assert "next: stagecraft views rebuild" in said.out
    shown = call("views", "verify", "--json")
    assert shown.code == 2
    difference = json.loads(shown.out)["difference"]
    assert (difference["view"], difference["table"]) == ("releases", "releases")
    assert (difference["live"]["status"], difference["fold"]["status"]) == ("failed", "completed")
    assert difference["fold"]["id"] == release
    call("views", "rebuild")
    assert call("views", "verify").code == 0


def test_a_file_that_is_garbage_is_said_once_and_changes_no_answer(
    call: Call, history: History, home: Path
) -> None:
    history.deployed("a")
    before = call("status", "--env", "prod").out.splitlines()
    (home / "views.db").write_bytes(b"garbage " * 1000)
    assert call("views", "verify").code == 2
    said = call("status", "--env", "prod")
    assert said.out.splitlines()[2:] == before[2:]
    assert said.err == "views.db was damaged; the views are made anew from the log\n"
    assert call("status", "--env", "prod").err == ""


@pytest.mark.parametrize(
    ("type_name", "schema", "words"),
    [
        ("ShipLaunched", 1, "ShipLaunched is of a newer Stagecraft"),
        ("EnvironmentSuspended", 9, "EnvironmentSuspended has schema 9, of a newer Stagecraft"),
    ],
)
def test_status_says_what_a_newer_version_wrote_and_shows_what_was_before(
    call: Call, history: History, type_name: str, schema: int, words: str
) -> None:
    release = history.deployed("a")
    stray(history, PROD, type_name, schema)
    history.held("a")
    said = call("status", "--env", "prod")
    assert said.code == 0
    assert "2 events wait, the oldest since" in said.out
    assert f"{PROD} is shown as before position 5: {words}" in said.out
    assert "next: upgrade Stagecraft; stagecraft events list --after 4 --limit 1" in said.out
    assert "held" not in said.out
    shown = json.loads(call("status", "--env", "prod", "--json").out)
    assert (shown["deployed"]["release"], shown["hold"]) == (release, None)
    assert (shown["lag"]["events"], shown["lag"]["parked"][0]["position"]) == (2, 5)
    assert shown["lag"]["seconds"] > 0
    listed = [json.loads(line) for line in call("events", "list", "--json").out.splitlines()]
    assert [(one["type"], one["schema"]) for one in listed[4:]] == [
        (type_name, schema),
        ("EnvironmentHeld", 2),
    ]
    assert listed[4]["data"] == {"name": "Ada"}
    assert type_name in call("events", "list").out


def test_status_is_silent_of_streams_of_other_environments_and_the_overview_names_them(
    call: Call, history: History
) -> None:
    history.deployed("a")
    history.environment = "stage"
    history.deployed("a")
    stray(history, environment_stream("shop", "stage"), "ShipLaunched")
    assert "lag" not in json.loads(call("status", "--env", "prod", "--json").out)
    assert "wait" not in call("status", "--env", "prod").out
    assert "environment/shop/stage is shown as before position 9" in call("status").out
    stray(history, repository_stream("shop"), "ShipLaunched")
    assert "repository/shop is shown as before" in call("status", "--env", "prod").out


def test_other_commands_warn_of_what_their_view_waits_with(call: Call, history: History) -> None:
    release = history.deployed("a")
    stray(history, release_stream(release), "PhaseStarted", 2)
    listed = call("releases", "list")
    assert release in listed.out
    assert listed.err.startswith(
        f"warning: release/{release} is shown as it was before position 5: PhaseStarted has schema 2"
    )
    why = call("why", release)
    assert why.code == 0
    assert why.err == ""  # its view does not take phases
    stray(history, PROD, "ShipLaunched")
    why = call("why", release)
    assert (why.code, "ShipLaunched is of a newer Stagecraft" in why.err) == (0, True)


def test_a_newer_schema_never_breaks_an_answer(call: Call, history: History) -> None:
    release = history.deployed("a")
    for type_name in ("ServiceReplaced", "PhaseFailed"):
        stray(history, release_stream(release), type_name, 9)
    for type_name in ("ReleaseCompleted", "EnvironmentHeld", "ManifestRendered", "DriftDetected"):
        stray(history, PROD, type_name, 9)
    for command in (("why", release), ("why", "web"), ("status",), ("releases", "show", release)):
        assert call(*command, "--env", "prod").code == 0, command


def test_a_list_of_releases_ends_after_so_many_and_says_so(call: Call, history: History) -> None:
    made = [history.requested("a") for _ in range(205)]
    listed = call("releases", "list")
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == made[:4:-1]
    assert listed.err == "the newest 200 are shown; --limit 0 shows all\n"
    whole = call("releases", "list", "--limit", "0", "--env", "prod")
    assert (len(whole.out.splitlines()), whole.err) == (206, "")
    assert len(json.loads(call("releases", "list", "--json").out)) == 205
    newest = json.loads(call("releases", "list", "--json", "--limit", "2", "--env", "prod").out)
    assert [one["id"] for one in newest] == made[:-3:-1]
    assert call("releases", "list", "--limit", "205").err == ""
