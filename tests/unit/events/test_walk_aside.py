"""The newer part of a long log is followed by a process of its own; what that says is never believed."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from events.raw_log import RawLog, raw_log
from events.verify import Verifier
from events.walk_aside import Aside, follow, main
from tests.support.tampering import TamperedLog


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[RawLog]:
    monkeypatch.setattr("events.walk_aside.LEAST_ROWS", 5)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    log = TamperedLog(tmp_path / "events.db").fill()
    with raw_log(log.path) as raw:
        yield raw


def last(raw: RawLog) -> tuple[int, bytes]:
    head = raw.head()
    assert head is not None
    return head.position, head.hash


def test_a_process_of_its_own_comes_to_the_same_end(raw: RawLog) -> None:
    upto, hash_ = last(raw)
    aside = Aside.begin(raw, upto=upto)
    assert aside is not None
    with closing(aside):
        assert 0 < aside.after < upto
        assert aside.hash_of_end() == hash_


def test_a_whole_log_is_verified_with_its_help(raw: RawLog) -> None:
    verdict = Verifier(raw=raw).verdict()
    assert verdict.ok
    assert verdict.to == last(raw)[0]


def test_a_short_log_and_a_single_processor_have_no_help(
    raw: RawLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Aside.begin(raw, upto=4) is None
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert Aside.begin(raw, upto=last(raw)[0]) is None


def test_a_process_that_cannot_be_started_or_ends_early_is_no_help_and_no_harm(
    raw: RawLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    upto, _ = last(raw)
    monkeypatch.setattr("sys.executable", "/bin/false")
    aside = Aside.begin(raw, upto=upto)
    assert aside is not None
    with closing(aside):
        assert aside.hash_of_end() is None
    assert Verifier(raw=raw).verdict().ok
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    assert Aside.begin(raw, upto=upto) is None
    assert Verifier(raw=raw).verdict().ok


def test_a_part_ends_at_the_first_row_that_does_not_fit(raw: RawLog) -> None:
    upto, hash_ = last(raw)
    after = raw.hash_at(3)
    assert after is not None
    assert follow(raw, after=3, upto=upto, previous=after) == (upto, hash_)
    assert follow(raw, after=3, upto=upto, previous=b"\0" * 32) == (3, b"\0" * 32)


def test_what_the_process_says(raw: RawLog, capsys: pytest.CaptureFixture[str]) -> None:
    upto, hash_ = last(raw)
    previous = raw.hash_at(2)
    assert previous is not None
    main([str(raw.path), "2", str(upto), previous.hex()])
    assert capsys.readouterr().out == f"{upto} {hash_.hex()}\n"
