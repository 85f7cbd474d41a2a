"""Releases on a real engine: what changes, what stays, and what comes back."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from events.blobs import BlobStore
from events.catalog import Failure
from events.catalog.service import JobCompleted
from events.manifest import FILES_PREFIX, STATE_PREFIX, FileEntry, FileTree, Job, Manifest, WaitCondition
from projections.converge.work import Verdict
from tests.integration.converge.conftest import Spec, Stage, kept_tags, says
from tests.support.images import HEALTHY
from tests.support.processes import free_port

NEEDS_JOB: Mapping[str, WaitCondition] = {"migrate": "service_completed_successfully"}


def published(port: int) -> dict[str, Any]:
    return {"ports": [{"mode": "ingress", "target": 8080, "published": str(port), "protocol": "tcp"}]}


def failure_of(verdict: Verdict) -> Failure:
    assert verdict.failure is not None
    return verdict.failure


def tree(blobs: BlobStore, **files: str) -> FileTree:
    entries = [
        FileEntry(path=path.replace("__", "."), executable=False, blob=blobs.put(text.encode()))
        for path, text in files.items()
    ]
    return FileTree(entries=tuple(entries))


def test_first_deploy_then_a_change_of_one_of_three_services(stage: Stage) -> None:
    port = free_port()
    web1, web2 = stage.images.web("v1"), stage.images.web("v2")
    specs = {
        "web": Spec(image=web1, more=published(port)),
        "a": Spec(image=stage.images.web("v1", name="a", health=HEALTHY)),
        "b": Spec(image=stage.images.web("v1", name="b"), waits_for={"a": "service_healthy"}),
    }
    first = stage.manifest(specs)
    assert stage.deploy(first).status == "completed"
    assert says(port) == "web v1"
    before = stage.project.ids()
    second = stage.manifest({**specs, "web": Spec(image=web2, more=published(port))})
    assert stage.deploy(second, first).status == "completed"
    assert says(port) == "web v2"
    after = stage.project.ids()
    assert (after["a"], after["b"]) == (before["a"], before["b"])
    assert after["web"] != before["web"]
    assert stage.heal(second) is False
    assert len(kept_tags(stage.project)) == 4


def test_job_runs_once_and_its_container_goes(stage: Stage) -> None:
    job = Spec(image=stage.images.job(), job=Job())
    first = stage.manifest({"web": Spec(image=stage.images.web("v1"), waits_for=NEEDS_JOB), "migrate": job})
    second = stage.manifest({"web": Spec(image=stage.images.web("v2"), waits_for=NEEDS_JOB), "migrate": job})
    assert stage.deploy(first).status == "completed"
    assert stage.deploy(second, first).status == "completed"
    (end,) = [event for event in stage.events(stage.stream) if isinstance(event, JobCompleted)]
    assert end.log_tail == ("job v1 ran",)
    assert set(stage.project.ids()) == {"web"}
    assert len(stage.project.containers()) == 1


def test_job_that_fails_leaves_the_former_version(stage: Stage) -> None:
    web = stage.images.web("v1")
    first = stage.manifest({"web": Spec(image=web)})
    stage.deploy(first)
    before = stage.project.ids()
    crash = stage.images.crashing("v1", name="migrate", code=4, line="no such table")
    second = stage.manifest(
        {
            "web": Spec(image=stage.images.web("v2"), waits_for=NEEDS_JOB),
            "migrate": Spec(image=crash, job=Job()),
        }
    )
    verdict = stage.deploy(second, first)
    failure = failure_of(verdict)
    assert verdict.status == "rolled_back"
    assert (failure.code, failure.exit_code, failure.log_tail) == ("job-failed", 4, ("no such table",))
    assert stage.project.ids() == before
    assert [c.status for c in stage.project.containers()].count("exited") == 1


def test_taken_port_is_found_before_anything_is_touched(stage: Stage) -> None:
    port = free_port()
    first = stage.manifest({"web": Spec(image=stage.images.web("v1"))})
    stage.deploy(first)
    before = stage.project.ids()
    second = stage.manifest({"web": Spec(image=stage.images.web("v2"), more=published(port))})
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        verdict = stage.deploy(second, first)
    failure = failure_of(verdict)
    assert verdict.status == "rolled_back"
    assert (failure.code, failure.cause, failure.service) == ("port-taken", "outside", "web")
    assert stage.project.ids() == before


def test_orphan_goes_and_its_named_volume_stays(stage: Stage) -> None:
    volumes = {"data": {"name": f"{stage.compose_project}_data"}}
    mount = {"volumes": [{"type": "volume", "source": "data", "target": "/data"}]}
    web = Spec(image=stage.images.web("v1"))
    first = stage.manifest({"web": web, "old": Spec(image=web.image, more=mount)}, volumes=volumes)
    stage.deploy(first)
    second = stage.manifest({"web": web})
    assert stage.deploy(second, first).status == "completed"
    assert set(stage.project.ids()) == {"web"}
    assert [volume.name for volume in stage.project.volumes()] == [f"{stage.compose_project}_data"]


def test_failed_first_release_keeps_its_container_stopped(stage: Stage) -> None:
    verdict = stage.deploy(
        stage.manifest(
            {"web": Spec(image=stage.images.crashing(name="crash")), "a": Spec(image=stage.images.web())}
        )
    )
    assert verdict.status == "failed"
    assert stage.project.ids() == {}
    assert {c.status for c in stage.project.containers()} == {"exited"}
    assert stage.types() == ["ReleaseStarted", "ReleaseFailed"]


def test_files_of_the_commit_and_state_are_mounted(stage: Stage) -> None:
    port = free_port()
    files = tree(stage.blobs, index__html="from the commit")
    name = files.digest.removeprefix("sha256:")
    mounts = [
        {
            "type": "bind",
            "source": f"{FILES_PREFIX}{name}",
            "target": "/www",
            "read_only": True,
            "bind": {"create_host_path": False},
        },
        {"type": "bind", "source": f"{STATE_PREFIX}data/cache", "target": "/data"},
    ]
    spec = Spec(image=stage.images.web("v1"), more={"volumes": mounts, **published(port)})
    manifest = stage.manifest({"web": spec}, trees=(files,))
    assert stage.deploy(manifest).status == "completed"
    assert says(port) == "from the commit"
    assert (stage.root / f"local/apps/{stage.project.name}/prod/state/data/cache").is_dir()


def test_heal_starts_recreates_and_restores(stage: Stage) -> None:
    image = stage.images.web("v1")
    manifest = stage.manifest({name: Spec(image=image) for name in ("a", "b", "c")})
    stage.deploy(manifest)
    before = stage.project.ids()
    client = stage.project.client
    client.containers.get(before["a"][0]).kill()
    client.containers.get(before["b"][0]).remove(force=True)
    assert stage.heal(manifest) is True
    after = stage.project.ids()
    assert set(after) == {"a", "b", "c"}
    assert (after["a"], after["c"]) == (before["a"], before["c"])
    assert stage.types()[-2:] == ["DriftDetected", "DriftHealed"]
    head = stage.log.head()
    assert stage.heal(manifest) is False
    assert stage.log.head() == head


def test_renamed_service_takes_over_the_port(stage: Stage) -> None:
    port = free_port()
    image = stage.images.web("v1")
    first = stage.manifest({"old": Spec(image=image, more=published(port))})
    stage.deploy(first)
    second = stage.manifest({"new": Spec(image=stage.images.web("v2"), more=published(port))})
    assert stage.deploy(second, first).status == "completed"
    assert says(port) == "web v2"
    assert set(stage.project.ids()) == {"new"}


def test_replicas_come_and_go(stage: Stage) -> None:
    image = stage.images.web("v1")
    three = stage.manifest({"web": Spec(image=image, more={"deploy": {"replicas": 3}})})
    stage.deploy(three)
    assert len(stage.project.ids()["web"]) == 3
    one = stage.manifest({"web": Spec(image=image)})
    assert stage.deploy(one, three).status == "completed"
    assert len(stage.project.ids()["web"]) == 1


def test_service_in_anothers_network_namespace_follows_it(stage: Stage) -> None:
    def manifest(version: str) -> Manifest:
        side = Spec(
            image=stage.images.make(
                "side", "v1", command=["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"], files={}
            ),
            waits_for={"web": "service_started"},
            more={"network_mode": "service:web"},
        )
        return stage.manifest({"web": Spec(image=stage.images.web(version)), "side": side})

    first, second = manifest("v1"), manifest("v2")
    assert stage.deploy(first).status == "completed"
    before = stage.project.ids()
    assert stage.deploy(second, first).status == "completed"
    after = stage.project.ids()
    assert after["side"] != before["side"]
    stage.project.client.containers.get(after["side"][0]).remove(force=True)
    assert stage.heal(second) is True
    assert stage.project.ids()["web"] == after["web"]
