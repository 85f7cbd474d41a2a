"""From errors and evidence to records."""

from __future__ import annotations

import pytest

from events.catalog import Failure
from events.catalog.base import FailureCause
from events.kernel.errors import InternalError, OutsideError, StagecraftError, UserError, Where
from events.kernel.redact import REDACT
from projections.converge.failures import (
    CONTAINER_EXITED,
    PORT_TAKEN,
    ServiceFailedError,
    failed_container,
    failure_of,
    told_by_engine,
)
from projections.engine.errors import COMPOSE_FAILED
from projections.engine.port import Container, ContainerDetail, ContainerState


def detail(state: ContainerState = "exited", *, health_output: str = "", error: str = "") -> ContainerDetail:
    container = Container(
        id="1", name="web", image="web:1", image_id="sha256:1", state=state, health="none", labels={}
    )
    return ContainerDetail(
        container=container,
        exit_code=3,
        restart_count=0,
        restart_policy="no",
        oom_killed=False,
        error=error,
        health_check=False,
        health_checked=False,
        health_output=health_output,
        health_failing_streak=0,
        health_budget_seconds=0.0,
    )


@pytest.mark.parametrize(
    ("kind", "cause"),
    [(UserError, "repository"), (OutsideError, "outside"), (InternalError, "internal")],
)
def test_the_class_of_an_error_says_who_can_mend_it(kind: type[StagecraftError], cause: FailureCause) -> None:
    error = kind(
        PORT_TAKEN, "taken", where=Where(file="c.yml", line=3, host="h", service="s"), why="w", next="n"
    )
    failure = failure_of(error)
    assert failure == Failure(
        code=PORT_TAKEN,
        message="taken",
        cause=cause,
        host="h",
        service="s",
        where="c.yml:3",
        why="w",
        next="n",
    )


def test_evidence_survives_the_way_through_an_error() -> None:
    failure = failed_container(
        CONTAINER_EXITED, "ended", host="h", service="s", detail=detail(), log_tail=("a", "b")
    )
    error = ServiceFailedError(failure)
    assert failure_of(error) is failure
    assert (error.where.service, error.why, failure.exit_code) == ("s", "b", 3)


def test_a_container_that_runs_has_no_exit_code() -> None:
    failure = failed_container(CONTAINER_EXITED, "m", host="h", service="s", detail=detail("running"))
    assert failure.exit_code is None


def test_secrets_and_control_sequences_never_reach_the_record() -> None:
    REDACT.learn("hunter2hunter2")
    one = detail(health_output="\x1b[31mpassword is hunter2hunter2", error="at hunter2hunter2")
    failure = failed_container(CONTAINER_EXITED, "m", host="h", service="s", detail=one)
    assert failure.health_output == "password is ***"
    assert failure.why == "at ***"


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        ("Bind for 0.0.0.0:80 failed: port is already allocated", OutsideError, "port-taken"),
        ("listen tcp4 0.0.0.0:80: bind: address already in use", OutsideError, "port-taken"),
        (
            'OCI runtime create failed: exec: "x": executable file not found',
            UserError,
            "container-not-started",
        ),
        ("exec /bin/x: exec format error", UserError, "container-not-started"),
        ("network pool is empty", OutsideError, "compose-failed"),
    ],
)
def test_the_engines_words_tell_what_did_not_start(
    words: str, kind: type[StagecraftError], code: str
) -> None:
    told = told_by_engine(OutsideError(COMPOSE_FAILED, "no", why=words), host="h", services=("web",))
    assert type(told) is kind
    assert (told.code, told.why) == (code, words)


def test_a_service_is_named_only_when_it_was_the_only_one() -> None:
    error = OutsideError(COMPOSE_FAILED, "no", why="port is already allocated")
    assert told_by_engine(error, host="h", services=("web",)).where.service == "web"
    assert told_by_engine(error, host="h", services=("web", "db")).where.service is None
