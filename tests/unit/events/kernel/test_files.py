"""Files that are whole or absent."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from events.kernel.files import make_folders, write_atomically


@pytest.fixture
def narrow_umask() -> Generator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"a longer first text", b"second", b""):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("narrow_umask")
def test_the_mode_is_the_one_asked_for(tmp_path: Path) -> None:
    for mode in (0o644, 0o600, 0o755):
        write_atomically(tmp_path / "file", b"", mode=mode)
        assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_missing_folders_are_made_with_their_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    write_atomically(tmp_path / "a" / "b" / "file", b"", folder_mode=0o700)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")]
    assert modes == [0o711, 0o700, 0o700]


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text is no bytes")  # type: ignore[arg-type]  # fails in the middle of the write
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="there"):
        write_atomically(tmp_path / "there", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"
    assert not (tmp_path / "link").is_symlink()


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(NotADirectoryError):
            make_folders(folder, mode=0o700)


def test_folders_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    make_folders(tmp_path / "a", mode=0o700)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
