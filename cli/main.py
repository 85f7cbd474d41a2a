"""The command `stagecraft`: the tree of commands, and how a call ends.

Every command stands in `CONTENTS`, and its module is imported when somebody asks for it. A command module
stands by itself: it offers plain functions made commands by `with_settings`, or a `group` of them, and
imports what is heavy inside the function that needs it, because `--help` of a command imports its module.

Exit codes: 0 done, 1 the user or the configuration, 2 something outside, 3 a bug; 130 interrupted. The
parser's own 2 for a usage error would say `outside`, so it becomes 1 here. A reader that closes the pipe has
what it wanted: that ends quietly with 0.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

import typer

from cli.console import Console, ReaderGoneError, internal_error
from cli.contents import Entry, contents
from cli.settings import group, normalised
from events.kernel.errors import ExitCode, StagecraftError, UserError, error_code

USAGE_ERROR = error_code(
    "usage-error", "The command line names a flag, a command or a value that does not exist."
)

INTERRUPTED = 130  # as shells report a process that ended by SIGINT
_NEW_OBJECTS = 200_000  # between two looks for garbage; as many as all imports leave

CONTENTS = (
    Entry(
        "init",
        "cli.init",
        "init",
        "Start a project here: a project file and, where there is none, a Compose file that runs.",
    ),
    Entry(
        "demo",
        "cli.demo",
        "app",
        "Show a team's day with Stagecraft: deploy, merge, broken merge, revert, rollback.",
    ),
    Entry(
        "doctor",
        "cli.doctor",
        "doctor",
        "Check the tools, the engine, the home and the clock, one line each with the command that helps.",
    ),
    Entry(
        "plan",
        "cli.plan",
        "plan",
        "Show which containers a deploy would create, replace and remove, and why.",
    ),
    Entry("deploy", "cli.deploy", "deploy", "Deploy a commit of this repository and wait until it is up."),
    Entry(
        "rollback",
        "cli.rollback",
        "rollback",
        "Go back to a recorded Release, without Git, a registry or a build, and hold the environment there.",
    ),
    Entry(
        "adopt",
        "cli.adopt",
        "adopt",
        "Take over a Compose project that runs already, without restarting anything.",
    ),
    Entry(
        "prune",
        "cli.prune",
        "prune",
        "Take away services that left the Compose file, once confirmed, and images that nobody needs.",
    ),
    Entry(
        "destroy",
        "cli.destroy",
        "destroy",
        "Take an environment away: its containers and networks, and with --volumes its named volumes.",
    ),
    Entry("hold", "cli.hold", "hold", "Keep what is deployed, whatever is merged, until `resume`."),
    Entry("suspend", "cli.hold", "suspend", "Leave an environment alone: no deploy by Git, no healing."),
    Entry(
        "resume", "cli.hold", "resume", "End a hold or a suspend, and the rest of healing that did not last."
    ),
    Entry(
        "stop",
        "cli.steering",
        "stop",
        "Stop a service and keep it stopped: no heal starts it, until `start` or a deploy that changes it.",
    ),
    Entry("start", "cli.steering", "start", "Start a service that was stopped, and wait until it is up."),
    Entry(
        "restart",
        "cli.steering",
        "restart",
        "Restart the containers of a service, one after the other, and wait until it is up.",
    ),
    Entry(
        "drain",
        "cli.draining",
        "drain",
        "Send a service, or the containers of a host, no new requests, until `undrain`.",
    ),
    Entry(
        "undrain",
        "cli.draining",
        "undrain",
        "Send a service, or the containers of a host, requests again.",
    ),
    Entry(
        "status",
        "cli.status",
        "status",
        "Show whether an environment runs what it should: desired, deployed, running, hold.",
    ),
    Entry(
        "drift",
        "cli.drift",
        "drift",
        "Show what differs now between what is deployed and what runs, field by field.",
    ),
    Entry(
        "why",
        "cli.why",
        "why",
        "Say why a service, a container, a Release or a commit is as it is, from the log alone.",
    ),
    Entry(
        "logs",
        "cli.logs",
        "logs",
        "Show what the containers of an environment wrote, on all its hosts, in the order of its times.",
    ),
    Entry(
        "exec",
        "cli.exec",
        "execute",
        "Run a program in a running container of a service and answer with its exit code.",
    ),
    Entry(
        "ssh",
        "cli.ssh",
        "ssh",
        "Open a shell on a host, or run a command there and answer with its exit code.",
    ),
    Entry("releases", "cli.releases", "app", "The history of Releases."),
    Entry(
        "diff",
        "cli.diff",
        "diff",
        "Show what differs between two recorded versions of an environment: images, variables, files, "
        "routes.",
    ),
    Entry(
        "metrics",
        "cli.metrics",
        "metrics",
        "Show how changes get to an environment, by week: deployments, lead time, failures, time to restore.",
    ),
    Entry("events", "cli.events", "app", "The event log."),
    Entry("views", "cli.views", "app", "The views: what commands read, folded from the log."),
    Entry("audit", "cli.audit", "app", "Prove that the log is as it was written."),
    Entry(
        "backup",
        "cli.backup",
        "backup",
        "Copy the log, the names, the blobs and the settings into one file, while everything goes on.",
    ),
    Entry(
        "restore",
        "cli.backup",
        "restore",
        "Put a backup into the home, checked whole before anything is touched.",
    ),
    Entry("log", "cli.log", "app", "Go on in a new log when this one does not verify."),
    Entry("controller", "cli.controller", "app", "Watch branches and keep environments as they say."),
    Entry("repositories", "cli.repositories", "app", "The branches that are watched."),
    Entry("lock", "cli.lock", "app", "Who is changing an environment on this machine."),
    Entry("hosts", "cli.hosts", "app", "Hosts: where they are, what is there, and what makes a machine one."),
    Entry("config", "cli.config", "app", "See what stagecraft.yml and the Compose files come to."),
    Entry("version", "cli.version", "version", "Print the version."),
)

app = group(
    "Deploy Docker Compose apps to your own hosts when somebody merges.\n\n"
    "Global flags work before and after the command.\n\n"
    "Exit codes: 0 done, 1 you or the configuration, 2 something outside, 3 a bug.",
    root=True,
    kind=contents(CONTENTS),
)


def main() -> None:
    """The console script: run the command that argv names and exit with its code.

    Of what is installed beside us nothing takes part in our models: no plugin of pydantic is looked for.
    Rings of garbage are looked for seldom while a command loads what it needs, all of which stays, and not at
    all at its end, when the memory goes back with the process: the two took a twelfth and a seventh of a
    command. A daemon goes back to what is usual (`cli/daemon.py`).
    """
    gc.set_threshold(_NEW_OBJECTS)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code = run(sys.argv[1:])
    gc.freeze()
    sys.exit(code)


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
