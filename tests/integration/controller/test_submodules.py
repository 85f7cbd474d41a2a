"""A watched repository with a submodule, from the commit to the containers: real Git, a simulated engine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.listed import listed_branches
from controller.repositories import WatchedBranch
from gitops.config.controller import load_controller_file
from tests.support.controllers import PROJECT, SimulatedController
from tests.support.modules import with_submodules
from tests.support.repos import Repository, git


@dataclass(slots=True)
class _Scene:
    controller: SimulatedController
    lib: Repository
    folder: Path

    def merge(self, image: str, **files: str) -> str:
        """A new commit of the library, and one of the project that pins it."""
        self.controller.engine.world.images.setdefault(image, "sha256:" + image.encode().hex().ljust(64, "0"))
        self.lib.commit({"app.yaml": f"services: {{web: {{image: '{image}'}}}}\n", **files})
        self.controller.repository.write(
            {"stagecraft.yml": PROJECT, "compose.yaml": "include: [lib/app.yaml]\n"}
        )
        return with_submodules(self.controller.repository, {"lib": ("../lib.git", self.lib.head())})

    def place(self, *, allowed: bool = True) -> WatchedBranch:
        """As the operator's list has it."""
        path = self.folder / "controller.yml"
        url = self.controller.repository.origin
        path.write_text(f"repositories: [{{url: '{url}', submodules: {str(allowed).lower()}}}]\n")
        file = load_controller_file(path, required=True)
        (place,) = listed_branches(self.controller.context.home, file, path=path)
        return place

    def look(self, *, allowed: bool = True) -> list[str]:
        found = self.controller.look_at(self.place(allowed=allowed))
        return [one.status if one.failure is None else one.failure.code for one in found]

    def runs(self, image: str) -> bool:
        world = self.controller.engine.world
        return world.named("shop-prod-web-1").image == world.images[image]


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> _Scene:
    """`lib.git` stands beside the repository that is watched."""
    origin, work = repository.origin.with_name("lib.git"), tmp_path / "library"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(origin), cwd=tmp_path)
    git("clone", "--quiet", str(origin), str(work), cwd=tmp_path)
    controller = SimulatedController(repository=repository, folder=tmp_path / "home")
    return _Scene(controller, Repository(origin=origin, work=work), tmp_path)


def test_without_leave_it_is_a_finding_and_nothing_is_touched(scene: _Scene) -> None:
    scene.merge("web:1")
    assert scene.look(allowed=False) == ["path-is-submodule"]
    failure = scene.controller.state.git.failure
    assert failure is not None
    assert failure.cause == "repository"
    assert scene.controller.engine.world.containers == {}


def test_what_a_submodule_pins_is_deployed_and_moves_with_its_pin_alone(scene: _Scene) -> None:
    scene.merge("web:1")
    assert scene.look() == ["completed"]
    assert scene.runs("web:1")
    scene.lib.commit({"app.yaml": "services: {web: {image: 'web:unpinned'}}\n"})
    assert scene.look() == ["in-sync"]
    scene.merge("web:2")
    assert scene.look() == ["completed"]
    assert scene.runs("web:2")


def test_reverts_and_rollbacks_need_neither_repository(scene: _Scene) -> None:
    scene.merge("web:1")
    scene.look()
    scene.merge("web:2")
    scene.look()
    shutil.rmtree(scene.lib.origin)
    shutil.rmtree(scene.controller.context.home.mirrors / "submodules")
    scene.controller.repository.revert()
    assert scene.look(allowed=False) == ["completed"]
    assert scene.runs("web:1")
    assert scene.controller.types.count("RevertDetected") == 1
    shutil.rmtree(scene.controller.repository.origin)
    shutil.rmtree(scene.controller.context.home.mirrors)
    scene.controller.rollback()
    assert scene.runs("web:2")


def test_a_commit_that_changes_nothing_of_it_is_not_affected(scene: _Scene) -> None:
    scene.merge("web:1")
    scene.look()
    scene.controller.repository.commit({"README": "more"})
    before = scene.controller.types.count("ManifestRendered")
    assert scene.look() == ["in-sync"]
    assert scene.controller.types.count("ManifestRendered") == before
    affected = [one.data for one in scene.controller.log.read(type_name="RevisionObserved")]
    assert b'"affected":[]' in affected[-1]
