"""`controller unit`: the printed unit, quoted so that systemd runs exactly what was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.unit import (
    _quoted,  # pyright: ignore[reportPrivateUsage]  # systemd's rules of quoting deserve their own cases
)
from tests.unit.cli.conftest import Call


def value(text: str, key: str) -> list[str]:
    """The values of a key, in order."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_the_unit_runs_this_command_with_the_flags_and_the_home(call: Call, home: Path) -> None:
    said = call("controller", "unit", "--repo", "https://x/y.git", "--branch", "prod", "--env", "shop/prod")
    assert (said.code, said.err) == (0, "")
    (command,) = value(said.out, "ExecStart")
    program, rest = command.split(" ", 1)
    assert os.access(program, os.X_OK)
    assert rest == f"controller run --repo https://x/y.git --branch prod --home {home} --env shop/prod"
    assert value(said.out, "Restart") == ["on-failure"]
    assert value(said.out, "KillMode") == ["mixed"]
    assert value(said.out, "WantedBy") == ["multi-user.target"]
    assert value(said.out, "ProtectSystem") == ["full"]
    assert not home.exists()


def test_a_user_unit_asks_for_nothing_of_the_system(call: Call) -> None:
    out = call("controller", "unit", "--repo", "x", "--user").out
    assert value(out, "WantedBy") == ["default.target"]
    assert value(out, "User") == value(out, "ProtectSystem") == []
    assert "docker.service" not in out


def test_a_unit_of_a_person_runs_as_that_person(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert value(call("controller", "unit", "--repo", "x").out, "User") == ["ada"]


def test_a_home_below_tmp_or_etc_stays_reachable(call: Call, tmp_path: Path) -> None:
    below_tmp = call("controller", "unit", "--repo", "x", "--home", "/tmp/home").out  # noqa: S108  # not made
    assert value(below_tmp, "PrivateTmp") == []
    below_etc = call("controller", "unit", "--repo", "x", "--home", "/etc/stagecraft").out
    assert value(below_etc, "ProtectSystem") == []
    assert value(below_etc, "PrivateTmp") == ["yes"]
    by_path = call("controller", "unit", "--repo", str(tmp_path), "--home", "/srv/x").out
    assert value(by_path, "PrivateTmp") == ([] if tmp_path.is_relative_to("/tmp") else ["yes"])  # noqa: S108  # as above


def test_a_repository_by_path_is_absolute_and_the_engine_is_passed_on(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    (folder / "origin").mkdir()
    out = call("controller", "unit", "--repo", "origin").out
    assert f'--repo "{folder / "origin"}"' in out
    assert value(out, "Environment") == ["DOCKER_HOST=unix:///run/other.sock"]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", "plain"),
        ("My App", '"My App"'),
        ("100%", "100%%"),
        ("a$b", "a$$b"),
        ('a"b\\', '"a\\"b\\\\"'),
        ("", '""'),
        ("%", '"%%"'),
        (";", '";"'),
    ],
)
def test_words_are_taken_literally(text: str, quoted: str) -> None:
    assert _quoted(text) == quoted


def test_a_control_character_is_refused(call: Call) -> None:
    said = call("controller", "unit", "--repo", "x", "--branch", "a\nExecStartPre=/bin/evil")
    assert (said.code, said.out) == (1, "")
    assert "unit-unusable" in said.err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here to ask")
@pytest.mark.parametrize("flags", [(), ("--user",)])
def test_systemd_accepts_it(call: Call, tmp_path: Path, flags: tuple[str, ...]) -> None:
    odd = 'release $x 100% "a"'
    said = call("controller", "unit", "--repo", "https://x/y.git", "--branch", odd, *flags)
    file = tmp_path / "stagecraft.service"
    file.write_text(said.out)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *flags, file],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert [line for line in done.stderr.splitlines() if str(file.name) in line] == []


def test_without_a_repository_it_watches_what_is_listed(call: Call, home: Path) -> None:
    assert call("controller", "unit").code == 1, "nothing is listed"
    home.mkdir()
    (home / "controller.yml").write_text("repositories: [{url: /srv/shop.git}]\n")
    out = call("controller", "unit").out
    assert value(out, "Description") == ["Stagecraft: the branches of controller.yml"]
    assert "--repo" not in out
    assert f"controller run --home {home}" in out
