"""Stories of an environment with a gateway: what its requests go to, whenever a process dies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from projections.edge.folder import FOLDER
from projections.edge.port import Backends
from projections.edge.traefik_files import SUFFIX, read_back
from projections.engine.simulated_world import World, opened
from tests.crash.player import Stage, act_keep, act_look, act_rollback, play
from tests.crash.stories import Story, commit

GATEWAY = "traefik:3"
_ENVIRONMENT = """\
project: {{name: {name}}}
environments:
  prod:
    gate: {{settle: 300ms, deadline: 15s}}
    gateway: gate
    routes:
    - {{host: shop.localhost, path: {path}, service: web, port: 80}}
    - {{host: api.localhost, service: api, port: 80}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedStory(Story):
    """One kind of change where requests move, or stay."""

    path: str = "/"  # what the route of the web says in the end

    def check_more(self, stage: Stage, world: World) -> None:
        """Each service that has routes gets its requests in the one container that runs, and nobody else."""
        folder = Path(stage.home.local / "apps" / stage.project / "prod" / FOLDER)
        told = {one.service: one for one in map(_read, sorted(folder.glob(f"*{SUFFIX}")))}
        assert sorted(told) == ["api", "web"]
        for name, backends in told.items():
            running = [one.id for one in world.replicas(name)]
            assert [one.container for one in backends.servers] == running, f"{name} is asked elsewhere"
        assert [route.path for route in told["web"].routes] == [self.path]
        assert not [one.name for one in folder.iterdir() if one.name.startswith(".")], "half written"


def _read(file: Path) -> Backends:
    found = read_back(file.read_bytes(), service=file.name.removesuffix(SUFFIX))
    assert found is not None, f"{file.name} is not as it was written"
    return found


def _write(stage: Stage, *, web: str, api: str, path: str = "/") -> None:
    """A web, an api that waits for it, and a gateway that passes on to both."""
    waits = "depends_on: {web: {condition: service_healthy}}"
    services = (
        f"  web: {{image: '{web}'}}\n  api: {{image: '{api}', {waits}}}\n  gate: {{image: '{GATEWAY}'}}\n"
    )
    project = _ENVIRONMENT.format(name=stage.project, path=path)
    commit(stage, services, f"{web} {api} {path}", project=project)


def first_routed(stage: Stage) -> None:
    """Both are deployed behind a gateway."""
    _write(stage, web="web:1", api="worker:1")
    play(stage, act_look).expect()


def first_merged(stage: Stage) -> None:
    """Both and a gateway are merged, and nothing is deployed."""
    _write(stage, web="web:1", api="worker:1")


def merged_routed(stage: Stage) -> None:
    """Both are merged anew."""
    _write(stage, web="web:2", api="more:1")


def merged_half_bad(stage: Stage) -> None:
    """A good web is merged with an api that ends at once, when the web has its requests already."""
    _write(stage, web="web:2", api="bad:1")


def merged_path(stage: Stage) -> None:
    """The route alone is another one."""
    _write(stage, web="web:1", api="worker:1", path="/shop")


def second_routed(stage: Stage) -> None:
    """Newer ones are deployed."""
    merged_routed(stage)
    play(stage, act_look).expect()


def lost(stage: Stage) -> None:
    """A person removed the web's container and wrote into the route of the api."""
    with opened(stage.world) as world:
        (web,) = world.replicas("web")
        del world.containers[web.id]
    folder = Path(stage.home.local / "apps" / stage.project / "prod" / FOLDER)
    (folder / f"api{SUFFIX}").write_text("http: {}\n")


SERVICES = frozenset({"web", "api", "gate"})
ROUTED = (
    RoutedStory("routed-first", (first_merged,), act_look, "web:1", SERVICES, "completed", api="worker:1"),
    RoutedStory(
        "routed", (first_routed, merged_routed), act_look, "web:2", SERVICES, "completed", api="more:1"
    ),
    RoutedStory(
        "routed-failing",
        (first_routed, merged_half_bad),
        act_look,
        "web:1",
        SERVICES,
        "rolled_back",
        api="worker:1",
    ),
    RoutedStory(
        "routed-rollback",
        (first_routed, second_routed),
        act_rollback,
        "web:1",
        SERVICES,
        "completed",
        act_keep,
        api="worker:1",
    ),
    RoutedStory(
        "routes-alone",
        (first_routed, merged_path),
        act_look,
        "web:1",
        SERVICES,
        "completed",
        api="worker:1",
        path="/shop",
    ),
    RoutedStory(
        "routed-heal",
        (first_routed, lost),
        act_keep,
        "web:1",
        SERVICES,
        "completed",
        act_keep,
        api="worker:1",
    ),
)
