"""Everything that goes wrong with a new version, one after the other against one deployment.

The first version answers again, or still, after each of them; what happened is told on one screen with the
next step. The module runs under another language setting, for no verdict may hang on somebody's words.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from cli.console import Console
from cli.verdicts import report
from events.catalog import Failure
from events.catalog.environment import EnvironmentHeld
from events.catalog.release import ReleaseFailed
from events.manifest import Gate, HttpProbe, Job, Manifest, Probes, Watch
from projections.converge.work import Verdict
from tests.integration.converge.conftest import GATE, Spec, Stage, one_stage, says
from tests.support.cleanup import project_of_one_test
from tests.support.images import HealthCheck, TestImages
from tests.support.processes import free_port

SCREEN_LINES = 24
LONG_SECONDS = 60.0  # for what passes in a second on a quiet machine
FOR_EVER = "while :; do sleep 1; done"
FOREIGN = ("LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE")

Specs = dict[str, Spec]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What runs: a web with a fixed port, which is replaced in its place, and a worker with a volume."""

    stage: Stage
    port: int
    specs: Specs
    manifest: Manifest

    def web(self, image: str, **more: Any) -> Spec:  # noqa: ANN401  # as Compose has it
        """Another web in the same place."""
        return replace(self.specs["web"], image=image, more={**self.specs["web"].more, **more})

    def of(
        self,
        specs: Mapping[str, Spec],
        *,
        volume: Mapping[str, Any] | None = None,
        networks: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """The deployed Manifest with these services in place of those of the same name."""
        data = {"name": f"{self.stage.compose_project}_data", **(volume or {})}
        volumes = {"data": data, "busy": {"name": self.busy, "external": True}}
        return self.stage.manifest({**self.specs, **specs}, volumes=volumes, networks=networks)

    @property
    def busy(self) -> str:
        """The name of a volume that only a person makes."""
        return f"{self.stage.project.name}-by-hand_busy"

    def script(self, name: str, *lines: str, health: HealthCheck | None = None) -> Spec:
        """A web that does what a script says."""
        text = "\n".join(("#!/bin/sh", "trap 'exit 0' TERM", *lines, ""))
        image = self.stage.images.make(
            name, "v2", command=["/bin/run"], files={"bin/run": text}, health=health
        )
        return self.web(image)

    def broken(self, **more: Any) -> Spec:  # noqa: ANN401  # as Compose has it
        """The web that runs with other keys."""
        return self.web(self.specs["web"].image, **more)


@pytest.fixture(scope="module")
def deployed(
    engine: DockerClient, images: TestImages, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Deployed]:
    with pytest.MonkeyPatch.context() as patch:
        for name in FOREIGN:
            patch.setenv(name, "de_DE.UTF-8")
        for project in project_of_one_test(engine):
            for stage in one_stage(project, images, tmp_path_factory.mktemp("failures")):
                yield _deployed(stage)


def _deployed(stage: Stage) -> Deployed:
    port = free_port()
    ports = {"ports": [{"mode": "ingress", "target": 8080, "published": str(port), "protocol": "tcp"}]}
    data = {"volumes": [{"type": "volume", "source": "data", "target": "/data"}]}
    specs = {
        "web": Spec(image=stage.images.web("v1"), more=ports),
        "worker": Spec(image=stage.images.web("v1", name="worker"), more=data),
    }
    shell = Deployed(stage=stage, port=port, specs=specs, manifest=stage.manifest(specs))
    first = replace(shell, manifest=shell.of({}))
    verdict = stage.deploy(first.manifest)
    assert verdict.status == "completed", verdict.failure
    (worker,) = _containers(stage, "worker")
    assert worker.exec_run(["sh", "-c", "echo precious >/data/file"]).exit_code == 0
    return first


def _containers(stage: Stage, service: str) -> list[Any]:
    found = stage.project.containers()
    return [one for one in found if one.labels["com.docker.compose.service"] == service]


def taken_back(deployed: Deployed, bad: Manifest, capsys: pytest.CaptureFixture[str]) -> Failure:
    """Deploy it; everything that must be so after any failure is looked at here."""
    stage = deployed.stage
    before = stage.project.ids()
    verdict = stage.deploy(bad, deployed.manifest)
    assert verdict.status == "rolled_back", verdict.failure
    assert says(deployed.port) == "web v1"
    after = stage.project.ids()
    assert after["worker"] == before["worker"], "what the change did not name was touched"
    assert {name: len(ids) for name, ids in after.items()} == {"web": 1, "worker": 1}
    (worker,) = _containers(stage, "worker")
    assert worker.exec_run(["cat", "/data/file"]).output == b"precious\n"
    assert stage.types()[-2:] == ["ReleaseRolledBack", "EnvironmentHeld"]
    assert stage.heal(deployed.manifest) is False
    return on_one_screen(verdict, capsys)


def on_one_screen(verdict: Verdict, capsys: pytest.CaptureFixture[str]) -> Failure:
    """What a person sees of it; the failure."""
    assert verdict.failure is not None
    capsys.readouterr()
    assert report(Console(), "shop/prod", verdict) != 0
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).splitlines()
    assert len(lines) <= SCREEN_LINES
    assert "completed" not in printed.out
    assert any(line.startswith("  next: ") for line in lines)
    assert verdict.failure.service is None or any(verdict.failure.service in line for line in lines)
    return verdict.failure


def _waiting_for_job(deployed: Deployed) -> Specs:
    crash = deployed.stage.images.crashing(name="migrate", code=4, line="no such table")
    web = replace(
        deployed.web(deployed.stage.images.web("v2")),
        waits_for={"migrate": "service_completed_successfully"},
    )
    return {"web": web, "migrate": Spec(image=crash, job=Job())}


def _crashing(deployed: Deployed, **more: Any) -> Specs:  # noqa: ANN401  # as Compose has it
    return {"web": deployed.web(deployed.stage.images.crashing("v2"), **more)}


def _hungry(deployed: Deployed) -> Specs:
    spec = deployed.script("hungry", "exec /bin/busybox tail /dev/zero")
    limits = {"mem_limit": "16777216", "memswap_limit": "16777216"}
    return {"web": replace(spec, gate=_watched(), more={**spec.more, **limits})}


def _watched(seconds: float = LONG_SECONDS) -> Gate:
    return GATE.model_copy(update={"watch": Watch(seconds=seconds)})


def _later(deployed: Deployed, seconds: float) -> Specs:
    spec = deployed.script("later", "echo all is well", f"sleep {seconds}", "echo out of luck", "exit 5")
    return {"web": replace(spec, gate=_watched())}


def _sick_later(deployed: Deployed) -> Specs:
    check = HealthCheck(("/bin/test", "-e", "/good"), interval_seconds=0.1, retries=1)
    spec = deployed.script("fickle", ": >/good", "sleep 1", "/bin/busybox rm /good", FOR_EVER, health=check)
    return {"web": replace(spec, gate=_watched())}


def _too_slow(deployed: Deployed) -> Specs:
    """Good after a minute, when its start period is long over."""
    check = HealthCheck(
        ("/bin/sh", "-c", "test -e /good || { echo not yet; exit 1; }"),
        interval_seconds=0.1,
        retries=2,
        start_period_seconds=1.0,
    )
    return {"web": deployed.script("slow", "sleep 60", ": >/good", FOR_EVER, health=check)}


def _deaf(deployed: Deployed) -> Specs:
    """No health check, and nothing listens: only a question tells."""
    page = HttpProbe(port=8080, path="/", first_status=200, last_status=299)
    gate = Gate(settle_seconds=0.3, deadline_seconds=2.0, probes=Probes(timeout_seconds=1.0, http=page))
    return {"web": replace(deployed.script("deaf", "echo starting", FOR_EVER), gate=gate)}


def _no_checker(deployed: Deployed) -> Specs:
    check = HealthCheck(("/bin/curl", "http://127.0.0.1:8080"), interval_seconds=0.1, retries=2)
    return {"web": deployed.web(deployed.stage.images.web("v2", name="unchecked", health=check))}


@dataclass(frozen=True)
class Case:
    """A failure: the services that bring it, its code, and a word that its screen must have."""

    name: str
    specs: Callable[[Deployed], Specs]
    code: str
    says: str
    keeps: str | None = None  # a line of the log that is kept; None: there was no container of its own


