"""Start-first on a real engine: two versions for a moment, one name for ever, nothing for Compose to do."""

from __future__ import annotations

import json
import subprocess

from docker.models.containers import Container

from events.catalog.service import ServiceReplaced, ServiceWithdrawn
from events.kernel.compose_client import compose_client, compose_environment
from events.streams import release_stream
from tests.integration.converge.conftest import Spec, Stage
from tests.support.images import HEALTHY

EXCHANGES = 4  # names would show with the second already


def test_a_service_is_exchanged_side_by_side_again_and_again_and_compose_finds_nothing_to_do(
    stage: Stage,
) -> None:
    versions = [stage.images.web(f"v{number}", health=HEALTHY) for number in range(2)]
    grace = [
        "sh",
        "-c",
        "trap 'echo asked to end; exit 0' TERM; httpd -p 8080 -h /www; while :; do sleep 1 & wait; done",
    ]
    before = stage.manifest({"web": Spec(image=versions[0], more={"command": grace})})
    assert stage.deploy(before).status == "completed"
    for number in range(EXCHANGES):
        (old,) = stage.project.containers()
        more = {"command": grace, "environment": {"NUMBER": str(number)}}
        after = stage.manifest({"web": Spec(image=versions[number % 2], more=more)})
        verdict = stage.deploy(after, before)
        assert verdict.status == "completed", verdict.failure
        (new,) = stage.project.containers()
        assert new.id != old.id
        assert new.name == f"{stage.compose_project}-web-1"
        (exchange,) = _exchanges(stage, verdict.release)
        assert (exchange.old_ids, exchange.new_ids) == ((old.id,), (new.id,))
        assert (exchange.rollout, exchange.because) == ("start-first", ())
        before = after
    (last,) = stage.project.containers()
    started = _started(last)
    _compose(stage, "up", "--detach")
    (left,) = stage.project.containers()
    assert (left.id, _started(left)) == (last.id, started)
    shown = [json.loads(line) for line in _compose(stage, "ps", "--format", "json").splitlines()]
    assert [(one["Name"], one["State"]) for one in shown] == [(last.name, "running")]
    assert stage.heal(before) is False


def test_a_bad_version_goes_again_and_the_old_container_never_notices(stage: Stage) -> None:
    good, bad = stage.images.web("v1"), stage.images.crashing("v2", line="no database")
    first = stage.manifest({"web": Spec(image=good)})
    stage.deploy(first)
    (before,) = stage.project.containers()
    verdict = stage.deploy(stage.manifest({"web": Spec(image=bad)}), first)
    assert verdict.status == "rolled_back"
    (after,) = stage.project.containers()
    assert (after.id, after.name, _started(after)) == (before.id, before.name, _started(before))
    events = stage.events(release_stream(verdict.release))
    (gone,) = [one for one in events if isinstance(one, ServiceWithdrawn)]
    assert gone.failure.log_tail == ("no database",)
    assert _exchanges(stage, verdict.release) == []


def test_what_an_image_keeps_in_a_volume_of_its_own_is_handed_on_in_place(stage: Stage) -> None:
    """Side by side the new container would begin with an empty one, and the old one would go with the old."""
    one, two = stage.images.web("v1"), stage.images.web("v2")
    keeping = {"volumes": [{"type": "volume", "target": "/data"}]}
    first = stage.manifest({"web": Spec(image=one, more=keeping)})
    stage.deploy(first)
    (before,) = stage.project.containers()
    before.exec_run(["sh", "-c", "echo kept >/data/file"])
    verdict = stage.deploy(stage.manifest({"web": Spec(image=two, more=keeping)}), first)
    assert verdict.status == "completed"
    (after,) = stage.project.containers()
    assert after.exec_run(["cat", "/data/file"]).output == b"kept\n"
    (exchange,) = _exchanges(stage, verdict.release)
    assert exchange.rollout == "stop-first"
    assert exchange.because == ("anonymous volume at /data, which a new container does not get",)


def _exchanges(stage: Stage, release: str) -> list[ServiceReplaced]:
    return [one for one in stage.events(release_stream(release)) if isinstance(one, ServiceReplaced)]


def _started(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["StartedAt"])


def _compose(stage: Stage, *arguments: str) -> str:
    """What a person does by hand with the file that lies on the host."""
    folder = stage.root / "local/apps" / stage.project.name / "prod"
    finished = subprocess.run(
        [compose_client(), "-p", stage.compose_project, "-f", folder / "compose.yml", *arguments],
        env={**compose_environment(stage.root), "DOCKER_HOST": "unix:///var/run/docker.sock"},
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return finished.stdout
