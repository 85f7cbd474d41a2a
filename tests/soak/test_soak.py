"""A short soak, and the promises that a long one rests on."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from tests.soak.measures import MEGABYTE, Sample, excesses
from tests.soak.report import Result, page
from tests.soak.run import soak
from tests.soak.script import WEIGHTS, script

SHORT_SECONDS = 75.0


@pytest.mark.slow
@pytest.mark.engine
def test_after_a_short_soak_everything_is_in_sync(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    told: list[str] = []
    result = soak(tmp_path, seed=seed, seconds=SHORT_SECONDS, tell=told.append)
    assert not result.faults, "\n".join([f"seed {seed}", *told, *result.faults])


def test_a_seed_is_a_script() -> None:
    first, again, other = (list(itertools.islice(script(seed), 200)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert {step.action for step in itertools.islice(script(7), 2000)} == set(WEIGHTS)


def test_a_daemon_that_grows_is_told() -> None:
    def at(age_seconds: float, rss: int) -> Sample:
        return Sample(pid=1, age_seconds=age_seconds, rss_bytes=rss * MEGABYTE, fds=9, threads=9, children=0)

    assert excesses([at(1, 40), at(70, 80), at(900, 100)]) == []
    (words,) = excesses([at(1, 40), at(70, 80), at(900, 130)])
    assert words.startswith("the daemon's growth of memory in one life")


def test_the_report_says_how_it_ended() -> None:
    good = Result(seed=3, seconds=60, done={"hold": 2}, verdicts={"completed": 4}, codes={"hold: 0": 2})
    assert "It ended in sync." in page(good)
    assert "| hold | 2 |" in page(good)
    bad = Result(seed=3, seconds=60, done={}, verdicts={}, codes={}, faults=["prod: web is exited"])
    assert "- prod: web is exited" in page(bad)
    assert "It ended in sync." not in page(bad)
