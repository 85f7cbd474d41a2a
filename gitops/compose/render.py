"""Compose's own canonical document of a project, from materialised files.

The client loads, merges and interpolates; nothing of that is done here. Services with profiles take part when
`stagecraft.yml` names them: which profiles they have is only known after a load with every profile, so a
project that uses profiles and names services is loaded once more. What a `configs:` or `secrets:` entry takes
from a variable is not in the document; the client is asked for these values with a document of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from events.kernel.errors import UserError, Where, error_code
from gitops.compose.client import Output, Workshop, temporary
from gitops.compose.closure import Closure
from gitops.compose.confine import find_wall
from gitops.compose.faults import COMPOSE_HOME_REFUSED, COMPOSE_PATH_REFUSED
from gitops.findings import Finding, FindingCode
from gitops.source.paths import PATH_ESCAPES, parent

VARIABLE_MISSING = error_code(
    "variable-missing", "A config or secret is taken from a variable that nothing sets."
)
COMPOSE_PATH_UNSUPPORTED = error_code(
    "compose-path-unsupported",
    "A Compose key holds a path of the repository where Stagecraft cannot follow it.",
)

_UNSET = re.compile(r'^The "(?P<name>[^"]+)" variable is not set\.')
_SEVERAL = "Found multiple config files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What the client made of the project; nothing of this machine is left in it."""

    document: dict[str, Any]
    values: dict[str, str]  # of the variables that configs and secrets are taken from
    findings: tuple[Finding, ...]

    @property
    def unset_variables(self) -> tuple[str, ...]:
        """The variables that nothing sets, which are blank in the document, sorted."""
        unset = (one.key for one in self.findings if one.code is FindingCode.VARIABLE_UNSET)
        return tuple(sorted({name for name in unset if name}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is rendered."""

    compose_path: str
    closure: Closure
    compose_project: str
    named_services: Collection[str]  # of which the profiles are active
    variables: Mapping[str, str]
    preview: bool = False  # for showing: a variable that is needed and that nothing sets is blank


_OURS = "/.stagecraft/"
COMMIT_PREFIX = f"{_OURS}commit/"
"""Stands before a path of the tree in a rendered document, in place of the folder it was rendered in."""


async def render(request: Request) -> Rendered:
    """Run the client.

    Raises UserError `compose-invalid`, `compose-too-large`, `compose-home-refused`, `path-escapes`,
    `compose-path-unsupported` or `variable-missing`, and OutsideError `process-timed-out` or
    `compose-not-confined`.
    """
    with temporary() as folder:
        workshop = Workshop(Path(folder), await asyncio.to_thread(find_wall, os.defpath))
        await asyncio.to_thread(workshop.put, request.closure.files)
        profiles = await _profiles(workshop, request)
        if request.closure.host_env:
            output = await _config_with_host_env(workshop, request, profiles)
        else:
            output = await _config(workshop, request, profiles)
        document = portable(workshop, output.document)
        values = await _values(workshop, request, document)
    findings = (*_findings(output.warnings), *_jobs_ignored(document))
    return Rendered(document=document, values=values, findings=findings)


async def _profiles(workshop: Workshop, request: Request) -> list[str]:
    """The profiles of the services that are named, sorted."""
    if not (request.closure.profiles and request.named_services):
        return []
    everything = await _config(workshop, request, ["*"], "--no-env-resolution", "--no-consistency")
    services: dict[str, Any] = everything.document.get("services", {})
    named = (services.get(name, {}) for name in request.named_services)
    return sorted({profile for service in named for profile in service.get("profiles", ())})


async def _config(workshop: Workshop, request: Request, profiles: Sequence[str], *more: str) -> Output:
    options = ["--file", str(workshop.root / request.compose_path), *_env_file(workshop, request)]
    options += [part for profile in profiles for part in ("--profile", profile)]
    return await workshop.config(
        project=request.compose_project,
        variables=request.variables,
        options=[*options, "config", "--format", "json", *more],
        folder=parent(request.compose_path),
    )


async def _config_with_host_env(workshop: Workshop, request: Request, profiles: Sequence[str]) -> Output:
    """As `_config`, with the env files of hosts left in the document as they are written.

    The client cannot leave out some env files and read the others, so it is run on its own output, from
    which those of hosts were taken. What a file of the repository says wins over a host's.
    """
    first = await _config(workshop, request, profiles, "--no-env-resolution")
    services: dict[str, dict[str, Any]] = first.document.get("services", {})
    kept: dict[str, list[dict[str, Any]]] = {}
    for name, service in services.items():
        listed: list[dict[str, Any]] = service.pop("env_file", [])
        ours = [entry for entry in listed if workshop.private(str(entry["path"]))]
        kept[name] = [entry for entry in listed if entry not in ours]
        if ours:
            service["env_file"] = ours
    active = [part for profile in profiles for part in ("--profile", profile)]
    second = await workshop.config(
        project=request.compose_project,
        variables=request.variables,
        options=["--file", "-", *_env_file(workshop, request), *active, "config", "--format", "json"],
        folder=parent(request.compose_path),
        stdin=json.dumps(first.document).encode(),
    )
    for name, entries in kept.items():
        if entries:
            second.document["services"][name]["env_file"] = entries
    warnings = tuple(dict.fromkeys([*first.warnings, *second.warnings]))
    return Output(document=second.document, warnings=warnings)


def _env_file(workshop: Workshop, request: Request) -> list[str]:
    """The `.env` beside the Compose file by name, because the client is told to look for none by itself."""
    dotenv = request.closure.dotenv
    return [] if dotenv is None else ["--env-file", str(workshop.root / dotenv)]


async def _values(workshop: Workshop, request: Request, document: dict[str, Any]) -> dict[str, str]:
    """The variables that configs and secrets are taken from. Raises UserError `variable-missing`."""
    sources = [*document.get("configs", {}).items(), *document.get("secrets", {}).items()]
    names = {source["environment"]: key for key, source in sources if "environment" in source}
    if not names:
        return {}
    probe = {"services": {"probe": {"image": "probe", "environment": sorted(names)}}}
    output = await workshop.config(
        project=request.compose_project,
        variables=request.variables,
        options=["--file", "-", *_env_file(workshop, request), "config", "--format", "json"],
        folder=parent(request.compose_path),
        stdin=json.dumps(probe).encode(),
    )
    found: dict[str, str | None] = output.document["services"]["probe"]["environment"]
    for name, value in found.items():
        if value is None and not request.preview:
            raise UserError(
                VARIABLE_MISSING,
                f"{names[name]} is taken from the variable {name}, which nothing sets",
                where=Where(file=request.compose_path, key=names[name]),
                next=f"set {name} in .env beside the Compose file",
            )
    return {name: _unescaped(value or "") for name, value in found.items()}


def _unescaped(text: str) -> str:
    """A text of a rendered document as the container sees it."""
    return text.replace("$$", "$")


def portable(workshop: Workshop, document: dict[str, Any]) -> dict[str, Any]:
    """The document with `COMMIT_PREFIX` in place of the folder, and nothing else of this machine.

    Raises UserError `compose-home-refused`, `path-escapes`, `compose-path-refused` or
    `compose-path-unsupported`.
    """
    return {key: _portable_value(workshop, value, key) for key, value in document.items()}


def _portable_value(workshop: Workshop, value: Any, key: str) -> Any:  # noqa: ANN401  # a JSON value
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {name: _portable_value(workshop, inner, f"{key}.{name}") for name, inner in items.items()}
    if isinstance(value, list):
        listed = enumerate(cast("Iterable[Any]", value))
        return [_portable_value(workshop, inner, f"{key}[{at}]") for at, inner in listed]
    if not isinstance(value, str):
        return value
    if value.startswith(_OURS):
        raise UserError(
            COMPOSE_PATH_REFUSED, f"paths below {_OURS} are Stagecraft's own", where=Where(key=key)
        )
    if not workshop.private(value):
        return value
    inner = workshop.inner(value)
    if inner is None:
        raise _not_portable(workshop, value, key)
    return f"{COMMIT_PREFIX}{inner}"


def _not_portable(workshop: Workshop, value: str, key: str) -> UserError:
    """Why a text cannot be recorded."""
    if workshop.at_home(value):
        return UserError(
            COMPOSE_HOME_REFUSED,
            "the home folder of whoever runs Compose is used",
            where=Where(key=key),
            next="write the path itself",
        )
    if workshop.escaping(value):
        return UserError(PATH_ESCAPES, "the path leads out of the repository", where=Where(key=key))
    return path_unsupported(key)


def path_unsupported(key: str) -> UserError:
    """The error for a path of the repository at a key where none can be used."""
    return UserError(
        COMPOSE_PATH_UNSUPPORTED, f"{key} cannot hold a path of the repository", where=Where(key=key)
    )


def _jobs_ignored(document: Mapping[str, Any]) -> Iterable[Finding]:
    for name in sorted(document.get("jobs") or ()):
        message = f"{name} is not run; a service with job: in stagecraft.yml is"
        yield Finding(code=FindingCode.JOBS_IGNORED, message=message, key=f"jobs.{name}")


def _findings(warnings: Sequence[str]) -> tuple[Finding, ...]:
    found: list[Finding] = []
    for warning in warnings:
        unset = _UNSET.match(warning)
        if unset:
            message = f"nothing sets {unset['name']}; it renders blank"
            found.append(Finding(code=FindingCode.VARIABLE_UNSET, message=message, key=unset["name"]))
        elif not warning.startswith(_SEVERAL):
            found.append(Finding(code=FindingCode.COMPOSE_WARNING, message=warning))
    return tuple(sorted(found, key=lambda finding: (finding.code, finding.message)))
