"""A merge that never turns healthy, minutes before its deadline: who asks for something newer gets it."""

from __future__ import annotations

import time

from tests.e2e.team import Team
from tests.support.daemons import running_daemon
from tests.support.images import NEVER_HEALTHY, TestImages

STUCK = NEVER_HEALTHY._replace(interval_seconds=1.0, retries=600)  # as long as a gate has patience
SOON_SECONDS = 60.0  # of the ten minutes; alone it takes two or three


def test_a_rollback_and_a_fix_do_not_wait_for_what_never_turns_healthy(
    team: Team, images: TestImages
) -> None:
    team.merge("first")
    arguments = ("--repo", str(team.repository.origin), "--branch", "main")
    with running_daemon(team.cli, *arguments) as daemon:
        daemon.says("completed after")
        assert team.answer() == "web v1"

        team.merge("bad", web=images.web("v2", health=STUCK))
        daemon.says("wait for web", times=2)
        began = time.monotonic()
        team.cli.run("rollback", "--env", "prod", "--to-previous", seconds=SOON_SECONDS).expect(0)
        assert time.monotonic() - began < SOON_SECONDS
        assert team.answer() == "web v1"
        back, bad, first = team.releases()
        assert [one["status"] for one in (back, bad, first)] == ["completed", "superseded", "completed"]
        assert (back["kind"], back["digest"]) == ("rollback", first["digest"])

        team.merge("bad again", web=images.web("v3", health=STUCK))
        daemon.says("wait for web", times=4)
        team.merge("fix", web=images.web("v4"))
        daemon.says("completed after", times=3, seconds=SOON_SECONDS)
        assert team.answer() == "web v4"
        assert daemon.end() == 0
    found = [one["status"] for one in team.releases()]
    assert found == ["completed", "superseded", "completed", "superseded", "completed"]
    assert team.status()["sync"] == "in-sync"
    assert team.status()["hold"] is None
    assert sorted(team.project.ids()) == ["web", "worker"]
    shown = team.cli.ok("releases", "show", bad["id"]).stdout
    assert f"superseded by {back['id']}" in shown
    why = team.cli.ok("why", bad["id"]).stdout
    assert f"{back['id']} came first; it had changed local/web" in why
