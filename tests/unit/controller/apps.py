"""Apps and edits of them as Hypothesis draws them, and as drafts that no Compose client had to render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from events import labels
from events.blobs import BlobStore
from events.catalog.environment import Conduct
from events.manifest import FILES_PREFIX, FileEntry, FileTree, Gate, Job, WaitCondition
from gitops.compose.reload import arrange
from gitops.draft import Draft, DraftHost, DraftService
from gitops.settings import ImagePolicy
from gitops.source.worktree import WorkTree
from tests.unit.projections.converge.scene import COMPOSE_PROJECT, ENVIRONMENT, HOST, PROJECT

NAMES = ("a", "b", "c", "d", "e")
IMAGES = ("app:1", "app:2")
JOB_IMAGES = ("job:1", "job:2")
ROLES = ("app", "db", "gateway")
GATE = Gate(settle_seconds=0.5, deadline_seconds=10.0)
_FIRST_PORT = 18000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One service as a repository words it."""

    image: str = IMAGES[0]
    role: str = "app"
    variable: str = ""  # value of one variable of its environment; empty: not set
    label: str = ""
    command: str = ""
    file: str = ""  # content of a mounted file; empty: none is mounted
    reload: bool = False  # is told of a changed file by a signal
    port: int = 0  # fixed host port, 0: none
    replicas: int = 1
    network: bool = True  # on the app's network
    volume: bool = False  # mounts the app's volume
    host_env: bool = False  # takes an env file of the host
    refers: bool = False  # to a variable of the environment's file on the host
    job: bool = False
    named: bool = False  # has a fixed container name
    inside: tuple[str, str] | None = None  # ("network_mode" | "ipc" | "pid" | "volumes_from", service)
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class App:
    """All services, and what they share."""

    parts: Mapping[str, Part]
    mtu: int = 1500  # option of the network
    env: str = "1"  # what the env file of the host says


@st.composite
def parts(draw: st.DrawFn, name: str, above: Mapping[str, Part]) -> Part:
    """A service that may refer to those `above` it."""
    job = draw(st.sampled_from([False, False, False, True]))
    homes = [one for one, part in above.items() if not part.job and part.replicas > 0]
    inside = None
    if homes and not job and draw(st.booleans()):
        key = draw(st.sampled_from(["network_mode", "ipc", "pid", "volumes_from"]))
        inside = (key, draw(st.sampled_from(homes)))
    waits = draw(st.lists(st.sampled_from(sorted(above)), max_size=2, unique=True)) if above else []
    port = _FIRST_PORT + NAMES.index(name) if not job and draw(st.booleans()) else 0
    named = not job and draw(st.integers(0, 4)) == 0
    many = not (job or port or named)
    shares_network = inside is not None and inside[0] == "network_mode"
    return Part(
        image=draw(st.sampled_from(JOB_IMAGES if job else IMAGES)),
        role=draw(st.sampled_from(ROLES)),
        variable=draw(st.sampled_from(["", "1", "2"])),
        label=draw(st.sampled_from(["", "x"])),
        command=draw(st.sampled_from(["", "serve"])),
        file=draw(st.sampled_from(["", "one", "two"])),
        reload=draw(st.booleans()),
        port=0 if shares_network else port,
        replicas=draw(st.integers(0, 3)) if many else 1,
        network=not shares_network and draw(st.booleans()),
        volume=draw(st.booleans()),
        host_env=draw(st.integers(0, 4)) == 0,
        refers=draw(st.integers(0, 3)) == 0,
        job=job,
        named=named,
        inside=inside,
        waits=tuple(sorted(waits)),
    )


@st.composite
def apps(draw: st.DrawFn, former: App | None = None) -> App:
    """An app, or an edit of `former`: services stay, change a little, change wholly, come and go."""
    chosen: dict[str, Part] = {}
    for name in NAMES:
        before = None if former is None else former.parts.get(name)
        fresh = draw(parts(name, chosen))
        edit = (
            "new"
            if before is None
            else draw(st.sampled_from(["same"] * 4 + ["count", "value", "new", "gone"]))
        )
        if edit == "gone" or (before is None and draw(st.booleans())):
            continue
        if before is None or edit == "new" or not _fits(before, chosen):
            chosen[name] = fresh
        elif edit == "count":
            many = not (before.job or before.port or before.named)
            chosen[name] = replace(
                before, replicas=fresh.replicas if many and fresh.replicas else before.replicas
            )
        else:
            chosen[name] = (
                before if edit == "same" else replace(before, variable=fresh.variable, file=fresh.file)
            )
    if not chosen:
        chosen[NAMES[0]] = Part()
    if former is None:
        return App(parts=chosen)
    return App(
        parts=chosen,
        mtu=draw(st.sampled_from([former.mtu, former.mtu, former.mtu, 1500, 1400])),
        env=draw(st.sampled_from([former.env, former.env, "1", "2"])),
    )


