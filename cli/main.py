"""The command `stagecraft`: the tree of commands, and how a call ends.

Every command is registered below, so this page is the table of contents. A command module stands by itself:
it offers plain functions made commands by `with_settings`, or a `group` of them, and imports what is heavy
inside the function that needs it; `stagecraft --help` imports every command module and must stay fast.

Exit codes: 0 done, 1 the user or the configuration, 2 something outside, 3 a bug; 130 interrupted. The
parser's own 2 for a usage error would say `outside`, so it becomes 1 here. A reader that closes the pipe has
what it wanted: that ends quietly with 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from cli import config, controller, demo, events, hosts, lock, releases
from cli.console import Console, ReaderGoneError, internal_error
from cli.deploy import deploy
from cli.doctor import doctor
from cli.hold import hold, resume
from cli.init import init
from cli.logs import logs
from cli.plan import plan
from cli.rollback import rollback
from cli.settings import group, normalised
from cli.status import status
from cli.unit import unit
from cli.version import version
from events.kernel.errors import ExitCode, StagecraftError, UserError, error_code

USAGE_ERROR = error_code(
    "usage-error", "The command line names a flag, a command or a value that does not exist."
)

INTERRUPTED = 130  # as shells report a process that ended by SIGINT

app = group(
    "Deploy Docker Compose apps to your own hosts when somebody merges.\n\n"
    "Global flags work before and after the command.\n\n"
    "Exit codes: 0 done, 1 you or the configuration, 2 something outside, 3 a bug.",
    root=True,
)
app.command("init")(init)
app.command("plan")(plan)
app.command("deploy")(deploy)
app.command("rollback")(rollback)
app.command("hold")(hold)
app.command("resume")(resume)
app.command("status")(status)
app.command("logs")(logs)
app.add_typer(releases.app, name="releases")
app.add_typer(events.app, name="events")
controller.app.command("unit")(unit)
app.add_typer(controller.app, name="controller")
app.add_typer(lock.app, name="lock")
app.add_typer(hosts.app, name="hosts")
app.add_typer(config.app, name="config")
app.add_typer(demo.app, name="demo")
app.command("doctor")(doctor)
app.command("version")(version)


def main() -> None:
    """The console script: run the command that argv names and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run one command and answer the exit code; every error has been printed."""
    try:
        return _run(argv)
    except StagecraftError as error:
        Console().error(error)
        return error.exit_code
    except ReaderGoneError:
        _discard_output()
        return ExitCode.OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last line: what escapes is a bug and is told as one
        Console().error(internal_error(error))
        return ExitCode.INTERNAL


def _run(argv: Sequence[str]) -> int:
    try:
        code = app(normalised(argv), prog_name="stagecraft", standalone_mode=False)
    except typer.TyperException as error:
        raise _usage_error(error) from error
    except typer.Abort as error:  # a prompt that met the end of its input
        raise UserError(
            USAGE_ERROR, "there is no answer to a question", next="add --non-interactive"
        ) from error
    return code if isinstance(code, int) else ExitCode.OK


def _usage_error(error: typer.TyperException) -> UserError:
    """The parser's error as one of ours, with the help of the command it speaks of."""
    context = getattr(error, "ctx", None)  # errors about a file have none
    path: str = getattr(context, "command_path", "stagecraft")
    return UserError(USAGE_ERROR, error.format_message(), next=f"{path} --help")


def _discard_output() -> None:
    """Let the interpreter flush into nothing when it ends; the reader is gone."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)
