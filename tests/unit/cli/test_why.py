"""`why`, to the letter and to its exit code."""

from __future__ import annotations

import json
from pathlib import Path

from events.actors import SqliteActorDirectory
from projections.observed import HostObservation, ObservedContainer, ObservedService, ObservedStore
from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History

REVISION = "c1" * 20


def observed(history: History) -> str:
    """A commit that a branch shows and that is deployed; answers the Release."""
    history.observed(REVISION, "shop/prod")
    return history.deployed("a", revision=REVISION)


def test_a_release_for_people_is_a_sentence_a_line_a_step_and_where_to_read_on(
    call: Call, history: History
) -> None:
    release = observed(history)
    said = call("why", release)
    short = REVISION[:12]
    assert said.code == 0
    by = "  by cli act-1  #"
    look = "branch main shows it; it changes what shop/prod is made from"
    decision = f"{release}: the branch shows another Manifest than what is deployed  [branch-shows-it]"
    health = f"{release}: every service passed its gate on local"
    assert said.out.splitlines() == [
        f'{release} was deployed because the branch shows {short} "a change"; it is what is deployed',
        "",
        f'  2026-01-02 03:04:05  commit     {short} "a change"{by}1',
        f"  2026-01-02 03:04:05  look       {look}{by}1",
        f"  2026-01-02 03:04:06  manifest   sha256:610000000000 rendered from {short}: web{by}2",
        f"  2026-01-02 03:04:07  decision   {decision}{by}3",
        f"  2026-01-02 03:04:08  operation  {release}: the work begins{by}4",
        f"  2026-01-02 03:04:09  health     {health}{by}5",
        "",
        "#N is an event's position; #5 in full: stagecraft events list --json --after 4 --limit 1",
    ]


def test_the_command_that_it_names_shows_that_event(call: Call, history: History) -> None:
    release = observed(history)
    steps = json.loads(call("why", release, "--json").out)["steps"]
    shown = call(
        "events", "list", "--json", "--after", str(steps[-1]["event"]["sequence"] - 1), "--limit", "1"
    )
    event = json.loads(shown.out)
    assert (event["id"], event["type"]) == (steps[-1]["event"]["id"], "ReleaseCompleted")


def test_reasons_stand_apart(call: Call, history: History) -> None:
    history.observed(REVISION, "shop/prod")
    history.render_failed(REVISION)
    said = call("why", REVISION[:8])
    assert said.code == 0
    assert "against it:" in said.out
    assert "[service-exited]" in said.out


def test_names_are_shown_until_they_are_erased(call: Call, history: History, home: Path) -> None:
    directory = SqliteActorDirectory(home / "actors.db")
    ann = directory.pseudonym("cli", "Ann", "ann@example.org")
    history.actor = ann
    release = observed(history)
    assert "by cli Ann  #1" in call("why", release).out
    assert json.loads(call("why", release, "--json").out)["steps"][0]["actor"]["name"] == "Ann"
    directory.erase(ann.id)
    directory.close()
    assert f"by cli {ann.id}  #1" in call("why", release).out
    assert json.loads(call("why", release, "--json").out)["steps"][0]["actor"]["name"] is None


def test_without_names_the_answer_is_still_given(call: Call, history: History, home: Path) -> None:
    release = observed(history)
    (home / "actors.db").write_text("no database")
    said = call("why", release)
    assert said.code == 0
    assert "names are not shown" in said.err
    assert "by cli act-1  #1" in said.out


def test_a_home_without_a_log_knows_nothing_and_gets_no_file(call: Call, home: Path) -> None:
    said = call("why", "web")
    assert (said.code, said.out) == (1, "")
    assert "why-subject-unknown" in said.err
    assert not home.exists()


def test_an_environment_that_nobody_knows_is_an_error(call: Call, history: History) -> None:
    observed(history)
    said = call("why", "web", "--env", "prd")
    assert said.code == 1
    assert "environment-unknown" in said.err


def test_a_service_of_two_environments_lists_both(call: Call, history: History) -> None:
    observed(history)
    history.environment = "stage"
    history.rendered("a", revision=REVISION)
    said = call("why", "web")
    assert said.code == 1
    assert "why-subject-ambiguous" in said.err
    assert "shop/prod, service:web in shop/stage" in said.err
    assert (
        json.loads(call("why", "web", "--env", "prod", "--json").out)["subject"]["environment"] == "shop/prod"
    )


def test_a_container_that_an_engine_showed_is_told_from_an_unknown_one(
    call: Call, history: History, home: Path
) -> None:
    observed(history)
    container = ObservedContainer(id="feed" + "0" * 60, state="running", health="none")
    service = ObservedService(name="web", image="web:1", containers=(container,))
    store = ObservedStore(home / "observed.db")
    store.save(HostObservation(environment="shop/prod", host="local", reachable=True, services=(service,)))
    said = call("why", "feed0000")
    assert said.code == 0
    assert "no event names feed00000000" in said.out
    assert call("why", "beef0000").code == 1


def test_a_long_chain_fits_a_screen_and_says_what_it_leaves_out(call: Call, history: History) -> None:
    history.observed(REVISION, "shop/prod")
    services = {f"s{number}": "1" for number in range(60)}
    history.rendered("a", revision=REVISION, **services)
    release = history.requested("a", revision=REVISION)
    history.started(release)
    for number in range(60):
        history.replaced(release, f"s{number}", new=f"{number:064x}")
    history.completed(release)
    said = call("why", release)
    assert len(said.out.splitlines()) <= 30
    assert "operations more; --json has all" in said.out
    assert release in said.out.splitlines()[-4]
    assert len(json.loads(call("why", release, "--json").out)["steps"]) == 66
