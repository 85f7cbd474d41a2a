"""Names and numbers that Compose will give."""

from __future__ import annotations

from typing import Any

import pytest

from events import labels
from projections.converge.conflicts import owner_text, replicas, reserved_names
from projections.engine.port import Container


@pytest.mark.parametrize(
    ("definition", "count"),
    [
        ({}, 1),
        ({"scale": 2}, 2),
        ({"deploy": {"replicas": 3}}, 3),
        ({"scale": 2, "deploy": {"replicas": 3}}, 2),
        ({"scale": 0}, 0),
        ({"deploy": {"mode": "global", "replicas": 3}}, 1),
        ({"deploy": None}, 1),
    ],
)
def test_replicas_as_compose_counts_them(definition: dict[str, Any], count: int) -> None:
    assert replicas(definition) == count


def test_reserved_names_are_fixed_or_numbered() -> None:
    services: dict[str, dict[str, Any]] = {"web": {"scale": 2}, "db": {"container_name": "the-db"}}
    assert reserved_names("p", services) == {"p-web-1", "p-web-2", "the-db"}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "a person or another program"),
        ({labels.LOG: "l2", labels.PROJECT: "p", labels.ENVIRONMENT: "e"}, "p/e of the log l2"),
        ({labels.PROJECT: "p"}, "p/? of the log (none)"),
    ],
)
def test_an_owner_is_named_as_far_as_labels_tell(found: dict[str, str], words: str) -> None:
    container = Container(
        id="1", name="x", image="i", image_id="i", state="running", health="none", labels=found
    )
    assert words in owner_text(container)
