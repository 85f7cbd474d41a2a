"""The ssh program as a person uses it towards a host of a lab."""

from __future__ import annotations

import subprocess
from pathlib import Path

CONNECT_SECONDS = 20
_SECONDS = 60


def ssh(
    address: str,
    command: str,
    *,
    identity_file: Path,
    known_hosts: Path,
    user: str = "root",
    connect_seconds: int = CONNECT_SECONDS,
    program: str = "ssh",
) -> str:
    """What a command printed that ran on a host; where it failed, `no: ` and what was complained of.

    `program` may be `sftp`, and then `command` is its batch.
    """
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(connect_seconds),
        "IdentitiesOnly": "yes",
        "IdentityFile": str(identity_file),
        "UserKnownHostsFile": str(known_hosts),
        "StrictHostKeyChecking": "yes",
    }
    words = [word for option, value in options.items() for word in ("-o", f"{option}={value}")]
    batch = program == "sftp"
    done = subprocess.run(
        [program, "-F", "none", *words, f"{user}@{address}", *([] if batch else [command])],
        check=False,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        input=command if batch else "",
    )
    return done.stdout.strip() if done.returncode == 0 else f"no: {done.stderr.strip()}"