CASES = (
    Case("a job that fails", _waiting_for_job, "job-failed", "no such table", "no such table"),
    Case("an exit at once", _crashing, "container-exited", "cannot open the database"),
    Case(
        "a crash loop",
        lambda one: _crashing(one, restart="always"),
        "container-restarting",
        "cannot open the database",
        "cannot open the database",
    ),
    Case("a bad image", lambda one: {"web": one.web(one.stage.images.absent())}, "image-not-found", "absent"),
    Case(
        "an entrypoint that is not there",
        lambda one: {"web": one.broken(entrypoint=["/no/such/program"])},
        "container-not-started",
        "/no/such/program",
    ),
    Case(
        "an entrypoint that cannot be run",
        lambda one: {"web": one.broken(entrypoint=["/www/index.html/"])},
        "container-not-started",
        "/www/index.html",
    ),
    Case("healthy and then unhealthy", _sick_later, "container-unhealthy", "health check failed"),
    Case("a health check without its program", _no_checker, "container-unhealthy", "/bin/curl"),
    Case("nobody listens and nothing checks", _deaf, "container-not-healthy-in-time", "GET http://"),
    Case("slower than its start period", _too_slow, "container-unhealthy", "not yet"),
    Case("out of memory", _hungry, "container-out-of-memory", "more memory than it may"),
    Case("an exit after 8 s", lambda one: _later(one, 8), "container-exited", "out of luck", "all is well"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_the_former_version_answers_after(
    deployed: Deployed, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = taken_back(deployed, deployed.of(case.specs(deployed)), capsys)
    assert failure.code == case.code
    told = (failure.message, failure.why, failure.health_output, *failure.log_tail)
    assert any(case.says in text for text in told), told
    if case.keeps is not None:
        (kept,) = deployed.stage.kept.of_release(_release_of(failure))
        assert case.keeps in kept.log
        assert (kept.container, kept.code) == (failure.container, case.code)


def _release_of(failure: Failure) -> str:
    return Path(failure.kept).name.partition(".")[0]


def test_a_changed_option_of_a_volume_is_refused_and_nothing_is_touched(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    before = deployed.stage.project.ids()
    web = deployed.web(deployed.stage.images.web("v2"))
    options = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}}
    failure = taken_back(deployed, deployed.of({"web": web}, volume=options), capsys)
    assert (failure.code, failure.cause) == ("volume-would-be-deleted", "repository")
    assert deployed.stage.project.ids() == before


def test_a_network_that_is_not_there_is_found_before_anything_is_touched(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    before = deployed.stage.project.ids()
    name = f"{deployed.stage.project.name}-nobody-made-it"
    web = deployed.web(deployed.stage.images.web("v2"), networks={"default": None, "gone": None})
    networks = {
        "default": {"name": f"{deployed.stage.compose_project}_default"},
        "gone": {"name": name, "external": True},
    }
    failure = taken_back(deployed, deployed.of({"web": web}, networks=networks), capsys)
    assert name in f"{failure.message} {failure.why}"
    assert deployed.stage.project.ids() == before


def test_a_volume_that_somebody_else_keeps_busy_fails_the_new_version_alone(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = deployed.stage
    labels = {"com.docker.compose.project": f"{stage.project.name}-by-hand"}  # by which it is cleaned up
    stage.project.client.volumes.create(deployed.busy, labels=labels)
    mount = {"volumes": [{"type": "volume", "source": "busy", "target": "/busy"}]}
    other = stage.project.client.containers.run(
        deployed.specs["web"].image,
        ["sh", "-c", "/bin/busybox mkdir /busy/lock; sleep 1000"],
        volumes={deployed.busy: {"bind": "/busy", "mode": "rw"}},
        detach=True,
    )
    spec = deployed.script(
        "locking", "/bin/busybox mkdir /busy/lock || { echo the data are locked; exit 9; }", FOR_EVER
    )
    wanted = deployed.of({"web": replace(spec, more={**spec.more, **mount})})
    try:
        failure = taken_back(deployed, wanted, capsys)
    finally:
        other.remove(force=True)
    assert (failure.code, failure.exit_code) == ("container-exited", 9)
    assert "the data are locked" in failure.log_tail


def test_a_way_back_that_fails_says_so_stops_and_holds(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody removes the former version's image while the new one is waited for."""
    stage, client = deployed.stage, deployed.stage.project.client
    image = deployed.specs["web"].image
    image_id = stage.image_id(image)

    def remove_image(line: str) -> None:
        if line.endswith("bring back the former version"):
            for tag in client.images.get(image_id).tags:
                client.images.remove(tag, force=True)

    bad = deployed.of({"web": deployed.web(stage.images.crashing("v2"))})
    stage.meanwhile = remove_image
    try:
        verdict = stage.deploy(bad, deployed.manifest)
    finally:
        stage.meanwhile = lambda _line: None
    assert verdict.status == "failed"
    failure = on_one_screen(verdict, capsys)
    assert failure.code == "compensation-failed"
    assert failure.message.startswith("the container ended with exit code 3; and the way back failed: ")
    assert failure.log_tail == ("cannot open the database",)
    failed, held = stage.events(stage.stream)[-2:]
    assert isinstance(failed, ReleaseFailed)
    assert isinstance(held, EnvironmentHeld)
    assert held.target == deployed.manifest.digest
    assert stage.project.ids().keys() == {"worker"}
    (kept,) = stage.kept.of_release(verdict.release)
    assert kept.log == ("cannot open the database",)
    assert stage.images.web("v1") == image
    assert stage.heal(deployed.manifest) is True
    assert says(deployed.port) == "web v1"


Hand = Callable[[Deployed], None]


def _newest(deployed: Deployed) -> Any:  # noqa: ANN401  # the SDK's
    """The web that the Release made."""
    return _containers(deployed.stage, "web")[-1]


def _disconnects_all(deployed: Deployed) -> None:
    """A person takes the network from below all containers."""
    (network,) = deployed.stage.project.networks()
    for one in deployed.stage.project.containers():
        network.disconnect(one, force=True)
    network.remove()


def _adds_a_replica(deployed: Deployed) -> None:
    """A person makes one more container with the labels of the new one."""
    one = _newest(deployed)
    one.client.containers.run(
        one.image.id, name=f"{deployed.stage.compose_project}-web-7", labels=one.labels, detach=True
    )


ENDINGS: Mapping[str, tuple[Hand, str]] = {
    "stops-the-new-one": (lambda one: _newest(one).stop(timeout=1), "container-exited"),
    "kills-the-new-one": (lambda one: _newest(one).kill(), "container-exited"),
    "removes-the-new-one": (lambda one: _newest(one).remove(force=True), "container-gone"),
}
BESIDES: Mapping[str, Hand] = {
    "edits-it": lambda one: _newest(one).update(restart_policy={"Name": "always"}),
    "adds-another": _adds_a_replica,
    "kills-a-neighbour": lambda one: _containers(one.stage, "worker")[0].kill(),
    "removes-a-neighbour": lambda one: _containers(one.stage, "worker")[0].remove(force=True),
    "takes-the-network-away": _disconnects_all,
}


@pytest.mark.parametrize(("hand", "code"), ENDINGS.values(), ids=ENDINGS)
def test_a_person_who_ends_the_new_version_in_the_middle_gets_the_former_one(
    deployed: Deployed, hand: Hand, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = _with_a_hand(deployed, hand, lambda wanted: taken_back(deployed, wanted, capsys))
    assert failure.code == code


@pytest.mark.parametrize("hand", BESIDES.values(), ids=BESIDES)
def test_what_a_person_does_beside_the_new_version_ends_in_one_whole_version(
    deployed: Deployed, hand: Hand
) -> None:
    stage = deployed.stage

    def deploy(wanted: Manifest) -> Manifest:
        verdict = stage.deploy(wanted, deployed.manifest)
        assert verdict.status == "completed", verdict.failure
        return wanted

    wanted = _with_a_hand(deployed, hand, deploy)
    stage.heal(wanted)
    assert stage.heal(wanted) is False
    assert {name: len(ids) for name, ids in stage.project.ids().items()} == {"web": 1, "worker": 1}
    assert says(deployed.port) == "web v2"
    assert stage.deploy(deployed.manifest, wanted).status == "completed"
    assert says(deployed.port) == "web v1"


def _with_a_hand(deployed: Deployed, hand: Hand, run: Callable[[Manifest], Any]) -> Any:  # noqa: ANN401  # whatever `run` answers
    """Run with a new web, and do what a person does as soon as its gate waits."""
    stage, done = deployed.stage, list[str]()

    def meanwhile(line: str) -> None:
        if line.endswith(": wait for web") and not done:
            done.append(line)
            hand(deployed)

    stage.meanwhile = meanwhile
    try:
        found = run(deployed.of({"web": deployed.web(stage.images.web("v2"))}))
    finally:
        stage.meanwhile = lambda _line: None
    assert done, "the person never came"
    return found
