"""What the surroundings say about keys and programs does not count, and nothing is left in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitops.source.signers import Signer
from tests.integration.gitops.trust.scene import Scene
from tests.support.repos import git
from tests.support.signing import GpgPerson, SshPerson, gpg_person


@pytest.mark.parametrize("locale", ["de_DE.UTF-8", "xx_XX", "C.UTF-8"])
def test_the_language_of_the_operator_changes_nothing(
    scene: Scene, grace: GpgPerson, keyring: Path, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    scene.commit(grace)
    for name in ("LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.setenv(name, locale)
    assert scene.ask(keyring=keyring) == Signer(key=grace.fingerprint)
    scene.commit(None)
    assert scene.refused(keyring=keyring).code == "commit-unsigned"


def test_no_configuration_says_which_program_verifies(
    scene: Scene, mallory: SshPerson, signers: Path, keyring: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "always-good"
    program.write_text(f"#!/bin/sh\necho run >>{ran}\necho '[GNUPG:] GOODSIG 0 x'\nexit 0\n")
    program.chmod(0o755)
    scene.commit(mallory)
    scene.ask(mode="none")
    keys = ("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.ssh.defaultKeyCommand")
    home = Path(os.environ["GIT_CONFIG_GLOBAL"])
    for key in keys:
        git("config", "--file", str(home), key, str(program), cwd=tmp_path)
        git("config", key, str(program), cwd=tmp_path / "mirror")
        git("config", key, str(program), cwd=scene.repository.origin)
    assert scene.refused(signers=signers, keyring=keyring).code == "signer-unknown"
    assert not ran.exists()


def test_the_keys_and_settings_of_the_home_do_not_count(
    scene: Scene, keyring: Path, isolated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gpg_person("eve") as eve:
        scene.commit(eve)
        (isolated_home / ".gnupg").mkdir(mode=0o700)
        (isolated_home / ".gnupg/pubring.kbx").write_bytes((eve.home / "pubring.kbx").read_bytes())
        monkeypatch.setenv("GNUPGHOME", str(eve.home))
        assert scene.refused(keyring=keyring).code == "signer-unknown"


def test_nothing_is_left_behind(
    scene: Scene, grace: GpgPerson, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    scene.commit(grace)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    assert scene.ask(keyring=keyring) is not None
    assert list(place.iterdir()) == []
