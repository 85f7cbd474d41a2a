"""The benchmarks run, and a missed target is told; what they measure here is nobody's promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.benchmarks.figures import Figure, median, percentile
from tests.benchmarks.page import page
from tests.benchmarks.run import BENCHMARKS, run_all
from tests.benchmarks.stage import Stage
from tests.support.images import TestImages


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs(name: str, tmp_path: Path, engine: DockerClient, images: TestImages) -> None:
    assert run_all(Stage(engine=engine, images=images, folder=tmp_path, quick=True), [name])


def test_a_missed_target_is_marked() -> None:
    missed = Figure(what="Push", value=1.5, target=1.25, unit=" x", detail="15 pairs")
    met = Figure(what="Memory", value=80.4, target=120, unit=" MB", detail="20 environments")
    least = Figure(what="Append", value=0.71, target=0.6, unit=" x", detail="20 pairs", at_least=True)
    assert (missed.met, met.met, least.met) == (False, True, True)
    text = page([missed, met, least], [("cores", "2")])
    assert "| Append | 0.71 x | ≥ 0.6 x | 20 pairs |" in text
    assert "| Push | 1.50 x **missed** | ≤ 1.25 x | 15 pairs |" in text
    assert "| Memory | 80 MB | ≤ 120 MB | 20 environments |" in text


def test_samples_become_figures() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert percentile([float(number) for number in range(1, 21)], 95) == 19.0
    assert percentile([5.0], 95) == 5.0
