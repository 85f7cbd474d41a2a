"""The fence: whoever was taken over does nothing more on the host, and looking leaves no trace."""

from __future__ import annotations

import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import StagecraftError
from events.manifest import Manifest
from events.recorder import Recorder
from events.tokens import Tenure
from projections.converge.fence import FencedEngine, Mark, decode_mark
from projections.converge.site import Site
from projections.converge.work import Verdict
from projections.engine.port import Engine
from tests.crash.tape import LOOKING
from tests.unit.projections.converge.scene import (
    ENVIRONMENT,
    LINEAGE,
    PROJECT,
    STREAM,
    Scene,
    Spec,
    identity_labels,
    manifest_of,
)

TITLE = f"{PROJECT}/{ENVIRONMENT}"


def path_of(scene: Scene) -> Path:
    return scene.root / "local" / "apps" / PROJECT / ENVIRONMENT / "fence"


def put(scene: Scene, content: bytes) -> None:
    path_of(scene).parent.mkdir(parents=True, exist_ok=True)
    path_of(scene).write_bytes(content)


def under(scene: Scene, tenure: Tenure) -> Recorder:
    recorder = scene.recorder()
    recorder.tenure = tenure
    return recorder


def begin(scene: Scene) -> Tenure:
    return Tenure.begin(scene.log, TITLE)


def deploy(scene: Scene, tenure: Tenure, manifest: Manifest | None = None) -> Verdict:
    work = scene.work(manifest or manifest_of(web=Spec()))
    return asyncio.run(scene.converger.run_release(work, recorder=under(scene, tenure)))


def fenced_site(scene: Scene, tenure: Tenure) -> Site:
    return scene.site.fenced(tenure)


def check(scene: Scene, tenure: Tenure) -> None:
    asyncio.run(fenced_site(scene, tenure).pass_fence())


def refused(scene: Scene, tenure: Tenure) -> StagecraftError:
    with pytest.raises(StagecraftError) as caught:
        check(scene, tenure)
    return caught.value


def test_a_release_raises_the_fence_to_its_token(scene: Scene) -> None:
    tenure = begin(scene)
    assert deploy(scene, tenure).status == "completed"
    assert json.loads(path_of(scene).read_bytes()) == {"format": 1, "lineage": LINEAGE, "token": 1}
    deploy(scene, begin(scene), manifest_of(web=Spec(image="web:2")))
    assert json.loads(path_of(scene).read_bytes())["token"] == 2


def test_the_fence_stands_before_the_first_operation(scene: Scene) -> None:
    seen: list[tuple[str, bool]] = []
    scene.engine.before = lambda call, _: seen.append((call, path_of(scene).exists()))
    deploy(scene, begin(scene))
    changing = [(call, there) for call, there in seen if call not in LOOKING]
    assert changing
    assert all(there for _, there in changing)


def test_an_idle_pass_writes_neither_fence_nor_token(scene: Scene) -> None:
    manifest = manifest_of(web=Spec())
    scene.deploy(manifest)
    tenure = begin(scene)
    healed = asyncio.run(scene.converger.heal(manifest, release="rel-1", recorder=under(scene, tenure)))
    assert not healed
    assert not path_of(scene).exists()
    assert scene.log.newest_token(TITLE) == 0


def test_a_higher_token_of_our_log_refuses_and_the_file_stays(scene: Scene) -> None:
    put(scene, content := Mark(lineage=LINEAGE, token=9).encode())
    error = refused(scene, begin(scene))
    assert error.code == "fenced-off"
    assert "token 9, the one of this process is 1" in error.why
    assert path_of(scene).read_bytes() == content


def test_a_release_that_was_fenced_off_calls_no_operation_and_gives_no_verdict(scene: Scene) -> None:
    put(scene, Mark(lineage=LINEAGE, token=9).encode())
    with pytest.raises(StagecraftError) as caught:
        deploy(scene, begin(scene))
    assert caught.value.code == "fenced-off"
    assert {call for call, _ in scene.engine.calls} <= LOOKING
    assert scene.types(STREAM) == ["ReleaseStarted"]


def ending(scene: Scene, tenure: Tenure) -> str:
    try:
        return deploy(scene, tenure, manifest_of(web=Spec(), db=Spec(image="db:1"))).status
    except StagecraftError as error:
        return error.code


