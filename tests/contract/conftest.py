"""Each engine in turn for the suite of the `Engine` port, and each host for that of `Transport`."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.contract import hosts
from tests.contract.engines import Adapter, docker, docker_over_ssh, simulated


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.engine),
        pytest.param("docker-over-ssh", marks=[pytest.mark.engine, pytest.mark.slow]),
        "simulated",
        "simulated-in-a-file",
    ]
)
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Adapter]:
    """An engine under test; whatever is made in it is taken away again, also when the test fails."""
    if request.param.startswith("docker"):
        project, images = request.getfixturevalue("engine_project"), request.getfixturevalue("images")
        made = docker if request.param == "docker" else docker_over_ssh
        yield from made(project.name, images, tmp_path)
    else:
        yield simulated(tmp_path / "world.json" if request.param == "simulated-in-a-file" else None)


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[hosts.Adapter]:
    """A host under test."""
    with (hosts.over_ssh if request.param == "ssh" else hosts.this_machine)(tmp_path) as adapter:
        yield adapter