def _fits(part: Part, above: Mapping[str, Part]) -> bool:
    """Whether what a service refers to is still there to be referred to."""
    home = part.inside[1] if part.inside else None
    if home is not None and (home not in above or above[home].job or above[home].replicas == 0):
        return False
    return all(one in above for one in part.waits)


def draft_of(app: App, *, blobs: BlobStore, env_path: str) -> Draft:
    """The draft that a render of `app` would give."""
    trees: dict[str, FileTree] = {}
    document: dict[str, Any] = {"name": COMPOSE_PROJECT, "services": {}}
    for name, part in sorted(app.parts.items()):
        document["services"][name] = _definition(name, part, app, trees, blobs=blobs, env_path=env_path)
    jobs = {name for name, part in app.parts.items() if part.job}
    reloads = arrange(document["services"], trees=trees, jobs=jobs).services
    services = {
        name: DraftService(
            role=part.role,
            job=Job() if part.job else None,
            waits_for=_waits(part, app),
            gate=GATE,
            reload=reloads.get(name),
        )
        for name, part in sorted(app.parts.items())
    }
    document["networks"] = {
        "front": {"name": f"{COMPOSE_PROJECT}_front", "driver_opts": {"mtu": str(app.mtu)}}
    }
    document["volumes"] = {"data": {"name": f"{COMPOSE_PROJECT}_data"}}
    return Draft(
        project=PROJECT,
        environment=ENVIRONMENT,
        compose_project=COMPOSE_PROJECT,
        version="v1",
        hosts={
            HOST: DraftHost(
                document=document,
                services=services,
                files=trees,
                env_file=env_path if any(part.refers for part in app.parts.values()) else None,
            )
        },
        images={name: part.image for name, part in app.parts.items()},
        pull_policies=dict.fromkeys(app.parts),
        platforms=dict.fromkeys(app.parts),
        builds={},
        awaited=frozenset(),
        image_policy=ImagePolicy(refresh="never", wait_seconds=0.0),
        drift="heal",
        conduct=Conduct(),
        blobs={},
        origins={name: {"/conf/app.conf": f"conf/{name}.conf"} for name in app.parts},
        inputs={},
        renderer="none",
        unset_variables=(),
        findings=(),
        tree=WorkTree(Path()),  # nothing is built from it
    )


def _waits(part: Part, app: App) -> dict[str, WaitCondition]:
    found: dict[str, WaitCondition] = {
        one: "service_completed_successfully" if app.parts[one].job else "service_started"
        for one in part.waits
    }
    return {**found, part.inside[1]: "service_started"} if part.inside else found


def _definition(
    name: str, part: Part, app: App, trees: dict[str, FileTree], *, blobs: BlobStore, env_path: str
) -> dict[str, Any]:
    waits = {one: {"condition": how, "required": True} for one, how in _waits(part, app).items()}
    port = {"target": 80, "published": str(part.port), "protocol": "tcp"}
    everything: dict[str, Any] = {
        "depends_on": waits,
        "environment": {
            **({"VALUE": part.variable} if part.variable else {}),
            **({"TAKEN": "its ${TOKEN:?token} $$5"} if part.refers else {}),
        },
        "labels": {
            **({"team": part.label} if part.label else {}),
            **({labels.RELOAD: "hup"} if part.reload else {}),
        },
        "command": [part.command] if part.command else [],
        "ports": [port] if part.port else [],
        "container_name": f"{COMPOSE_PROJECT}-the-{name}" if part.named else "",
        "env_file": [{"path": env_path, "required": True}] if part.host_env else [],
        "volumes": _mounts(part, trees, blobs=blobs),
        "networks": {"front": None} if part.network else {},
        "network_mode": "" if part.network else "none",
        **_inside(part),
    }
    given = {key: value for key, value in everything.items() if value}
    return {"image": part.image, "scale": part.replicas, **given}


def _inside(part: Part) -> dict[str, Any]:
    if part.inside is None:
        return {}
    key, home = part.inside
    return {key: [home] if key == "volumes_from" else f"service:{home}"}


def _mounts(part: Part, trees: dict[str, FileTree], *, blobs: BlobStore) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = []
    if part.volume:
        mounts.append({"type": "volume", "source": "data", "target": "/data"})
    if part.file:
        entry = FileEntry(path="app.conf", executable=False, blob=blobs.put(part.file.encode()))
        tree = FileTree(entries=(entry,))
        trees[tree.digest] = tree
        source = f"{FILES_PREFIX}{tree.digest.removeprefix('sha256:')}/app.conf"
        mounts.append({"type": "bind", "source": source, "target": "/conf/app.conf", "read_only": True})
    return mounts
