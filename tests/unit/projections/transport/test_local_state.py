"""State of an app: folders are made, and no link decides where."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.kernel.errors import UserError
from projections.transport.local_state import make_state_folder
from projections.transport.port import STATE_IS_LINK


def test_missing_folders_are_made_and_what_is_there_stays(tmp_path: Path) -> None:
    for _ in range(2):
        make_state_folder(tmp_path / "state", "a/b")
    assert (tmp_path / "state/a/b").is_dir()
    (tmp_path / "state/a/b/kept").touch()
    make_state_folder(tmp_path / "state", "a/b")
    assert (tmp_path / "state/a/b/kept").exists()


def test_the_root_itself_is_a_state(tmp_path: Path) -> None:
    make_state_folder(tmp_path / "state", "")
    assert (tmp_path / "state").is_dir()


def test_a_file_that_the_app_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    make_state_folder(tmp_path, "file")
    assert (tmp_path / "file").read_text() == "x"
    with pytest.raises(NotADirectoryError):
        make_state_folder(tmp_path, "file/below")


@pytest.mark.parametrize("target", ["/etc", "elsewhere", "nowhere", "link"])
@pytest.mark.parametrize("path", ["link", "link/below"])
def test_a_link_is_refused_wherever_it_leads(tmp_path: Path, path: str, target: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(UserError) as caught:
        make_state_folder(tmp_path, path)
    assert (caught.value.code, caught.value.where.file) == (STATE_IS_LINK, str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere/below").exists()


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    make_state_folder(tmp_path, "a/b/c")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
