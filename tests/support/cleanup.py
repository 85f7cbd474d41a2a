"""One test, one family of Compose projects, nothing left of it.

A Compose project is named `<project>-<environment>`, so a test that takes its project name from here can be
cleaned up by that name alone: whatever the product made, half-made or forgot carries Compose's own label.
What does not carry it was never made for the project, and is not ours to remove.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume

PROJECT_LABEL = "com.docker.compose.project"


def unique_project_name() -> str:
    """A name that no other test has, fit for a project and for Compose."""
    return f"t{uuid4().hex[:10]}"


@dataclass(frozen=True, slots=True)
class EngineProject:
    """A project name of one test, and what the engine holds under it."""

    client: DockerClient
    name: str = field(default_factory=unique_project_name)

    def containers(self) -> list[Container]:
        """All containers of the project's environments, in any state, oldest first."""
        found = self.client.containers.list(all=True, filters={"label": PROJECT_LABEL}, ignore_removed=True)
        return [container for container in reversed(found) if self._is_ours(container.labels)]

    def networks(self) -> list[Network]:
        """All networks of the project's environments."""
        found = self.client.networks.list(  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
            filters={"label": PROJECT_LABEL}
        )
        return [network for network in found if self._is_ours(network.attrs["Labels"])]

    def volumes(self) -> list[Volume]:
        """All volumes of the project's environments, named and anonymous."""
        found = self.client.volumes.list(filters={"label": PROJECT_LABEL})
        return [volume for volume in found if self._is_ours(volume.attrs["Labels"])]

    def ids(self) -> dict[str, list[str]]:
        """Ids of the running containers by Compose service, sorted."""
        found: dict[str, list[str]] = {}
        for container in self.containers():
            if container.status == "running":
                service = container.labels["com.docker.compose.service"]
                found.setdefault(service, []).append(container.id or "")
        return {service: sorted(ids) for service, ids in sorted(found.items())}

    def remove_everything(self) -> None:
        """Remove all of it, named volumes too, and assert that nothing is left."""
        for container in self.containers():
            _ignore_missing(container)
        for network in self.networks():
            network.remove()
        for volume in self.volumes():
            volume.remove(force=True)
        left = [*self.containers(), *self.networks(), *self.volumes()]
        assert not left, f"left behind in the engine: {left}"

    def _is_ours(self, labels: dict[str, str] | None) -> bool:
        project = (labels or {}).get(PROJECT_LABEL, "")
        return project == self.name or project.startswith(f"{self.name}-")


def _ignore_missing(container: Container) -> None:
    """Remove a container with its anonymous volumes; one that goes by itself meanwhile is as good."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return


def project_of_one_test(client: DockerClient) -> Iterator[EngineProject]:
    """A project whose traces are removed when the test ends, however it ends."""
    project = EngineProject(client)
    try:
        yield project
    finally:
        project.remove_everything()
