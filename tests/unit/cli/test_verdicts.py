"""The end of a Release on one screen."""

from __future__ import annotations

import pytest

from cli.console import Console
from cli.verdicts import report
from events.catalog import Failure
from events.catalog.release import TrafficProof
from projections.converge.work import Verdict

SCREEN_LINES = 24


def failed(**more: object) -> Verdict:
    failure = Failure.model_validate(
        {
            "code": "container-not-healthy-in-time",
            "message": "the container had not passed its probes after 5 s",
            "cause": "repository",
            "host": "local",
            "service": "web",
            "why": "GET http://localhost:8080/alive answered 503 Service Unavailable: no database",
            "next": "mend it in the repository and push; the container's last lines stand above",
            "log_tail": ("up", "no database yet"),
            **more,
        }
    )
    return Verdict(status="rolled_back", release="rel-1", failure=failure)


def test_a_failed_gate_shows_the_last_answer_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Console(), "shop/prod", failed()) == 1
    printed = capsys.readouterr()
    assert printed.out == "shop/prod: rel-1 failed and was rolled back: the former version runs\n"
    assert printed.err.splitlines() == [
        "error: container-not-healthy-in-time: the container had not passed its probes after 5 s",
        "  where: host local, service web",
        "  why: GET http://localhost:8080/alive answered 503 Service Unavailable: no database",
        "  log:",
        "    up",
        "    no database yet",
        "  next: mend it in the repository and push; the container's last lines stand above",
    ]


def test_all_that_can_be_known_fits_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    many = "\n".join(f"line {number}" for number in range(100))
    lines = tuple(f"log {number}" for number in range(100))
    verdict = failed(
        exit_code=1, why=many, health_output=many, log_tail=lines, kept="kept/shop/prod/rel-1.json"
    )
    report(Console(), "shop/prod", verdict)
    printed = capsys.readouterr()
    shown = (printed.out + printed.err).splitlines()
    assert len(shown) <= SCREEN_LINES
    assert shown[-3:] == [
        "    log 99",
        "  kept: stagecraft logs --release rel-1 (kept/shop/prod/rel-1.json below the home)",
        "  next: mend it in the repository and push; the container's last lines stand above",
    ]


def test_a_release_that_switched_requests_ends_with_its_proof(capsys: pytest.CaptureFixture[str]) -> None:
    proof = TrafficProof(requests=90, failed=0, longest_gap_ms=54, drain_ms=1210, cut=0)
    assert report(Console(), "shop/prod", Verdict(status="completed", release="rel-1", traffic=proof)) == 0
    assert capsys.readouterr().out == (
        "shop/prod: rel-1 completed\n"
        "  traffic: 90 requests during the switch, 0 failed, longest gap 54 ms, drained in 1.2 s, "
        "0 connections cut\n"
    )
