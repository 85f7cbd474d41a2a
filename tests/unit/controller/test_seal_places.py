"""Places for seals: a file that grows, a command that is given each seal."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from controller.seal_places import SEAL_NOT_DELIVERED, SealCommand, SealFile, seal_places
from events.kernel.errors import OutsideError
from events.kernel.process import PROCESS_TIMED_OUT
from events.seals import Seal, read_seals
from gitops.config.seals import SealPlaceSection
from tests.support.repos import Repository, git


def seal(position: int) -> Seal:
    return Seal(
        log_id="l", lineage="l", position=position, hash="00", at="2026-01-01", key_id="k", signature="00"
    )


def deliver(place: SealFile | SealCommand, *seals: Seal) -> None:
    async def story() -> None:
        for one in seals:
            await place.deliver(one)

    asyncio.run(story())


def test_a_file_gets_a_line_for_each_seal_and_none_twice(tmp_path: Path) -> None:
    path = tmp_path / "seals.jsonl"
    deliver(SealFile(path, name="file"), seal(1), seal(1), seal(2), seal(2))
    assert [one.position for one in read_seals(path)] == [1, 2]


def test_a_line_that_was_cut_off_half_way_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "seals.jsonl"
    deliver(SealFile(path, name="file"), seal(1))
    path.write_bytes(path.read_bytes() + b'{"log')
    deliver(SealFile(path, name="file"), seal(2))
    assert json.loads(path.read_text().splitlines()[-1])["position"] == 2


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(OutsideError) as caught:
        deliver(SealFile(tmp_path / "mounted" / "seals.jsonl", name="file x"), seal(1))
    assert caught.value.code == SEAL_NOT_DELIVERED
    assert not (tmp_path / "mounted").exists()


def test_a_command_gets_the_seal_on_standard_input(tmp_path: Path) -> None:
    script = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    argv = [sys.executable, "-c", script, str(tmp_path / "told")]
    deliver(SealCommand(argv, name="command", seconds=30), seal(3))
    assert json.loads((tmp_path / "told").read_text()) == seal(3).as_json()


def test_a_command_that_fails_or_hangs_is_an_error_in_its_own_words() -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('the bucket is closed')"]
    with pytest.raises(OutsideError) as caught:
        deliver(SealCommand(failing, name="command", seconds=30), seal(1))
    assert "the bucket is closed" in caught.value.why
    hanging = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(OutsideError) as caught:
        deliver(SealCommand(hanging, name="command", seconds=0.2), seal(1))
    assert caught.value.code == PROCESS_TIMED_OUT


def test_relative_paths_start_beside_the_operators_file(tmp_path: Path) -> None:
    sections = [SealPlaceSection(file="a/seals.jsonl"), SealPlaceSection(ref="refs/x/seals", url="../repo")]
    file, branch = seal_places(sections, folder=tmp_path / "etc", scratch=tmp_path / "m", seconds=1)
    assert isinstance(file, SealFile)
    assert file.path == tmp_path / "etc" / "a" / "seals.jsonl"
    assert branch.name == "ref refs/x/seals"


def test_a_ref_gets_a_commit_that_says_what_is_sealed(tmp_path: Path) -> None:
    origin = Repository.create(tmp_path / "repository").origin
    section = SealPlaceSection(ref="refs/stagecraft/seals", url=str(origin))
    (place,) = seal_places([section], folder=tmp_path, scratch=tmp_path / "mirrors", seconds=60)
    asyncio.run(place.deliver(seal(7)))
    asyncio.run(place.deliver(seal(7)))
    said = git("log", "--format=%s", "refs/stagecraft/seals", cwd=origin)
    assert said.splitlines() == ["Seal the log up to event 7"]
    assert json.loads(git("show", "refs/stagecraft/seals:seals.jsonl", cwd=origin)) == seal(7).as_json()
