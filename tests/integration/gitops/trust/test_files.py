"""The operator's files of keys, checked before they are needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from events.kernel.errors import UserError
from gitops.source.trust import Mode, Verification, check_usable
from tests.support.signing import SshPerson


def unusable(mode: Mode = "head", *, signers: Path | None = None, keyring: Path | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        asyncio.run(check_usable(Verification(mode=mode, signers=signers, keyring=keyring)))
    assert caught.value.code == "verification-unusable"
    return caught.value


def test_good_files_are_usable(signers: Path, keyring: Path) -> None:
    asyncio.run(check_usable(Verification(mode="every", signers=signers, keyring=keyring)))
    asyncio.run(check_usable(Verification(mode="none", signers=Path("/nowhere"))))


def test_a_mode_without_keys_is_unusable() -> None:
    assert "nobody may sign" in unusable("tag").message


@pytest.mark.parametrize("content", [None, "", "# nobody\n", "ssh-ed25519 AAAAC3Nz alice@example.org\n"])
def test_a_file_of_signers_without_signers_is_unusable(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "signers"
    if content is not None:
        file.write_text(content)
    error = unusable(signers=file)
    assert error.where.file == str(file)
    assert error.next


def test_a_folder_is_no_file_of_keys(tmp_path: Path) -> None:
    assert "Is a directory" in unusable(signers=tmp_path).message
    assert "Is a directory" in unusable(keyring=tmp_path).message


@pytest.mark.parametrize("content", ["", "no keys\n"])
def test_a_keyring_without_keys_is_unusable(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keyring"
    file.write_text(content)
    assert "no public key" in unusable(keyring=file).message


def test_a_missing_program_is_told_by_name(
    signers: Path, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "ssh-keygen is not installed" in unusable(signers=signers).message
    assert "gpg is not installed" in unusable(keyring=keyring).message


def test_a_line_of_signers_that_is_wrong_is_named(alice: SshPerson, signers: Path) -> None:
    signers.write_text(f"{alice.line()}\n{alice.public}\n")
    assert unusable(signers=signers).where.line == 3
