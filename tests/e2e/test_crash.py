"""A controller that is killed in the middle: the next look finishes its work, once."""

from __future__ import annotations

import pytest

from tests.e2e.team import Team
from tests.support.images import HEALTHY, TestImages
from tests.support.processes import wait_until


@pytest.mark.parametrize("moment", ["ReleaseStarted", "JobCompleted", "ServiceReplaced"])
def test_a_killed_look_is_finished_by_the_next(team: Team, images: TestImages, moment: str) -> None:
    team.web = images.web("v1", health=HEALTHY)
    team.merge("first")
    with team.cli.start(
        "controller", "run", "--once", "--repo", str(team.repository.origin), "--branch", "main"
    ) as process:
        wait_until(f"{moment} is recorded", lambda: moment in team.types(), seconds=60)
        process.kill()
        process.communicate()
    team.look().expect(0)
    assert team.answer() == "web v1"
    assert {service: len(ids) for service, ids in team.project.ids().items()} == {"web": 1, "worker": 1}
    (release,) = team.releases()
    assert release["status"] == "completed"
    types = team.types()
    assert (
        types.count("ReleaseStarted") == types.count("ReleaseCompleted") == types.count("JobCompleted") == 1
    )
    before = team.events()
    team.look().expect(0)
    assert team.events() == before
