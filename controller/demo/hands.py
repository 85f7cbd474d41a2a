"""Programs as the demo runs them for its team: git free of configuration, commands line by line."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from events.kernel.errors import OutsideError, error_code

DEMO_GIT_FAILED = error_code("demo-git-failed", "Git did not do what the demo asked of it.")

COMMAND_SECONDS = 120.0  # a command takes 3 s; a machine under load may take ten times as long


def git(*arguments: str, cwd: Path) -> str:
    """Run git and answer what it printed. Raises OutsideError `demo-git-failed`."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(cwd),
                "LC_ALL": "C",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            check=True,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise OutsideError(
            DEMO_GIT_FAILED, "the demo needs git", why=str(error), next="install it: `apt-get install git`"
        ) from error
    except (subprocess.SubprocessError, OSError) as error:
        why = str(getattr(error, "stderr", "") or error).strip()
        raise OutsideError(DEMO_GIT_FAILED, f"`{typed('git', *arguments)}` failed", why=why) from error
    return done.stdout.strip()


@contextmanager
def running(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Generator[subprocess.Popen[str]]:
    """A command whose output, errors too, is read from `stdout` within the block; it has ended after it.

    It is killed at its deadline, and when the block is left by an exception: what it works on is about to be
    removed then.
    """
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        late = threading.Timer(COMMAND_SECONDS, process.kill)
        late.start()
        try:
            yield process
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            late.cancel()


def typed(*words: str) -> str:
    """A command as a person would type it."""
    return " ".join(f'"{word}"' if " " in word else word for word in words)
