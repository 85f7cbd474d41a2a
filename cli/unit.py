"""`stagecraft controller unit`: a systemd unit that keeps the controller running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.settings import Settings, with_settings
from cli.watched import BranchOption, RepoOption, chosen
from events.kernel.errors import UserError, error_code

UNIT_UNUSABLE = error_code("unit-unusable", "A value cannot stand in a systemd unit.")

_STOP_SECONDS = 90  # more than the controller gives the work under way, so that systemd does not cut it short
_PASSED_ON = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # not used: a home there must stay visible
_SYSTEM = (Path("/usr"), Path("/boot"), Path("/efi"), Path("/etc"))  # what ProtectSystem=full makes read-only


@with_settings("env")
def unit(
    settings: Settings,
    *,
    repo: RepoOption = None,
    branch: BranchOption = None,
    user: Annotated[
        bool, typer.Option("--user", help="For `systemctl --user`, without root, instead of the system.")
    ] = False,
) -> None:
    """Print a systemd unit that runs the controller with these flags.

    The home and DOCKER_HOST are as they are here.
    Nothing is written or started: put what it prints into a file and enable that, as
    docs/how-to/systemd.md shows.

    Exit codes: 0 printed; 1 a value cannot stand in a unit.
    """
    settings.console.text(unit_text(settings, repo=repo, branch=branch, user=user).rstrip("\n"))


def unit_text(settings: Settings, *, repo: str | None, branch: str | None, user: bool) -> str:
    """The unit's text. Raises UserError `unit-unusable` and as `chosen`."""
    import getpass
    import os
    import sys

    choice = chosen(settings, repo=repo, branch=branch, controller_file=None)
    home = settings.home.root
    command = [str(Path(sys.executable).parent / "stagecraft"), "controller", "run"]
    what = "the branches of controller.yml"
    if choice.named:
        place = choice.places[0]
        command += ["--repo", place.watched.url, "--branch", place.branch]
        what = f"{place.watched.url} {place.branch}"
    command += ["--home", str(home)]
    for name in settings.environments:
        command += ["--env", name]
    passed = [f"{name}={settings.environ[name]}" for name in _PASSED_ON if settings.environ.get(name)]
    engine = () if user else ("After=docker.service", "Wants=docker.service")
    lines = [
        "[Unit]",
        f"Description=Stagecraft: {_plain(what)}",
        "After=network-online.target",
        "Wants=network-online.target",
        *engine,
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(map(_quoted, command))}",
        *(f"Environment={_quoted(one, variables=False)}" for one in passed),
        *([] if user or os.geteuid() == 0 else [f"User={getpass.getuser()}"]),
        "Restart=on-failure",
        "RestartSec=10",
        "KillMode=mixed",
        f"TimeoutStopSec={_STOP_SECONDS}",
        *([] if user else _protection(home, [Path(one.watched.url) for one in choice.places])),
        "",
        "[Install]",
        f"WantedBy={'default.target' if user else 'multi-user.target'}",
    ]
    return "\n".join(lines) + "\n"


def _protection(home: Path, repositories: list[Path]) -> list[str]:
    """What the system can be kept from: never from the home, and not from repositories by path."""

    def inside(path: Path, folders: tuple[Path, ...]) -> bool:
        return any(path.is_relative_to(folder) for folder in folders)

    return [
        "NoNewPrivileges=yes",
        *([] if inside(home, _SYSTEM) else ["ProtectSystem=full"]),
        *([] if any(inside(one, _TEMPORARY) for one in (home, *repositories)) else ["PrivateTmp=yes"]),
    ]


def _quoted(text: str, *, variables: bool = True) -> str:
    """One word for systemd: quoted, with its specifiers and, in a command, its variables taken literally."""
    escaped = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    if variables:
        escaped = escaped.replace("$", "$$")
    bare = escaped.replace("%%", "")
    return escaped if bare and all(one.isalnum() or one in "/._-:=@+,$" for one in bare) else f'"{escaped}"'


def _plain(text: str) -> str:
    """A text in a unit's line, specifiers taken literally. Raises UserError `unit-unusable`."""
    if not text.isprintable():
        raise UserError(
            UNIT_UNUSABLE, f"{text!r} cannot stand in a systemd unit", why="it holds a control character"
        )
    return text.replace("%", "%%")
