"""`stagecraft init`: the smallest project that works, beside what is there already.

Nothing that exists is changed, except that `--force` writes the project file anew and `.gitignore` gets one
line more. What is written is shown by name; `--dry-run` shows the same and writes nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.settings import Settings, with_settings
from events.kernel.errors import OutsideError, UserError, Where, error_code

NAME_UNUSABLE = error_code("name-unusable", "A project or environment cannot have this name.")
NOT_A_FILE = error_code("not-a-file", "A folder stands where a file is to be written.")
INIT_FAILED = error_code("init-failed", "A file of a new project cannot be written.")

DEFAULT_ENVIRONMENT = "dev"
_STATE_FOLDER = ".stagecraft/"
_PROJECT = """\
# What Stagecraft deploys; its configuration reference has every key.
project:
  name: {project}

# One entry for each place the app runs in. Without `hosts` it runs on this machine's own Docker engine.
# More of an environment can stand in environments/<name>.yml.
environments:
  {environment}: {{}}
"""
_COMPOSE = """\
# A placeholder that runs; put your app here.
services:
  web:
    image: nginx:stable-alpine
    ports:
      - "8080:80"
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/"]
      interval: 2s
      retries: 10
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file that `init` would leave, and why."""

    path: Path
    content: str
    remark: str


@with_settings("config", "env", "dry_run")
def init(
    settings: Settings,
    *,
    non_interactive: Annotated[
        bool, typer.Option("--non-interactive", help="Ask nothing, take the defaults.")
    ] = False,
    project_name: Annotated[
        str | None, typer.Option("--project-name", metavar="NAME", help="Default: the folder's name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write the project file anew.")] = False,
) -> None:
    """Start a project here: a project file and, where there is none, a Compose file that runs.

    A project file that exists is left alone. Without --env the environment is `dev`.

    Exit codes: 0 also when the file exists; 1 a name cannot be used; 2 a file cannot be written.
    """
    config = settings.cwd / settings.config
    if config.is_dir():
        raise UserError(
            NOT_A_FILE,
            f"{settings.config} is a folder",
            where=Where(file=settings.config),
            next="take it away, or name another file with --config",
        )
    if config.exists() and not force:
        settings.console.line(f"{settings.config} exists and is left alone (--force writes it anew)")
        return
    asks = not non_interactive and not settings.dry_run and sys.stdin.isatty()
    project, environment = _names(settings, config.parent, given=project_name, asks=asks)
    for file in _files(settings, config, project=project, environment=environment, asks=asks):
        _write(settings, file)
    if not settings.dry_run:
        settings.console.line(f"Next: commit, then `stagecraft plan --env {environment}`")


def _names(settings: Settings, folder: Path, *, given: str | None, asks: bool) -> tuple[str, str]:
    """The names of the project and its first environment."""
    project = given or safe_name(folder.resolve().name)
    environment = settings.environment or DEFAULT_ENVIRONMENT
    if asks and given is None:
        project = settings.console.ask("Project name", default=project)
    if asks and settings.environment is None:
        environment = settings.console.ask("Environment", default=environment)
    return _checked(project, key="project.name"), _checked(environment, key="environments")


def safe_name(text: str) -> str:
    """A project name made of a folder's name; `app` when nothing of it can be used."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:63].strip("-_") or "app"


def _checked(name: str, *, key: str) -> str:
    from gitops.config.scalars import checked_name

    try:
        return checked_name(name)
    except ValueError as error:
        raise UserError(
            NAME_UNUSABLE, f"{name!r} cannot be a name", where=Where(key=key), why=str(error)
        ) from error


def _files(
    settings: Settings, config: Path, *, project: str, environment: str, asks: bool
) -> Iterator[_File]:
    """What is to be written, in order."""
    yield _File(
        path=config,
        content=_PROJECT.format(project=project, environment=environment),
        remark=f"project {project}, environment {environment}",
    )
    compose = _compose_file(settings, config.parent, asks=asks)
    if compose is not None:
        yield compose
    ignore = _ignore_file(config.parent)
    if ignore is not None:
        yield ignore


def _compose_file(settings: Settings, folder: Path, *, asks: bool) -> _File | None:
    """A Compose file where there is none, unless the person declines."""
    from gitops.compose.discover import NAMES

    if any((folder / name).exists() for name in NAMES):
        return None
    if asks and not settings.console.confirm("There is no Compose file. Write one that runs?"):
        settings.console.warning(f"there is no Compose file; add {NAMES[0]} before you deploy")
        return None
    return _File(path=folder / NAMES[0], content=_COMPOSE, remark="there was no Compose file")


def _ignore_file(folder: Path) -> _File | None:
    """`.gitignore` with our state folder, inside a repository that does not ignore it yet."""
    here = folder.resolve()
    if not any((above / ".git").exists() for above in (here, *here.parents)):
        return None
    path = folder / ".gitignore"
    former = path.read_text() if path.is_file() else ""
    if {line.strip().strip("/") for line in former.splitlines()} & {_STATE_FOLDER.strip("/")}:
        return None
    gap = "" if not former or former.endswith("\n") else "\n"
    return _File(path=path, content=f"{former}{gap}{_STATE_FOLDER}\n", remark=f"ignores {_STATE_FOLDER}")


def _write(settings: Settings, file: _File) -> None:
    """Write one file and say so. Raises OutsideError `init-failed`."""
    from events.kernel.files import write_atomically

    shown = file.path.relative_to(settings.cwd) if file.path.is_relative_to(settings.cwd) else file.path
    if settings.dry_run:
        settings.console.line(f"would write {shown} ({file.remark})")
        return
    try:
        write_atomically(file.path, file.content.encode())
    except OSError as error:
        raise OutsideError(INIT_FAILED, f"cannot write {shown}", why=str(error)) from error
    settings.console.line(f"wrote {shown} ({file.remark})")
