"""The test images and the clean-up behave as the tests that use them take for granted."""

from __future__ import annotations

import time
from urllib.request import urlopen

import pytest
from docker.client import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from tests.support.cleanup import PROJECT_LABEL, EngineProject, project_of_one_test
from tests.support.images import HEALTHY, PORT, TestImages
from tests.support.processes import free_port, wait_until

BRISK_SECONDS = 3.0


def start(project: EngineProject, image: str, port: int | None = None) -> Container:
    return project.client.containers.run(
        image,
        detach=True,
        labels={PROJECT_LABEL: f"{project.name}-prod", "com.docker.compose.service": "web"},
        ports={f"{PORT}/tcp": port} if port else {},
        environment={"GREETING": "hello"},
    )


def health(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def fetch(port: int, path: str = "/") -> str:
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def test_a_web_says_its_version_and_ends_at_once(images: TestImages, engine_project: EngineProject) -> None:
    port = free_port()
    container = start(engine_project, images.web("v7", health=HEALTHY), port)
    wait_until("healthy", lambda: health(container) == "healthy")

    assert fetch(port) == "web v7\n"
    assert "GREETING=hello" in fetch(port, "/cgi-bin/env")

    before = time.monotonic()
    container.stop(timeout=10)
    assert time.monotonic() - before < BRISK_SECONDS
    assert container.wait()["StatusCode"] == 0
    assert b"web v7 serves" in container.logs()


def test_a_sick_web_runs_and_turns_unhealthy(images: TestImages, engine_project: EngineProject) -> None:
    container = start(engine_project, images.sick("v8"))
    wait_until("unhealthy", lambda: health(container) == "unhealthy")
    assert container.status == "running"
    assert "the database does not answer" in container.attrs["State"]["Health"]["Log"][-1]["Output"]


def test_a_crashing_one_says_why(images: TestImages, engine_project: EngineProject) -> None:
    container = start(engine_project, images.crashing("v9", code=3, line="no disk"))
    assert container.wait(timeout=10)["StatusCode"] == 3
    assert container.logs(stdout=False) == b"no disk\n"


def test_a_job_leaves_a_line_in_its_volume(images: TestImages, engine_project: EngineProject) -> None:
    client = engine_project.client
    volume = client.volumes.create(labels={PROJECT_LABEL: engine_project.name})
    for _ in range(2):
        client.containers.run(images.job("v1"), volumes={volume.name: {"bind": "/data"}}, remove=True)
    said = client.containers.run(
        images.web(), ["/bin/cat", "/data/ran"], volumes={volume.name: {"bind": "/data"}}, remove=True
    )
    assert said == b"job v1 ran\njob v1 ran\n"


def test_the_same_content_has_the_same_id_and_a_tag_moves(images: TestImages, engine: DockerClient) -> None:
    reference = images.web("v1", name="moving")
    first = images.image_id(reference)
    assert engine.images.get(reference).id == first

    assert images.web("v1", name="moving") == reference
    assert images.image_id(reference) == first

    assert images.crashing("v1", name="moving") == reference
    assert engine.images.get(reference).id == images.image_id(reference) != first

    images.remove(reference)
    images.web("v1", name="moving")
    assert engine.images.get(reference).id == first


def test_an_absent_image_fails_at_once(images: TestImages, engine: DockerClient) -> None:
    before = time.monotonic()
    with pytest.raises(APIError, match="connection refused"):
        engine.images.pull(images.absent())
    assert time.monotonic() - before < BRISK_SECONDS


def test_nothing_is_left_of_a_test(images: TestImages, engine: DockerClient) -> None:
    one_test = project_of_one_test(engine)
    project = next(one_test)
    start(project, images.web())
    engine.networks.create(f"{project.name}-net", labels={PROJECT_LABEL: f"{project.name}-prod"})
    engine.volumes.create(labels={PROJECT_LABEL: f"{project.name}-stage"})
    assert len([*project.containers(), *project.networks(), *project.volumes()]) == 3
    assert list(project.ids()) == ["web"]

    one_test.close()  # type: ignore[attr-defined]
    assert not [*project.containers(), *project.networks(), *project.volumes()]


def test_what_was_made_is_gone_after_the_session(engine: DockerClient) -> None:
    session = TestImages(engine)
    engine.images.get(session.web()).tag("stagecraft-test/kept", "by-the-product")
    session.remove_all()
    assert not engine.images.list("stagecraft-test/kept")
    assert not engine.images.list(session.reference("web", "v1"))
