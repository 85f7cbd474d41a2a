"""The Docker adapter at its edges: addresses, deadlines, strange answers, logs, volumes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from events.kernel.errors import OutsideError
from events.kernel.redact import REDACT
from projections.engine.docker import DockerEngine
from projections.engine.docker_connection import Deadlines
from tests.integration.engine.canned import Answer, CannedEngine, canned_engine
from tests.integration.engine.conftest import Apps
from tests.support.engine import SOCKET
from tests.support.time import FakeClock

ID = "a" * 64
QUICK = Deadlines(
    answer_seconds=0.2, registry_seconds=0.2, pull_silence_seconds=0.2, pull_seconds=0.2, removal_seconds=0.2
)


def fails(engine: DockerEngine, call: Any) -> OutsideError:  # noqa: ANN401  # a coroutine
    with contextlib.closing(engine), pytest.raises(OutsideError) as caught:
        asyncio.run(call)
    return caught.value


def canned(engine: CannedEngine, tmp_path: Path, *, clock: FakeClock | None = None) -> DockerEngine:
    return DockerEngine(engine.address, tmp_path / "run", deadlines=QUICK, clock=clock)


def test_the_address_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/elsewhere.sock")
    engine = DockerEngine(None, tmp_path / "run")
    error = fails(engine, engine.identity())
    assert error.code == "engine-unreachable"
    assert "elsewhere.sock" in error.message
    assert "No such file" in error.why


def test_a_given_address_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: DockerClient
) -> None:
    assert engine.ping()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/elsewhere.sock")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with contextlib.closing(DockerEngine(f"unix://{SOCKET}", tmp_path / "run")) as docker:
        assert docker.local
        assert asyncio.run(docker.containers("nobody-has-this")) == []


def test_certificates_that_are_missing_make_the_engine_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "no-certificates"))
    engine = DockerEngine(None, tmp_path / "run")
    assert not engine.local
    assert fails(engine, engine.containers()).code == "engine-unreachable"


def test_an_engine_elsewhere_is_told_by_its_name_and_reached_over_tcp(
    tmp_path: Path, engine: DockerClient
) -> None:
    with _tcp_to(SOCKET) as address, contextlib.closing(DockerEngine(address, tmp_path / "run")) as docker:
        identity = asyncio.run(docker.identity())
    assert identity.machine == f"name:{engine.info()['Name']}"
    assert identity.engine == engine.info()["ID"]


def test_this_machine_is_told_by_its_machine_id(docker: DockerEngine) -> None:
    machine_id = Path("/etc/machine-id")
    identity = asyncio.run(docker.identity())
    if machine_id.exists() and machine_id.read_text().strip():
        assert identity.machine == machine_id.read_text().strip()
    else:
        assert identity.machine.startswith("name:")


def test_an_engine_that_hangs_is_unreachable_after_the_deadline(tmp_path: Path) -> None:
    never: list[Answer] = [(0, None)]
    with canned_engine(tmp_path, {"GET /containers/json": never}) as hanging:
        engine = canned(hanging, tmp_path)
        start = time.monotonic()
        error = fails(engine, engine.containers())
    assert error.code == "engine-unreachable"
    assert time.monotonic() - start < 5


def test_a_registry_that_hangs_is_unreachable_and_the_engine_is_not(tmp_path: Path) -> None:
    never: list[Answer] = [(0, None)]
    answers = {"GET /distribution/127.0.0.1:9/x:1/json": never, "POST /images/create": never}
    with canned_engine(tmp_path, answers) as hanging:
        for call in (DockerEngine.registry_digest, DockerEngine.pull):
            engine = canned(hanging, tmp_path)
            error = fails(engine, call(engine, "127.0.0.1:9/x:1"))
            assert error.code == "registry-unreachable"
            assert "0.2 s" in error.why


def test_an_engine_that_comes_back_is_asked_anew(tmp_path: Path) -> None:
    with contextlib.closing(DockerEngine(f"unix://{tmp_path}/canned.sock", tmp_path / "run")) as engine:
        with pytest.raises(OutsideError):
            asyncio.run(engine.containers())
        with canned_engine(tmp_path, {"GET /containers/json": [(200, [])]}) as first:
            first_answers = asyncio.run(engine.containers())
            assert first.asked == ["GET /version", "GET /containers/json"]
        (tmp_path / "canned.sock").unlink()
        with pytest.raises(OutsideError):
            asyncio.run(engine.containers())
        with canned_engine(tmp_path, {"GET /containers/json": [(200, [])]}) as second:
            assert asyncio.run(engine.containers()) == first_answers
            assert second.asked == ["GET /version", "GET /containers/json"]


def test_an_engines_refusal_keeps_its_words(tmp_path: Path) -> None:
    with canned_engine(tmp_path, {"GET /containers/json": [(500, {"message": "the disk is full"})]}) as full:
        engine = canned(full, tmp_path)
        error = fails(engine, engine.containers())
    assert (error.code, error.why) == ("engine-refused", "the disk is full")


def test_a_removal_that_others_began_is_waited_for(tmp_path: Path, clock: FakeClock) -> None:
    there: Answer = (200, {"Id": ID, "State": {"Status": "removing"}})
    answers: dict[str, list[Answer]] = {
        f"DELETE /containers/{ID}": [(409, {"message": "removal of container a is already in progress"})],
        f"GET /containers/{ID}/json": [there, there, (404, {"message": "No such container"})],
    }
    with (
        canned_engine(tmp_path, answers) as busy,
        contextlib.closing(canned(busy, tmp_path, clock=clock)) as engine,
    ):
        asyncio.run(engine.remove(ID))
        assert clock.slept == [0.02, 0.04]


def test_a_container_that_does_not_go_is_reported(tmp_path: Path, clock: FakeClock) -> None:
    answers: dict[str, list[Answer]] = {
        f"DELETE /containers/{ID}": [(409, {"message": "removal of container a is already in progress"})],
        f"GET /containers/{ID}/json": [(200, {"Id": ID, "State": {"Status": "removing"}})],
    }
    with canned_engine(tmp_path, answers) as busy:
        engine = canned(busy, tmp_path, clock=clock)
        error = fails(engine, engine.remove(ID))
    assert error.code == "engine-refused"
    assert sum(clock.slept) == pytest.approx(QUICK.removal_seconds)


def test_a_removal_that_is_refused_is_reported(tmp_path: Path) -> None:
    answers: dict[str, list[Answer]] = {f"DELETE /containers/{ID}": [(500, {"message": "device busy"})]}
    with canned_engine(tmp_path, answers) as busy:
        engine = canned(busy, tmp_path)
        assert fails(engine, engine.remove(ID)).why == "device busy"


def test_a_pull_that_leaves_nothing_is_reported(tmp_path: Path) -> None:
    with canned_engine(tmp_path, {"POST /images/create": [(200, ({"status": "Pulling"},))]}) as empty:
        engine = canned(empty, tmp_path)
        error = fails(engine, engine.pull("127.0.0.1:9/x:1"))
    assert error.code == "engine-refused"
    assert "127.0.0.1:9/x:1" in error.message


def test_a_pull_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    progress: Answer = (200, ({"status": "Downloading"}, None))
    with canned_engine(tmp_path, {"POST /images/create": [progress]}) as silent:
        engine = canned(silent, tmp_path)
        error = fails(engine, engine.pull("127.0.0.1:9/x:1"))
    assert (error.code, error.why) == ("registry-unreachable", "nothing was heard for 0.2 s")


def test_an_error_in_the_progress_of_a_pull_is_raised(tmp_path: Path) -> None:
    progress: Answer = (200, ({"status": "Pulling"}, {"error": "manifest unknown"}))
    with canned_engine(tmp_path, {"POST /images/create": [progress]}) as other:
        engine = canned(other, tmp_path)
        assert fails(engine, engine.pull("127.0.0.1:9/x:1")).code == "image-not-found"


def test_a_pull_has_a_deadline_as_a_whole(tmp_path: Path) -> None:
    class ImpatientClock(FakeClock):
        def monotonic(self) -> float:
            self.advance(1)
            return super().monotonic()

    progress: Answer = (200, ({"status": "Downloading"}, {"status": "Downloading"}))
    with canned_engine(tmp_path, {"POST /images/create": [progress]}) as slow:
        engine = canned(slow, tmp_path, clock=ImpatientClock())
        error = fails(engine, engine.pull("127.0.0.1:9/x:1"))
    assert (error.code, error.why) == ("registry-unreachable", "it was not complete after 0.2 s")


def test_waiting_polls_ever_slower_up_to_half_a_second(tmp_path: Path, clock: FakeClock) -> None:
    running: Answer = (200, {"Id": ID, "State": {"Status": "running"}})
    exited: Answer = (200, {"Id": ID, "State": {"Status": "exited", "ExitCode": 7}})
    answers: dict[str, list[Answer]] = {f"GET /containers/{ID}/json": [*[running] * 8, exited]}
    with (
        canned_engine(tmp_path, answers) as working,
        contextlib.closing(canned(working, tmp_path, clock=clock)) as engine,
    ):
        assert asyncio.run(engine.wait(ID, deadline_seconds=60)) == 7
    assert clock.slept == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5, 0.5]


def test_a_wait_can_be_cancelled(docker: DockerEngine, apps: Apps) -> None:
    async def run() -> None:
        await docker.up(apps(web={}), ["web"])
        container = (await apps.found(docker))["web-1"]
        waiting = asyncio.create_task(docker.wait(container.id, deadline_seconds=600))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, timeout=2)

    asyncio.run(run())


def test_log_lines_are_masked_and_bounded(docker: DockerEngine, apps: Apps) -> None:
    REDACT.learn("correct-horse-battery")
    script = (
        "echo '  password is correct-horse-battery'; printf '\\033[31mred\\033[0m\\n'; "
        "i=0; while [ $i -lt 100 ]; do printf 0123456789; i=$((i+1)); done"
    )

    async def run() -> tuple[str, ...]:
        container = await docker.run_job(
            apps(job={"command": ["sh", "-c", script.replace("$", "$$")]}), "job"
        )
        assert await docker.wait(container, deadline_seconds=10) == 0
        return await docker.logs(container, tail=10)

    first, second, third = asyncio.run(run())
    assert first == "  password is ***"
    assert second == "red"
    assert len(third) == 500


def test_a_log_that_cannot_be_read_says_so(docker: DockerEngine, apps: Apps) -> None:
    async def run() -> tuple[str, ...]:
        container = await docker.run_job(
            apps(job={"command": ["true"], "logging": {"driver": "none"}}), "job"
        )
        await docker.wait(container, deadline_seconds=10)
        return await docker.logs(container, tail=10)

    (line,) = asyncio.run(run())
    assert "does not support reading" in line


def test_a_log_that_is_refused_is_an_error(tmp_path: Path) -> None:
    answers: dict[str, list[Answer]] = {
        f"GET /containers/{ID}/json": [(200, {"Id": ID, "Config": {"Tty": True}})],
        f"GET /containers/{ID}/logs": [(500, {"message": "unexpected end of file"})],
    }
    with canned_engine(tmp_path, answers) as broken:
        engine = canned(broken, tmp_path)
        assert fails(engine, engine.logs(ID, tail=3)).why == "unexpected end of file"


def test_stopping_waits_for_the_containers_own_grace_period(
    docker: DockerEngine, apps: Apps, tmp_path: Path
) -> None:
    stubborn = {
        "command": ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"],
        "stop_grace_period": "2s",
    }
    impatient = DockerEngine(None, tmp_path / "other-run", deadlines=Deadlines(answer_seconds=1.0))

    async def run() -> int:
        await docker.up(apps(web=stubborn), ["web"])
        container = (await apps.found(docker))["web-1"]
        await impatient.stop(container.id)
        detail = await docker.inspect(container.id)
        assert detail is not None
        return detail.exit_code

    with contextlib.closing(impatient):
        assert asyncio.run(run()) == 137


def test_removing_takes_anonymous_volumes_and_leaves_named_ones(
    docker: DockerEngine, apps: Apps, engine: DockerClient
) -> None:
    mounts = [
        {"type": "volume", "source": "data", "target": "/data"},
        {"type": "volume", "target": "/anonymous"},
    ]
    name = f"{apps.compose_project}_data"

    def volumes(container: str) -> dict[str, str]:
        return {m["Destination"]: m["Name"] for m in engine.containers.get(container).attrs["Mounts"]}

    async def run() -> None:
        await docker.up(apps({"volumes": {"data": {}}}, web={"volumes": mounts}), ["web"])
        container = (await apps.found(docker))["web-1"]
        mounted = volumes(container.id)
        assert mounted["/data"] == name
        await docker.remove(container.id)
        left = {volume.name for volume in engine.volumes.list()}
        assert name in left
        assert mounted["/anonymous"] not in left

    asyncio.run(run())


@contextlib.contextmanager
def _tcp_to(path: Path) -> Any:  # noqa: ANN401  # a context manager
    """`tcp://…` of a port that leads to a local socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_forward, args=(server, path), daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _forward(server: socket.socket, path: Path) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(str(path))
            for source, target in ((client, engine), (engine, client)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
