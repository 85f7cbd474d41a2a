"""The views of a running controller: deleted, made anew and compared, and no answer changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.e2e.team import Team
from tests.support.daemons import running_daemon
from tests.support.images import TestImages

_OBSERVED = frozenset({"as_of", "freshness", "hosts", "sync", "health"})


def _answers(team: Team) -> dict[str, Any]:
    """What a user sees of the log, without what engines answered and when."""
    status = {key: value for key, value in team.status().items() if key not in _OBSERVED}
    releases = team.releases()
    shown = [team.release(one["id"]) for one in releases]
    why = team.cli.ok("why", "web", "--env", "prod", "--json").json()
    hosts = team.cli.ok("hosts", "show", "local", "--json").json()
    metrics = team.cli.ok("metrics", "--env", "prod", "--weeks", "4", "--json").json()
    return {
        "status": status,
        "releases": releases,
        "shown": shown,
        "why": why,
        "containers": hosts["containers"],
        "metrics": metrics["total"],
    }


def test_deleting_the_views_under_a_running_controller_changes_no_answer(
    team: Team, images: TestImages
) -> None:
    team.merge()
    views = Path(team.cli.environment["STAGECRAFT_HOME"]) / "views.db"
    with running_daemon(team.cli, "--repo", str(team.repository.origin), "--branch", "main") as daemon:
        daemon.says("completed after")
        before = _answers(team)
        assert before["status"]["deployed"]["release"] == before["releases"][0]["id"]
        views.unlink()
        with ThreadPoolExecutor(3) as readers:
            for found in readers.map(_answers, [team] * 3):
                assert found == before
        views.write_bytes(b"garbage " * 1000)
        team.cli.run("views", "verify").expect(2)
        team.cli.ok("views", "rebuild")
        assert _answers(team) == before
        views.unlink()
        team.merge(web=images.web("v2"))
        daemon.says("completed after", times=2)
        after = _answers(team)
        assert len(after["releases"]) == 2
        shown = team.cli.ok("views", "verify", "--json").json()
        assert (shown["ok"], shown["skipped"]) == (True, [])
        assert daemon.end() == 0
    assert _answers(team) == after
