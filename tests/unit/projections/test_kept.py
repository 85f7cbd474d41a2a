"""What is kept of failed containers: so many, so long, whole files, readable by the owner alone."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from projections.kept import KeptContainer, KeptContainers

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ONE = KeptContainer(
    project="shop",
    environment="prod",
    release="rel-20260304-120000000",
    host="local",
    service="web",
    container="c" * 64,
    at=NOON,
    code="container-exited",
    message="the container ended with exit code 3",
    exit_code=3,
    health_output="",
    made_with={"image": "web:2", "environment": {"PASSWORD": "***"}},
    changes=("A /tmp/core", "C /tmp"),
    log=("starting", "no database"),
)


def later(number: int) -> KeptContainer:
    return replace(ONE, release=f"rel-{number}", at=NOON + timedelta(minutes=number))


def releases(kept: KeptContainers) -> set[str]:
    return {file.name.split(".")[0] for file in kept.root.glob("*/*/*.json")}


def test_what_is_kept_is_read_again_as_it_was(tmp_path: Path) -> None:
    kept = KeptContainers(tmp_path / "kept")
    place = kept.keep(ONE)
    assert place == "kept/shop/prod/rel-20260304-120000000.local.web.cccccccccccc.json"
    assert list(kept.of_release(ONE.release)) == [ONE]
    assert list(kept.of_release("rel-2026")) == []
    assert list(kept.of_release("*")) == []


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    kept = KeptContainers(tmp_path / "kept")
    file = tmp_path / kept.keep(ONE)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (file, file.parent, kept.root)]
    assert modes == [0o600, 0o700, 0o700]


def test_the_newest_of_each_environment_stay(tmp_path: Path) -> None:
    kept = KeptContainers(tmp_path / "kept", count=2)
    kept.keep(replace(ONE, environment="staging"))
    for number in (1, 2, 3):
        kept.keep(later(number))
    assert releases(kept) == {ONE.release, "rel-2", "rel-3"}


def test_the_same_container_is_kept_once_however_often_it_is_looked_at(tmp_path: Path) -> None:
    kept = KeptContainers(tmp_path / "kept")
    assert kept.keep(ONE) == kept.keep(ONE)
    assert len(list(kept.of_release(ONE.release))) == 1


def test_what_is_too_old_goes_with_what_a_crash_left_half_written(tmp_path: Path) -> None:
    kept = KeptContainers(tmp_path / "kept", age=timedelta(days=1))
    kept.sweep(NOON)
    half = (tmp_path / kept.keep(ONE)).parent / ".half.0123"
    kept.keep(later(1))
    half.touch()
    kept.sweep(NOON + timedelta(days=1, seconds=30))
    assert releases(kept) == {"rel-1"}
    kept.sweep(datetime.now(UTC) + timedelta(days=2))
    assert [*kept.root.glob("*/*/*")] == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"at": 1}', '{"changes": 7}'])
def test_a_file_that_is_not_whole_is_left_out(tmp_path: Path, content: str) -> None:
    kept = KeptContainers(tmp_path / "kept")
    (tmp_path / kept.keep(ONE)).write_text(content)
    assert list(kept.of_release(ONE.release)) == []