def test_a_holder_that_is_taken_over_at_any_call_does_no_further_operation_or_append(tmp_path: Path) -> None:
    """The other one has only drawn its token: the host's file does not say it yet."""
    for number in range(1000):
        scene = Scene(root=tmp_path / str(number))
        scene.have("web:1", "web:2", "db:1", "db:2")
        deploy(scene, begin(scene), manifest_of(web=Spec(image="web:2"), gone=Spec(image="db:2")))
        scene.engine.calls.clear()
        heads: list[int] = []

        def take_over(
            _name: str, _argument: str, scene: Scene = scene, number: int = number, heads: list[int] = heads
        ) -> None:
            if len(scene.engine.calls) == number + 1 and not heads:
                Tenure.begin(scene.log, TITLE).token()
                heads.append(scene.log.head())

        tenure = begin(scene)
        tenure.token()
        scene.engine.before = take_over
        ended = ending(scene, tenure)
        if not heads:
            assert (ended, number > 10) == ("completed", True)
            return
        after = [name for name, _ in scene.engine.calls[number + 1 :]]
        assert ended == "lock-lost", number
        assert set(after) <= LOOKING, number
        assert scene.log.head() == heads[0], number


def test_a_fence_of_another_log_without_containers_is_replaced(scene: Scene) -> None:
    put(scene, Mark(lineage="other", token=9).encode())
    check(scene, begin(scene))
    assert decode_mark(path_of(scene).read_bytes()) == Mark(lineage=LINEAGE, token=1)
    assert any("log other" in line for line in scene.told)


def test_a_fence_of_another_log_counts_while_its_containers_exist(scene: Scene) -> None:
    put(scene, content := Mark(lineage="other", token=1).encode())
    scene.engine.add(
        "theirs", found=identity_labels(PROJECT, ENVIRONMENT, "web", log="other", compose_project="else")
    )
    error = refused(scene, begin(scene))
    assert error.code == "container-not-ours"
    assert "of the log other" in error.why
    assert path_of(scene).read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"format": 1, "lineage": "", "token": 3}',
        b'{"format": 1, "lineage": "lineage-1", "token": true}',
        b'{"format": 1, "lineage": "lineage-1", "token": 0}',
        b'{"lineage": "lineage-1", "token": 3}',
    ],
)
def test_a_damaged_fence_is_written_anew_and_said(scene: Scene, content: bytes) -> None:
    put(scene, content)
    assert deploy(scene, begin(scene)).status == "completed"
    assert decode_mark(path_of(scene).read_bytes()) == Mark(lineage=LINEAGE, token=1)
    assert any("fence was damaged" in line for line in scene.told)


def test_a_fence_of_a_newer_stagecraft_is_not_touched(scene: Scene) -> None:
    put(scene, content := Mark(lineage=LINEAGE, token=1, format=2).encode())
    error = refused(scene, begin(scene))
    assert (error.code, path_of(scene).read_bytes()) == ("fence-unusable", content)


def test_a_fence_that_cannot_be_read_or_written_refuses(scene: Scene) -> None:
    path_of(scene).mkdir(parents=True)
    assert refused(scene, begin(scene)).code == "fence-unusable"
    path_of(scene).rmdir()
    path_of(scene).parent.rmdir()
    path_of(scene).parent.write_text("in the way")
    assert refused(scene, begin(scene)).code == "fence-unusable"


def test_every_call_of_the_port_is_either_looking_or_passes_the_fence(scene: Scene) -> None:
    calls = {name for name, _ in inspect.getmembers(Engine, inspect.isfunction) if not name.startswith("_")}
    put(scene, Mark(lineage=LINEAGE, token=9).encode())
    engine = fenced_site(scene, begin(scene)).engine
    assert isinstance(engine, FencedEngine)
    arguments: dict[str, Any] = {"tail": 1, "deadline_seconds": 1.0}
    for name in sorted(calls - LOOKING):
        parameters = list(inspect.signature(getattr(engine, name)).parameters)
        given = {key: arguments[key] for key in parameters if key in arguments}
        with pytest.raises(StagecraftError) as caught:
            asyncio.run(getattr(engine, name)(*[""] * (len(parameters) - len(given)), **given))
        assert caught.value.code == "fenced-off", name
    assert calls >= LOOKING
    assert scene.engine.calls == []
