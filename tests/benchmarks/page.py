"""The page of the documentation that a run writes: what was measured, on what, and how it compares."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import datetime

from docker.client import DockerClient

from events.kernel.compose_client import compose_client_version
from tests.benchmarks.figures import Figure


def machine(engine: DockerClient, *, now: datetime) -> list[tuple[str, str]]:
    """Facts that a figure hangs on, and nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = engine.version()
    return [
        ("date", f"{now:%Y-%m-%d}"),
        ("cores", str(os.cpu_count())),
        ("memory", f"{memory:.1f} GiB"),
        ("kernel", ".".join(platform.release().split(".")[:2])),
        ("Python", platform.python_version()),
        ("engine", f"{version['Version'].partition('+')[0]}, API {version['ApiVersion']}"),
        ("Compose", compose_client_version()),
    ]


def page(figures: Iterable[Figure], facts: Iterable[tuple[str, str]]) -> str:
    """The page, in Markdown."""
    return "\n".join(
        [
            "<!-- Written by `make bench`: run it again, do not change this page. -->",
            "",
            "# Benchmarks",
            "",
            "Every figure is taken within one run, from pairs that take turns.",
            "It is a median unless it says so.",
            "A run that misses a target fails.",
            "",
            *_table(("what", "measured", "target", "how"), [figure.row() for figure in figures]),
            "",
            "## The machine",
            "",
            *_table(("", ""), facts),
            "",
        ]
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
