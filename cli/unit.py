"""`stagecraft controller unit`: a systemd unit that keeps the controller running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.settings import Settings, with_settings
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
    repo: Annotated[str, typer.Option("--repo", metavar="URL|PATH", help="The repository to watch.")],
    branch: Annotated[str, typer.Option("--branch", metavar="NAME", help="The branch to watch.")] = "main",
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


def unit_text(settings: Settings, *, repo: str, branch: str, user: bool) -> str:
    """The unit's text. Raises UserError `unit-unusable`."""
    import getpass
    import os
    import sys

    home = settings.home.root
    local = settings.cwd / repo
    address = str(local.resolve()) if local.exists() else repo
    command = [str(Path(sys.executable).parent / "stagecraft"), "controller", "run"]
    command += ["--repo", address, "--branch", branch, "--home", str(home)]
    for name in settings.environments:
        command += ["--env", name]
    passed = [f"{name}={settings.environ[name]}" for name in _PASSED_ON if settings.environ.get(name)]
    engine = () if user else ("After=docker.service", "Wants=docker.service")
    lines = [
        "[Unit]",
        f"Description=Stagecraft: {_plain(address)} {_plain(branch)}",
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
        *([] if user else _protection(home, Path(address))),
        "",
        "[Install]",
        f"WantedBy={'default.target' if user else 'multi-user.target'}",
    ]
    return "\n".join(lines) + "\n"


def _protection(home: Path, repository: Path) -> list[str]:
    """What the system can be kept from: never from the home, and not from a repository by path."""

    def inside(path: Path, folders: tuple[Path, ...]) -> bool:
        return any(path.is_relative_to(folder) for folder in folders)

    return [
        "NoNewPrivileges=yes",
        *([] if inside(home, _SYSTEM) else ["ProtectSystem=full"]),
        *([] if inside(home, _TEMPORARY) or inside(repository, _TEMPORARY) else ["PrivateTmp=yes"]),
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
