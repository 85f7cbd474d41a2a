"""What must be true in the end, each in words when it is not."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from events.blobs import FileBlobStore
from events.manifest import Manifest
from events.sqlite import SqliteEventLog
from tests.soak.app import ENVIRONMENTS, FINAL, SERVICES
from tests.soak.measures import excesses, processes_naming
from tests.soak.stage import Stage
from tests.support.images import PORT
from tests.support.processes import wait_until

_REQUESTS = frozenset({"DeployRequested", "RevertDetected", "RollbackRequested"})
VERDICTS = {
    "ReleaseCompleted": "completed",
    "ReleaseFailed": "failed",
    "ReleaseRolledBack": "rolled back",
    "ReleaseSuperseded": "superseded",
}
QUIET_SECONDS = 120.0
_PAUSE_SECONDS = 1.0
_QUIET_FDS = 96  # the SDK keeps up to 25 connections
_QUIET_THREADS = 40


def calm_down(stage: Stage) -> float:
    """Wait until every environment says that it is in sync; answers the seconds. Raises TimeoutError."""
    began = time.monotonic()
    wait_until("every environment to be in sync", lambda: not _unrest(stage), seconds=QUIET_SECONDS)
    return time.monotonic() - began


def _unrest(stage: Stage) -> list[str]:
    """The environments that do not run the last commit yet, or do not say that all is well."""
    time.sleep(_PAUSE_SECONDS)
    stage.watch_daemon()
    head, found = stage.app.repository.head(), list[str]()
    for name in ENVIRONMENTS:
        asked = stage.cli.run("status", "--env", name, "--json")
        shown: dict[str, Any] = asked.json() if asked.code == 0 else {}
        well = (shown.get("sync"), shown.get("health")) == ("in-sync", "healthy")
        if not well or shown["deployed"]["revision"] != head:
            found.append(name)
    return found


def status_of_all(stage: Stage) -> list[str]:
    """What each environment says of itself, for a report of what went wrong."""
    return [stage.cli.run("status", "--env", name).stdout for name in ENVIRONMENTS]


def faults_while_it_runs(stage: Stage) -> list[str]:
    """What is wrong with the daemon itself, in the quiet."""
    stage.keeper.measure()
    last = stage.keeper.samples[-1]
    found = excesses(stage.keeper.samples)
    if last.children:
        found.append(f"{last.children} children of a daemon that has nothing to do")
    if last.fds > _QUIET_FDS or last.threads > _QUIET_THREADS:
        found.append(f"{last.fds} open files and {last.threads} threads of a daemon that has nothing to do")
    said = stage.keeper.output.read_text(errors="replace")
    found += [f"the daemon said {word!r}" for word in ("Traceback", "work-broke", "BUG") if word in said]
    return found


def faults_afterwards(stage: Stage) -> list[str]:
    """Everything else that is wrong, once the daemon has ended."""
    log = Path(stage.cli.environment["STAGECRAFT_HOME"]) / "events.db"
    return [
        *_idle_look(stage),
        *_containers(stage),
        *_log(log),
        *_views(stage, log.with_name("views.db")),
        *_foreign(stage),
        *_strays(stage),
    ]


def _idle_look(stage: Stage) -> Iterable[str]:
    """One more look finds nothing to do."""
    before = stage.cli.ok("events", "list", "--json").stdout
    ids = sorted(one.id or "" for one in stage.containers())
    origin = stage.app.repository.origin
    looked = stage.cli.run("controller", "run", "--once", "--repo", origin, "--branch", "main", seconds=120)
    if looked.code != 0:
        yield f"one more look ended with {looked.code}: {looked.stderr}"
    after = stage.cli.ok("events", "list", "--json").stdout
    if after != before:
        yield f"one more look appended events: {after.removeprefix(before)[:500]}"
    if sorted(one.id or "" for one in stage.containers()) != ids:
        yield "one more look changed containers"


def _containers(stage: Stage) -> Iterable[str]:
    home = Path(stage.cli.environment["STAGECRAFT_HOME"])
    blobs = FileBlobStore(home / "blobs")
    for name in ENVIRONMENTS:
        status = stage.cli.ok("status", "--env", name, "--json").json()
        digest = status["deployed"]["digest"]
        if not digest or digest != status["desired"]["digest"]:
            yield f"{name}: {digest} is deployed and {status['desired']['digest']} is desired"
            continue
        if status["deployed"]["revision"] != stage.app.repository.head():
            yield f"{name}: the last commit is not what is deployed"
        manifest = Manifest.decode(blobs.get(digest))
        hashes = {key: one.hash for key, one in manifest.hosts["local"].services.items() if one.job is None}
        yield from _environment(stage, name, stage.containers(name), hashes=hashes)


def _environment(stage: Stage, name: str, found: list[Container], *, hashes: dict[str, str]) -> Iterable[str]:
    by_service: defaultdict[str, list[Container]] = defaultdict(list)
    for container in found:
        by_service[container.labels["stagecraft.service"]].append(container)
    if sorted(by_service) != sorted(SERVICES):
        yield f"{name}: containers of {sorted(by_service)} instead of {sorted(SERVICES)}"
    for service, containers in by_service.items():
        if len(containers) != 1:
            yield f"{name}: {len(containers)} containers of {service}"
        else:
            yield from _service(stage, f"{name}: {service}", containers[0], wanted_hash=hashes.get(service))
    for web in by_service["web"]:
        networks: dict[str, Any] = web.attrs["NetworkSettings"]["Networks"]
        address = next(iter(networks.values()))["IPAddress"]
        if (answer := stage.engine.fetch(address, port=PORT)) != f"web {FINAL}":
            yield f"{name}: web says {answer!r}"


def _service(stage: Stage, title: str, one: Container, *, wanted_hash: str | None) -> Iterable[str]:
    if one.status != "running":
        yield f"{title} is {one.status}"
    if one.labels["stagecraft.service-hash"] != wanted_hash:
        yield f"{title} has another service hash than its Manifest"
    wanted = _image_id(stage, stage.app.expected_images()[one.labels["stagecraft.service"]])
    if one.attrs["Image"] != wanted:
        yield f"{title} runs {one.attrs['Image']} instead of {wanted}"


def _image_id(stage: Stage, reference: str) -> str:
    with stage.client() as client:
        return client.images.get(reference).id or ""


def _log(path: Path) -> Iterable[str]:
    """Positions and versions without a gap, no id twice, one verdict for each Release."""
    with closing(SqliteEventLog(path)) as log:
        events = log.read()
    if [one.position for one in events] != list(range(1, len(events) + 1)):
        yield "the log's positions are not dense"
    versions: Counter[str] = Counter()
    for one in events:
        versions[str(one.stream)] += 1
        if one.version != versions[str(one.stream)]:
            yield f"{one.stream} has version {one.version} as its event {versions[str(one.stream)]}"
    if len({one.id for one in events}) != len(events):
        yield "an event id stands twice in the log"
    stored = [json.loads(json.dumps(one.as_json())) for one in events]
    asked = Counter(one["data"]["release"] for one in stored if one["type"] in _REQUESTS)
    judged = Counter(one["data"]["release"] for one in stored if one["type"] in VERDICTS)
    yield from (f"{release} was asked for {times} times" for release, times in asked.items() if times > 1)
    yield from (f"{release} has {times} verdicts" for release, times in judged.items() if times > 1)
    yield from (f"{release} has no verdict" for release in asked if release not in judged)


def verdicts(path: Path) -> Counter[str]:
    """How many Releases ended in which way."""
    with closing(SqliteEventLog(path)) as log:
        return Counter(VERDICTS[one.type] for one in log.read() if one.type in VERDICTS)


def event_types(path: Path) -> Counter[str]:
    """How many events of each type there are."""
    with closing(SqliteEventLog(path)) as log:
        return Counter(one.type for one in log.read())


def _views(stage: Stage, path: Path) -> Iterable[str]:
    """The views come back equal when they are made anew."""

    def shown() -> list[str]:
        found: list[str] = []
        for name in ENVIRONMENTS:
            found.append(stage.cli.ok("releases", "list", "--env", name, "--json").stdout)
            status = stage.cli.ok("status", "--env", name, "--json").json()
            for moving in ("as_of", "freshness"):
                del status[moving]
            found.append(json.dumps(status))
        return found

    before = shown()
    path.unlink()
    if shown() != before:
        yield "the views are not the same when they are made anew"


def _foreign(stage: Stage) -> Iterable[str]:
    with stage.client() as client:
        there = {
            one.name: one
            for one in client.containers.list(all=True, ignore_removed=True)
            if one.name in stage.foreign
        }
    for name, former in stage.foreign.items():
        one = there.get(name)
        if one is None or one.id != former or one.status != "running":
            yield f"the container {name}, which is somebody else's, is not as it was"


def _strays(stage: Stage) -> Iterable[str]:
    for words in processes_naming(stage.app.project):
        yield f"a process was left behind: {words[:200]}"
