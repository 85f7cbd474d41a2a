"""The two that are compared: the installed command, and the pinned Compose client as a person runs it."""

from __future__ import annotations

import json
import re
import resource
from dataclasses import dataclass
from typing import Any

from events.kernel.compose_client import compose_client, compose_environment
from events.kernel.errors import OutsideError
from events.kernel.process import Finished, run
from tests.parity.apps import COMPOSE_PROJECT, ENVIRONMENT, PROJECT, App, Stage
from tests.support.cli import COMMAND

DEADLINE_SECONDS = 90.0  # of one run of one side
_MEMORY_BYTES = 2 * 1024**3  # of data: what a file of a few kilobytes may make Compose ask for
_CPU_SECONDS = 60
_LIMITS = {resource.RLIMIT_DATA: _MEMORY_BYTES, resource.RLIMIT_CPU: _CPU_SECONDS}
_ERROR = re.compile(r"^error: (?P<code>[a-z-]+): (?P<message>.*)$", re.MULTILINE)
_FINDING = re.compile(r"(?:^|[ :])(?P<code>[a-z]+(?:-[a-z]+)+):", re.MULTILINE)
_BUG = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one side made of an app: a document, or why there is none."""

    document: dict[str, Any] | None = None
    code: str = ""  # of an error of ours
    reason: str = ""  # one line
    is_bug: bool = False
    findings: frozenset[str] = frozenset()  # codes


async def ours(stage: Stage, app: App, revision: str) -> Answer:
    """What `stagecraft config render` says of a commit."""
    words = ["config", "render", "--no-pin", "--json", "--env", ENVIRONMENT, "--rev", revision]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(stage.client_home), "NO_COLOR": "1"}
    try:
        done = await run(
            [str(COMMAND), *words],
            env={**environment, "STAGECRAFT_HOME": str(stage.home)},
            cwd=stage.root / app.folder,
            deadline_seconds=DEADLINE_SECONDS,
        )
    except OutsideError as error:
        return Answer(code=error.code, reason=error.message, is_bug=True)
    said = done.stderr.decode(errors="replace")
    if done.code == 0:
        findings = frozenset(found["code"] for found in _FINDING.finditer(said))
        return Answer(document=json.loads(done.stdout), findings=findings)
    refusal = _ERROR.search(said)
    if refusal is None:
        return Answer(code="no-error-code", reason=_line(said), is_bug=True)
    why = said.partition("why:")[2].partition("\n  next:")[0]
    reason = why if refusal["code"] == "compose-invalid" and why else refusal["message"]
    return Answer(code=refusal["code"], reason=_line(reason), is_bug=done.code == _BUG)


async def theirs(stage: Stage, app: App, revision: str, *, every_profile: bool) -> Answer:
    """What `docker compose config` says of the same file in the same folder."""
    file = stage.root / app.path
    dotenv = file.with_name(".env")
    words = ["--ansi", "never", "--project-name", COMPOSE_PROJECT, "--file", str(file)]
    words += ["--env-file", str(dotenv)] if dotenv.is_file() else []
    host = stage.host_file(app)
    words += [] if host is None else ["--env-file", str(host)]
    words += ["--profile", "*"] if every_profile else []
    try:
        done = await run(
            [str(compose_client()), *words, "config", "--format", "json"],
            env={**compose_environment(stage.client_home), **variables(revision)},
            cwd=file.parent,
            deadline_seconds=DEADLINE_SECONDS,
            limits=_LIMITS,
        )
    except OutsideError as error:
        return Answer(reason=error.message)
    return Answer(document=json.loads(done.stdout)) if done.code == 0 else Answer(reason=_last(done))


def variables(revision: str) -> dict[str, str]:
    """The variables that Stagecraft gives, which are documented, so Compose has them too."""
    return {
        "STAGECRAFT_PROJECT": PROJECT,
        "STAGECRAFT_ENVIRONMENT": ENVIRONMENT,
        "STAGECRAFT_VERSION": revision,
        "IMAGE_TAG": revision,
        "COMPOSE_PROFILES": "",
    }


def _last(done: Finished) -> str:
    lines = [line for line in done.error_text.splitlines() if not line.startswith("time=")]
    return _line(" ".join(lines)) or f"ended with {done.code}"


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
