"""Each engine in turn for the suite of the `Engine` port, and each host for that of `Transport`."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.contract import hosts
from tests.contract.engines import Adapter, docker, simulated


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.engine), "simulated", "simulated-in-a-file"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Adapter]:
    """An engine under test; whatever is made in it is taken away again, also when the test fails."""
    if request.param == "docker":
        project, images = request.getfixturevalue("engine_project"), request.getfixturevalue("images")
        yield from docker(project.name, images, tmp_path)
    else:
        yield simulated(tmp_path / "world.json" if request.param == "simulated-in-a-file" else None)


@pytest.fixture(params=["ssh"])
def host(tmp_path: Path) -> Generator[hosts.Adapter]:
    """A host under test."""
    with hosts.over_ssh(tmp_path) as adapter:
        yield adapter
