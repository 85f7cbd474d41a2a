"""A team whose operator takes signed commits alone, from the first setting to the fix of a bad push."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.team import Team
from tests.support.daemons import running_daemon
from tests.support.images import TestImages
from tests.support.processes import wait_until
from tests.support.repos import git
from tests.support.signing import SshPerson


@pytest.fixture
def alice(tmp_path: Path) -> SshPerson:
    return SshPerson.create(tmp_path / "keys", "alice")


@pytest.fixture
def settings(team: Team, alice: SshPerson) -> Path:
    """`controller.yml` in the home, with alice as the only signer."""
    file = Path(team.cli.environment["STAGECRAFT_HOME"]) / "controller.yml"
    file.parent.mkdir(exist_ok=True)
    (file.parent / "signers").write_text(alice.line())
    entry = f"{{url: {team.repository.origin}, branch: main, verify: {{mode: head, signers: signers}}}}"
    file.write_text(f"poll: {{interval: 300ms, jitter: 50ms}}\nrepositories:\n  - {entry}\n")
    return file


def _signing(team: Team, person: SshPerson | None) -> None:
    git("config", "commit.gpgSign", "false" if person is None else "true", cwd=team.repository.work)
    if person is not None:
        person.configure(team.repository.work)


@pytest.mark.usefixtures("settings")
def test_an_unsigned_push_is_refused_and_a_signed_fix_is_deployed(
    team: Team, alice: SshPerson, images: TestImages
) -> None:
    _signing(team, alice)
    good = team.deploys("first")
    observed = team.events("RevisionObserved")[-1]["data"]
    assert (observed["revision"], observed["signing_key"]) == (good, alice.fingerprint)
    _signing(team, None)
    bad = team.merge("somebody was here", web=images.web("v2"))
    outcome = team.look().expect(1)
    assert f"error: commit-unsigned: commit {bad[:12]} is not signed" in outcome.stderr
    assert "next: git commit --amend --no-edit --gpg-sign" in outcome.stderr
    before = team.events()
    team.look().expect(1)
    assert team.events() == before
    rejected = team.events("RevisionRejected")[-1]["data"]
    assert (rejected["revision"], rejected["rule"]) == (bad, "commit-unsigned")
    assert (
        f"commit-unsigned: commit {bad[:12]} is not signed" in team.cli.ok("status", "--env", "prod").stdout
    )
    assert team.answer() == "web v1"
    dry = team.cli.run("controller", "run", "--dry-run", "--repo", team.repository.origin, "--branch", "main")
    assert "commit-unsigned" in dry.expect(1).stderr
    _signing(team, alice)
    team.deploys("a fix", web=images.web("v3"))
    assert team.answer() == "web v3"
    assert "commit-unsigned" not in team.cli.ok("status", "--env", "prod").stdout


@pytest.mark.usefixtures("settings")
def test_the_controller_says_once_what_it_refuses_and_goes_on(
    team: Team, alice: SshPerson, images: TestImages
) -> None:
    _signing(team, alice)
    team.merge("first")
    with running_daemon(team.cli, "--repo", team.repository.origin, "--branch", "main") as daemon:
        daemon.says("completed after", seconds=60)
        _signing(team, None)
        team.merge("somebody was here", web=images.web("v2"))
        daemon.says("commit-unsigned")
        _signing(team, alice)
        team.merge("a fix", web=images.web("v3"))
        wait_until("the fix", lambda: team.answer() == "web v3", seconds=60)
        assert daemon.said.count("commit-unsigned") == 1
        assert daemon.end() == 0


def test_settings_that_cannot_verify_are_an_error_at_the_start(team: Team, settings: Path) -> None:
    team.merge("first")
    (settings.parent / "signers").unlink()
    outcome = team.look().expect(1)
    assert "error: verification-unusable" in outcome.stderr
    assert team.cli.ok("events", "list", "--json").json_lines() == []
