"""A controller, a repository, and two people: alice may deploy, mallory may not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.source.trust import Mode, Verification
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository, git
from tests.support.signing import SshPerson


@dataclass(slots=True)
class Scene:
    """A controller, a repository, and two people: alice may deploy, mallory may not."""

    controller: SimulatedController
    repository: Repository
    alice: SshPerson
    mallory: SshPerson
    signers: Path

    def verify(self, mode: Mode) -> None:
        """What the operator wants from now on."""
        wanted = Verification(mode=mode, signers=None if mode == "none" else self.signers)
        self.controller.verification = wanted

    def merge(self, person: SshPerson | None, *, web: str, project: str | None = None) -> str:
        """A commit that somebody signs, or nobody."""
        git("config", "commit.gpgSign", "false" if person is None else "true", cwd=self.repository.work)
        if person is not None:
            person.configure(self.repository.work)
        given = {} if project is None else {"project": project}
        return self.controller.merge(web=web, **given)

    def tag(self, name: str = "v1") -> None:
        """Alice signs a tag at the head and pushes it."""
        self.alice.configure(self.repository.work)
        git("tag", "--force", "--sign", name, "--message", name, cwd=self.repository.work)
        git("push", "--quiet", "--force", "origin", f"refs/tags/{name}", cwd=self.repository.work)

    def refused(self) -> str:
        """The rule by which a look refuses the tip."""
        with pytest.raises(UserError) as caught:
            self.controller.look()
        return caught.value.code

    def observed(self) -> list[dict[str, object]]:
        """What the `RevisionObserved` events say, oldest first."""
        return [
            json.loads(event.data) for event in self.controller.log.read() if event.type == "RevisionObserved"
        ]

    def runs(self, web: str) -> bool:
        """Whether the web service runs that image."""
        world = self.controller.engine.world
        return world.named("shop-prod-web-1").image == world.images[web]
