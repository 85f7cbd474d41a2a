"""Containers of others that stand where ours have to run: found before Compose is called.

Compose goes by its own labels and would replace whatever it takes for a service of its project. So a
container that is not ours (`Owner.owns`) under a name or a service that we need is a conflict that names
its owner, and nothing is touched. A container of the Compose project that carries none of our labels and
stands for no service of ours is somebody's experiment: it is neither counted nor touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from events import labels
from events.kernel.errors import UserError, Where, error_code
from projections.engine.port import Container
from projections.engine.sweep import Owner

CONTAINER_NOT_OURS = error_code(
    "container-not-ours",
    "A container that this environment does not own has a service, a name or a Compose project it needs.",
)

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"


def environment_path(owner: Owner) -> str:
    """`<project>/<environment>`."""
    return f"{owner.project}/{owner.environment}"


def owner_text(container: Container) -> str:
    """Who owns a container, for people."""
    found = container.labels
    if not any(name in found for name in labels.IDENTITY):
        return "it carries no label of Stagecraft: a person or another program made it"
    place = f"{found.get(labels.PROJECT, '?')}/{found.get(labels.ENVIRONMENT, '?')}"
    return f"its labels say environment {place} of the log {found.get(labels.LOG, '(none)')}"


def refuse_conflicts(
    containers: Iterable[Container],
    *,
    owner: Owner,
    host: str,
    compose_project: str,
    services: Mapping[str, Mapping[str, Any]],
) -> None:
    """Raise UserError `container-not-ours` for the first container that stands in the way of `services`.

    `services` are the definitions of the Compose document by name; `containers` may be those of the Compose
    project or of the whole engine, which finds fixed names that are taken too.
    """
    names = reserved_names(compose_project, services)
    for container in containers:
        if not owner.owns(container) and _in_the_way(
            container, compose_project=compose_project, services=services.keys(), names=names
        ):
            raise UserError(
                CONTAINER_NOT_OURS,
                f"the container {container.name} is not ours and stands in the way",
                where=Where(
                    environment=environment_path(owner),
                    host=host,
                    service=container.labels.get(COMPOSE_SERVICE),
                ),
                why=owner_text(container),
                next=f"look at it with `docker inspect {container.name}`; "
                "remove or rename it, or choose another `compose_project`",
            )


def _in_the_way(
    container: Container, *, compose_project: str, services: Collection[str], names: Collection[str]
) -> bool:
    if container.name in names:
        return True
    if container.labels.get(COMPOSE_PROJECT) != compose_project:
        return False
    if any(name in container.labels for name in labels.IDENTITY):
        return True  # another environment or another log works in this Compose project
    return not container.one_off and container.labels.get(COMPOSE_SERVICE) in services


def reserved_names(compose_project: str, services: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The container names that Compose will give: fixed ones, else `<project>-<service>-<number>`."""
    names: set[str] = set()
    for service, definition in services.items():
        fixed = definition.get("container_name")
        if fixed is not None:
            names.add(str(fixed))
            continue
        names.update(f"{compose_project}-{service}-{number + 1}" for number in range(replicas(definition)))
    return names


def replicas(definition: Mapping[str, Any]) -> int:
    """How many containers Compose keeps for a service: `scale`, else `deploy.replicas`, else one."""
    deploy: Mapping[str, Any] = definition.get("deploy") or {}
    if deploy.get("mode") == "global":
        return 1  # Compose knows no other nodes
    for count in (definition.get("scale"), deploy.get("replicas")):
        if count is not None:
            return int(count)
    return 1
