"""What happens to a project before and at the moment of a crash, and what it comes to.

`tests.crash.promises` checks that it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from projections.engine.simulated_world import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    ONE_OFF,
    World,
    opened,
)
from tests.crash.player import (
    Act,
    Stage,
    act_adopt,
    act_deploy,
    act_destroy,
    act_keep,
    act_look,
    act_make_way,
    act_prune,
    act_restart,
    act_rollback,
    act_start,
    act_stop,
    play,
)
from tests.support.repos import git

PULLED = "127.0.0.1:5000/more:2"  # the engine does not have it
_PROJECT = "project: {{name: {name}}}\nenvironments: {{prod: {{gate: {{settle: 300ms, deadline: 15s}}}}}}\n"


@dataclass(frozen=True, slots=True)
class Story:
    """One kind of change, told in three parts."""

    name: str
    before: tuple[Callable[[Stage], None], ...]  # brings the project where the change begins
    act: Act
    shows: str  # the web that runs in the end
    services: frozenset[str]  # that run in the end
    status: str  # of the newest Release in the end
    again: Act = act_look  # what comes after a crash
    stopped: bool = False  # the containers are kept for a look
    down: frozenset[str] = frozenset()  # services that a person stopped
    said: str = ""  # the event by which a person's wish is known to be on record
    told: str = ""  # what the file of the web says in the end; it was told of that and never replaced
    api: str = ""  # the api that runs in the end, where there is one

    def check_more(self, stage: Stage, world: World) -> None:
        """What else is promised of it."""


def write(stage: Stage, web: str, *, job: str, extra: bool, message: str = "change") -> None:
    """Commit a project: a web that waits for a job, a worker, and one more service or another one."""
    images = {
        "web": web,
        "worker": "worker:1",
        "migrate": job,
        **({"extra": PULLED} if extra else {"gone": "more:1"}),
    }
    services: dict[str, str] = {name: f"image: '{image}'" for name, image in images.items()}
    services["worker"] += ", volumes: ['data:/data']"
    services["web"] += ", depends_on: {migrate: {condition: service_completed_successfully}}"
    text = "".join(f"  {name}: {{{body}}}\n" for name, body in services.items())
    commit(stage, text, message)


def commit(stage: Stage, services: str, message: str, *, gates: str = "", project: str | None = None) -> None:
    """Commit services, and a project file with more to it than usual."""
    compose = f"services:\n{services}volumes: {{data: {{}}}}\n"
    project = (project or _PROJECT.format(name=stage.project)) + gates
    stage.repository.commit({"stagecraft.yml": project, "compose.yaml": compose}, message)


def first(stage: Stage) -> None:
    """Version 1 is deployed."""
    write(stage, "web:1", job="job:1", extra=False)
    play(stage, act_look).expect()


def merged(stage: Stage) -> None:
    """Version 2 is merged."""
    write(stage, "web:2", job="job:2", extra=True)


def merged_bad(stage: Stage) -> None:
    """A web is merged that ends at once."""
    write(stage, "bad:1", job="job:2", extra=True)


def merged_slow(stage: Stage) -> None:
    """A web is merged that never turns healthy."""
    write(stage, "slow:1", job="job:2", extra=True)


def second(stage: Stage) -> None:
    """Version 2 is deployed."""
    merged(stage)
    play(stage, act_look).expect()


def reverted(stage: Stage) -> None:
    """The merge of version 2 is reverted."""
    git("revert", "--no-edit", "HEAD", cwd=stage.repository.work)
    git("push", "--quiet", "origin", "main", cwd=stage.repository.work)


def damaged(stage: Stage) -> None:
    """A killed Compose left a half-made container, a person stopped one and removed another."""
    with opened(stage.world) as world:
        (web,) = world.replicas("web")
        web.name = f"{'0' * 12}_{web.name}"
        (worker,) = world.replicas("worker")
        worker.stopped = "exited"
        (gone,) = world.replicas("gone")
        del world.containers[gone.id]
        half = world.make(
            f"{worker.id[:12]}_{worker.name}", image=worker.image, labels=worker.labels, created_at=0.0
        )
        half.networks = worker.networks


def stopped_web(stage: Stage) -> None:
    """A person has stopped the web."""
    play(stage, act_stop).expect()


def altered(stage: Stage) -> None:
    """A person has changed a limit of the web, and taken the worker off its network."""
    with opened(stage.world) as world:
        (web,) = world.replicas("web")
        web.made["HostConfig"]["Memory"] = 1
        (worker,) = world.replicas("worker")
        worker.networks = ()


def first_bad(stage: Stage) -> None:
    """Nothing is deployed, and the first web ends at once."""
    write(stage, "bad:1", job="job:1", extra=False)


def first_good(stage: Stage) -> None:
    """Nothing is deployed, version 1 is merged."""
    write(stage, "web:1", job="job:1", extra=False)


def by_hand(stage: Stage) -> None:
    """A person has started a web and a worker with Compose, and the project file is new."""
    _write_small(stage, "web:1")
    with opened(stage.world) as world:
        for service in ("web", "worker"):
            labels = {COMPOSE_PROJECT: f"{stage.project}-prod", COMPOSE_SERVICE: service, ONE_OFF: "False"}
            name = f"{stage.project}-prod-{service}-1"
            made = world.make(name, image=f"{service}:1", labels=labels, created_at=0.0)
            made.started_at, made.networks = 0.0, (f"{stage.project}-prod_default",)
            if service == "worker":
                made.volumes = (f"{stage.project}-prod_data",)


def _write_small(stage: Stage, web: str) -> None:
    commit(
        stage, f"  web: {{image: '{web}'}}\n  worker: {{image: 'worker:1', volumes: ['data:/data']}}\n", web
    )


def adopted(stage: Stage) -> None:
    """It was taken over."""
    play(stage, act_adopt).expect()


def merged_small(stage: Stage) -> None:
    """A new web is merged where everything was adopted."""
    _write_small(stage, "web:2")


def first_told(stage: Stage) -> None:
    """A web that is told of its file by a signal, and asked whether it is up, is deployed."""
    stage.repository.commit({"app.conf": "one"}, "a file")
    web = "image: 'web:1', labels: {stagecraft.reload: HUP}, volumes: ['./app.conf:/etc/app.conf']"
    services = f"  web: {{{web}}}\n  worker: {{image: 'worker:1', volumes: ['data:/data']}}\n"
    commit(stage, services, "one", gates="services: {web: {gate: {tcp: {port: 80}}}}\n")
    play(stage, act_look).expect()


def merged_file(stage: Stage) -> None:
    """Another content of the file is merged."""
    stage.repository.commit({"app.conf": "two"}, "another file")


def _write_pair(stage: Stage, *, api: str, web: str) -> None:
    """An api that is replaced side by side, and after it a web with a volume, in its place."""
    waits = "depends_on: {api: {condition: service_healthy}}"
    commit(
        stage,
        f"  api: {{image: '{api}'}}\n  web: {{image: '{web}', volumes: ['data:/data'], {waits}}}\n",
        f"{api} {web}",
    )


def first_pair(stage: Stage) -> None:
    """An api and a web that waits for it are deployed."""
    _write_pair(stage, api="worker:1", web="web:1")
    play(stage, act_look).expect()


def merged_pair(stage: Stage) -> None:
    """Both are merged anew."""
    _write_pair(stage, api="more:1", web="web:2")


def merged_half_bad(stage: Stage) -> None:
    """A good api is merged with a web that ends at once, when the api has been replaced already."""
    _write_pair(stage, api="more:1", web="bad:1")


def _write_many(stage: Stage, *names: str, web: str) -> None:
    """A web and some services beside it; of few Releases the images are kept."""
    others = "".join(f"  {name}: {{image: 'worker:1'}}\n" for name in names)
    commit(stage, f"  web: {{image: '{web}'}}\n{others}", f"{web} {names}", gates="images: {keep: 1}\n")


def first_many(stage: Stage) -> None:
    """A web and six services are deployed."""
    _write_many(stage, *"abcdef", web="web:1")
    play(stage, act_look).expect()


def second_many(stage: Stage) -> None:
    """The same with a newer web is deployed, and nobody else has a tag of the old one."""
    _write_many(stage, *"abcdef", web="more:1")
    play(stage, act_look).expect()
    with opened(stage.world) as world:
        del world.images["web:1"]


def merged_few(stage: Stage) -> None:
    """All six leave at once."""
    _write_many(stage, web="web:2")


def left_many(stage: Stage) -> None:
    """They have left, and run on."""
    merged_few(stage)
    play(stage, act_look).expect()


OLD, NEW = frozenset({"web", "worker", "gone"}), frozenset({"web", "worker", "extra"})
ADOPTED = frozenset({"web", "worker"})
PAIR = frozenset({"web", "api"})
MANY = frozenset({"web", *"abcdef"})
STORIES = (
    Story("look", (first, merged), act_look, "web:2", NEW, "completed"),
    Story("deploy", (first, merged), act_deploy, "web:2", NEW, "completed"),
    Story("failing", (first, merged_bad), act_look, "web:1", OLD, "rolled_back"),
    Story("rollback", (first, second), act_rollback, "web:1", OLD, "completed", act_keep),
    Story("making-way", (first, merged_slow), act_make_way, "web:1", OLD, "completed"),
    Story("revert", (first, second, reverted), act_look, "web:1", OLD, "completed"),
    Story("first", (first_good,), act_look, "web:1", OLD, "completed"),
    Story("first-failing", (first_bad,), act_look, "bad:1", OLD, "failed", stopped=True),
    Story("destroy", (first,), act_destroy, "", frozenset(), "completed", act_keep),
    Story("adopt", (by_hand,), act_adopt, "web:1", ADOPTED, "completed", act_keep),
    Story("adopted", (by_hand, adopted, merged_small), act_look, "web:2", ADOPTED, "completed"),
    Story("reload", (first_told, merged_file), act_look, "web:1", ADOPTED, "completed", told="two"),
    Story("in-place", (first_pair, merged_pair), act_look, "web:2", PAIR, "completed", api="more:1"),
    Story("both-back", (first_pair, merged_half_bad), act_look, "web:1", PAIR, "rolled_back", api="worker:1"),
    Story("old-images", (first_many, second_many, merged_few), act_look, "web:2", MANY, "completed"),
    Story(
        "prune",
        (first_many, left_many),
        act_prune,
        "web:2",
        frozenset({"web"}),
        "completed",
        act_keep,
        said="PruneConfirmed",
    ),
    Story("heal", (first, damaged), act_keep, "web:1", OLD, "completed", act_keep),
    Story("altered", (first, altered), act_keep, "web:1", OLD, "completed", act_keep),
    Story(
        "stop",
        (first,),
        act_stop,
        "web:1",
        OLD,
        "completed",
        act_keep,
        down=frozenset({"web"}),
        said="ServiceStopped",
    ),
    Story(
        "start", (first, stopped_web), act_start, "web:1", OLD, "completed", act_keep, said="ServiceStarted"
    ),
    Story("restart", (first,), act_restart, "web:1", OLD, "completed", act_keep, said="ServiceRestarted"),
)
