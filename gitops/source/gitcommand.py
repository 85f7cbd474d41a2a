"""The surroundings in which Git runs: nothing of the caller's but the way it uses SSH.

A file of ours stands in for the global configuration instead of `-c` options, because Git hands options on
the command line not to the process it starts for a repository on the same machine, and that process checks
the owner too. What would run a program by a repository's own configuration is switched off on the command
line, which wins over it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from events.kernel.errors import OutsideError, error_code
from gitops.source.ssh import ssh_command

GIT_FAILED = error_code("git-failed", "Git could not do what was asked of a repository on this machine.")

READ_SECONDS: Final = 30.0
_CONFIG = Path(__file__).with_name("gitconfig")
_NO_PROGRAMS = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("log.showSignature", "false"),
    ("i18n.logOutputEncoding", "utf-8"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
)
_SCHEMES = "file:ssh:https:http"


def local_environment(settings: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Variables for a command on a repository of this machine; no transport works in it.

    `settings` are configuration keys; one may come several times, as Git allows it.
    """
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(_CONFIG),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "LC_ALL": "C",
        **_configured((*_NO_PROGRAMS, *settings)),
    }


def network_environment(settings: Iterable[tuple[str, str]]) -> dict[str, str]:
    """All variables for a command that speaks to another repository; `settings` are configuration keys.

    A key may come several times, as Git allows it.
    """
    passed = {name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK") if name in os.environ}
    return {
        **local_environment(settings),
        **passed,
        "GIT_ALLOW_PROTOCOL": _SCHEMES,
        "GIT_SSH_COMMAND": ssh_command(),
    }


def git_failed(what: str, why: str) -> OutsideError:
    """The error for a local command that did not work; `why` are Git's own words, redacted."""
    return OutsideError(GIT_FAILED, what, why=why, next="git fsck in that repository")


def _configured(settings: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Configuration as variables: it wins over every file and is in no argument list."""
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables
