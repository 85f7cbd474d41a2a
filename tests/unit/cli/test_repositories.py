"""`repositories list`: from the list, the log and what was answered; nothing is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from events.catalog.revision import RevisionObserved
from events.recorder import Recorder
from events.streams import repository_stream
from gitops.source.address import slug
from projections.observed import ObservedStore
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import PERSON, History

URL = "https://ada:s3cret-token@git.example.org/shop.git"
SHOWN = "https://git.example.org/shop.git"
KEYS = ["slug", "url", "branch", "environments", "last_seen_revision", "freshness_seconds"]


def lists(home: Path, *entries: str) -> None:
    """Write the home's `controller.yml`."""
    home.mkdir(exist_ok=True)
    listed = "".join(f"  - {{{one}}}\n" for one in entries)
    (home / "controller.yml").write_text(f"repositories:\n{listed}")


def observed(history: History, branch: str, revision: str, *environments: str) -> None:
    """The branch showed a commit that declares these."""
    event = RevisionObserved(
        ref=f"refs/heads/{branch}",
        revision=revision,
        previous=None,
        tree="0" * 40,
        author="act-1",
        subject="",
        affected=environments,
        declared=environments,
        wanted=environments,
    )
    recorder = Recorder(log=history.log, ids=history.ids, clock=history.clock, actor=PERSON)
    recorder.append(repository_stream(slug(URL)), event)


def answered(home: Path, branch: str, *, seconds_ago: float) -> None:
    """The branch answered some time ago."""
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    ObservedStore(home / "observed.db").note_answer(slug(URL), f"refs/heads/{branch}", url=SHOWN, at=at)


def rows(call: Call) -> list[dict[str, Any]]:
    said = call("repositories", "list", "--json")
    assert said.code == 0
    found: list[dict[str, Any]] = json.loads(said.out)
    return found


def test_a_listed_branch_that_nobody_looked_at_has_nulls(call: Call, home: Path) -> None:
    lists(home, f"url: '{URL}', environments: [prod]")
    (row,) = rows(call)
    assert list(row) == KEYS
    assert row == {
        "slug": slug(URL),
        "url": SHOWN,
        "branch": "main",
        "environments": [],
        "last_seen_revision": None,
        "freshness_seconds": None,
    }
    assert not (home / "observed.db").exists()


def test_what_was_seen_is_shown_in_the_order_of_the_list(call: Call, home: Path, history: History) -> None:
    observed(history, "main", "a" * 40, "shop/prod", "shop/staging")
    observed(history, "next", "b" * 40, "shop/prod", "shop/staging")
    answered(home, "main", seconds_ago=30)
    lists(home, f"url: '{URL}', branch: next, environments: [staging]", f"url: '{URL}'")
    ahead, main = rows(call)
    assert (ahead["environments"], ahead["last_seen_revision"]) == ([], "b" * 40)
    assert main["environments"] == ["shop/prod", "shop/staging"], "they were its own first"
    assert ahead["freshness_seconds"] is None
    assert 30 <= main["freshness_seconds"] < 60
    lists(home, f"url: '{URL}', branch: next, environments: [staging]", f"url: '{URL}', environments: [prod]")
    assert [row["environments"] for row in rows(call)] == [["shop/staging"], ["shop/prod"]]


def test_without_a_list_it_is_what_was_named_by_hand(call: Call, home: Path, history: History) -> None:
    observed(history, "main", "a" * 40, "shop/prod")
    answered(home, "main", seconds_ago=90)
    (row,) = rows(call)
    assert (row["url"], row["branch"], row["environments"]) == (SHOWN, "main", ["shop/prod"])
    said = call("repositories", "list").out
    assert said.splitlines()[0].split() == ["REPOSITORY", "BRANCH", "ENVIRONMENTS", "REVISION", "ANSWERED"]
    assert said.splitlines()[1].split() == [SHOWN, "main", "shop/prod", "a" * 12, "1", "min", "ago"]


def test_tags_that_are_watched_show_their_range(call: Call, home: Path) -> None:
    lists(home, f"url: '{URL}', tags: '>=1.2 <2'")
    (row,) = rows(call)
    assert list(row) == [*KEYS, "tags"]
    assert (row["branch"], row["tags"]) == ("tags >=1.2 <2", ">=1.2 <2")
    assert "tags >=1.2 <2" in call("repositories", "list").out


def test_no_credentials_are_shown_anywhere(call: Call, home: Path) -> None:
    lists(home, f"url: '{URL}'")
    for flags in ((), ("--json",)):
        said = call("repositories", "list", *flags)
        assert "s3cret" not in said.out + said.err
        assert "ada" not in said.out


def test_a_home_where_nothing_happened_watches_nothing(call: Call, home: Path) -> None:
    assert rows(call) == []
    assert "no branch is watched" in call("repositories", "list").out
    assert not home.exists()


def test_a_file_that_cannot_be_used_is_an_error(call: Call, home: Path) -> None:
    lists(home, "url: /srv/a", "url: /srv/a")
    said = call("repositories", "list", "--json")
    assert (said.code, said.out) == (1, "")
    assert "listed already" in said.err
