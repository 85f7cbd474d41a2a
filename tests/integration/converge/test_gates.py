"""Gates on a real engine: who is asked, who is watched on, and what a failed one leaves."""

from __future__ import annotations

import time

import pytest

from events.manifest import CommandProbe, Gate, HttpProbe, Probes, TcpProbe, Watch
from projections.converge.work import Verdict
from tests.integration.converge.conftest import Spec, Stage
from tests.support.images import HealthCheck

SECONDS = 60.0  # until a gate gives up on what passes in a second on a quiet machine
LATE_CHECK = HealthCheck(("/bin/true",), interval_seconds=1000.0)
FOR_EVER = "while :; do sleep 1; done"


def page(path: str = "/") -> HttpProbe:
    return HttpProbe(port=8080, path=path, first_status=200, last_status=299)


def gate(
    *,
    deadline_seconds: float = SECONDS,
    watch: Watch | None = None,
    settle_seconds: float = 0.3,
    **probes: object,
) -> Gate:
    return Gate(
        settle_seconds=settle_seconds,
        deadline_seconds=deadline_seconds,
        probes=Probes.model_validate({"timeout_seconds": 10.0, **probes}) if probes else None,
        watch=watch,
    )


def scripted(stage: Stage, name: str, *lines: str, health: HealthCheck | None = None) -> Spec:
    """A service that does what a script says."""
    script = "\n".join(("#!/bin/sh", "trap 'exit 0' TERM", *lines, ""))
    image = stage.images.make(name, "v1", command=["/bin/run"], files={"bin/run": script}, health=health)
    return Spec(image=image)


def with_gate(spec: Spec, chosen: Gate) -> Spec:
    return Spec(image=spec.image, gate=chosen, more=spec.more)


def deploy(stage: Stage, **specs: Spec) -> Verdict:
    return stage.deploy(stage.manifest(specs))


def test_an_answer_counts_long_before_the_first_health_check(stage: Stage) -> None:
    late = stage.images.web(health=LATE_CHECK)
    asked = Spec(
        image=late,
        gate=gate(http=page(), tcp=TcpProbe(port=8080), command=CommandProbe(command=("test", "-e", "/www"))),
    )
    began = time.monotonic()
    assert deploy(stage, web=asked).status == "completed"
    assert time.monotonic() - began < SECONDS


def test_a_bad_answer_brings_the_former_version_back(stage: Stage) -> None:
    first = stage.manifest({"web": Spec(image=stage.images.web("v1"), gate=gate(http=page()))})
    assert stage.deploy(first).status == "completed"
    before = stage.project.ids()
    bad = Spec(image=stage.images.web("v2"), gate=gate(http=page("/alive"), deadline_seconds=2.0))
    verdict = stage.deploy(stage.manifest({"web": bad}), first)
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.code == "container-not-healthy-in-time"
    assert verdict.failure.why.startswith("GET http://localhost:8080/alive answered 404 Not Found: ")
    assert stage.heal(first) is False
    assert stage.project.ids() == before  # the former version was never touched


@pytest.mark.parametrize(
    ("lines", "health", "silent_of", "code"),
    [
        (("sleep 1.5", "exit 1"), None, (), "container-exited"),
        (
            (": >/good", "sleep 2", "/bin/busybox rm /good", FOR_EVER),
            HealthCheck(("/bin/test", "-e", "/good"), interval_seconds=0.1, retries=1),
            (),
            "container-unhealthy",
        ),
        (
            (
                "echo FATAL: too early to count",
                "sleep 1",
                ": >/up",
                "sleep 2",
                "echo FATAL: no cheese",
                FOR_EVER,
            ),
            None,
            ("FATAL",),
            "log-not-silent",
        ),
    ],
)
def test_what_goes_wrong_after_it_was_up_is_found_by_the_watch(
    stage: Stage, lines: tuple[str, ...], health: HealthCheck | None, silent_of: tuple[str, ...], code: str
) -> None:
    spec = scripted(stage, "fickle", *lines, health=health)
    on = Watch(seconds=SECONDS, silent_of=silent_of)
    ready = CommandProbe(command=("test", "-e", "/up"))
    watching = gate(watch=on, command=ready) if silent_of else gate(watch=on)
    verdict = deploy(stage, web=with_gate(spec, watching))
    assert verdict.failure is not None
    assert verdict.failure.code == code
    if silent_of:
        assert verdict.failure.why == "FATAL: no cheese"


def test_checks_that_fail_in_the_start_period_do_not_count(stage: Stage) -> None:
    check = HealthCheck(
        ("/bin/test", "-e", "/good"), interval_seconds=0.1, retries=1, start_period_seconds=SECONDS
    )
    spec = scripted(stage, "slow", "sleep 1.5", ": >/good", FOR_EVER, health=check)
    assert deploy(stage, web=with_gate(spec, gate())).status == "completed"


def test_a_container_that_loses_its_memory_is_called_so(stage: Stage) -> None:
    spec = scripted(stage, "hungry", "sleep 0.5", "exec /bin/busybox tail /dev/zero")
    hungry = Spec(
        image=spec.image,
        gate=gate(watch=Watch(seconds=SECONDS)),
        more={"mem_limit": "16777216", "memswap_limit": "16777216"},
    )
    verdict = deploy(stage, web=hungry)
    assert verdict.failure is not None
    assert verdict.failure.code == "container-out-of-memory"
