"""Compose's own canonical document of a project, from materialised files.

The client loads, merges and interpolates; nothing of that is done here. Services with profiles take part when
`stagecraft.yml` names them: which profiles they have is only known after a load with every profile, so a
project that uses profiles and names services is loaded once more. What a `configs:` or `secrets:` entry takes
from a variable is not in the document; the client is asked for these values with a document of its own.
In an environment with a file of variables on its hosts, references to these stay references
(`gitops.compose.placeholders`).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from events.kernel.errors import UserError, Where, error_code
from gitops.compose.client import Output, Workshop, temporary
from gitops.compose.closure import Closure
from gitops.compose.confine import find_wall
from gitops.compose.envfiles import EnvFiles, ReadFile
from gitops.compose.exchange import exchanged
from gitops.compose.external import drop_external
from gitops.compose.faults import COMPOSE_PATH_REFUSED
from gitops.compose.placeholders import Layers, Placeholders, place
from gitops.compose.portable import portable
from gitops.compose.reads import of_host
from gitops.findings import Finding, FindingCode
from gitops.source.paths import parent, shown

VARIABLE_MISSING = error_code(
    "variable-missing", "A config or secret is taken from a variable that nothing sets."
)
_UNSET = re.compile(r'^The "(?P<name>[^"]+)" variable is not set\.')
_SEVERAL = "Found multiple config files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What the client made of the project; nothing of this machine is left in it."""

    document: dict[str, Any]
    services: frozenset[str]  # that the project has, also those that run outside or take no part
    values: dict[str, str]  # of variables that configs and secrets are taken from, and that were asked for
    findings: tuple[Finding, ...]
    asks_host: bool = False  # references to variables of a host's file are left in the document

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
    defaults: Mapping[str, str] = field(default_factory=dict[str, str])  # that any file may overrule
    env_file: str | None = None  # of the environment: a path of the tree, whether it is there or not
    host_file: str | None = None  # of the environment: a path of its hosts
    external: frozenset[str] = frozenset()  # services that run outside
    wanted: frozenset[str] = frozenset()  # variables whose values are asked for
    read: ReadFile = lambda _path: None  # for env files that only Compose can name
    preview: bool = False  # for showing: a variable that is needed and that nothing sets is blank


async def render(request: Request) -> Rendered:
    """Run the client.

    Raises UserError `compose-invalid`, `compose-too-large`, `compose-home-refused`, `path-escapes`,
    `compose-path-unsupported`, `compose-path-refused`, `variable-missing`, `host-variable-misplaced` or
    `host-reference-unclear`, and OutsideError `process-timed-out` or `compose-not-confined`.
    """
    with temporary() as folder:
        workshop = Workshop(Path(folder), await asyncio.to_thread(find_wall, os.defpath))
        await asyncio.to_thread(_put, workshop.put, workshop, request, request.closure.files)
        profiles, known = await _profiles(workshop, request)
        left = await _placeholders(workshop, request, profiles)
        loaded = await _load(workshop, request, profiles)
        document = portable(workshop, left.written(loaded.output.document))
        values = await _values(workshop, request, document)
    return Rendered(
        document=document,
        services=loaded.services | known,
        values=values,
        asks_host=bool(left.texts),
        findings=(
            *_findings(loaded.output.warnings),
            *left.findings,
            *loaded.findings,
            *_jobs_ignored(document),
        ),
    )


def _put(
    put: Callable[[Mapping[str, bytes]], None],
    workshop: Workshop,
    request: Request,
    files: Mapping[str, bytes],
) -> None:
    """Write the files with paths in place of references to other repositories."""
    place = workshop.place
    put({path: exchanged(path, content, request.closure, place) for path, content in files.items()})


async def _placeholders(workshop: Workshop, request: Request, profiles: Sequence[str]) -> Placeholders:
    """The references that are left to a file of the hosts, exchanged for marks in the workshop's files."""
    closure = request.closure
    if request.host_file is None:
        return Placeholders()

    async def ask(texts: Mapping[str, str | None]) -> dict[str, str | None]:
        return await _asked(workshop, request, texts)

    async def put(files: Mapping[str, bytes]) -> None:
        await asyncio.to_thread(_put, workshop.add, workshop, request, files)

    async def load() -> dict[str, Any]:
        unfilled = ("--no-interpolate", "--no-env-resolution", "--no-consistency")
        return (await _config(workshop, request, profiles, *unfilled)).document

    layers = Layers(
        files={path: closure.files[path] for path in closure.compose_files},
        supplied=closure.include_variables,
        outside=request.external,
        host_file=request.host_file,
    )
    found = await place(layers, ask=ask, put=put, load=load)
    if found is not None and not of_host(request.host_file):
        raise UserError(
            COMPOSE_PATH_REFUSED,
            f"{shown(request.host_file)!r} is no env file of a host",
            where=Where(key="env_file"),
            next="name a file that somebody wrote, as in /etc/platform/env",
        )
    return found or Placeholders()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """The project as the client gave it."""

    output: Output
    services: frozenset[str]
    findings: tuple[Finding, ...]


async def _load(workshop: Workshop, request: Request, profiles: Sequence[str]) -> _Loaded:
    """The project without the services that run outside.

    The client cannot leave out some env files and read the others, nor say which files they are while it
    reads them. Where that matters it is run on its own output, from which the env files of hosts were taken;
    they are left in the document as they are written. What a file of the repository says wins over a host's.
    """
    twice = request.closure.host_env or request.closure.named_env
    output = await _config(workshop, request, profiles, *(["--no-env-resolution"] if twice else []))
    services: dict[str, dict[str, Any]] = output.document.get("services", {})
    names = frozenset(services)
    findings = drop_external(services, request.external)
    if twice:
        files = EnvFiles(workshop=workshop, read=request.read, declared=request.env_file)
        output = await _with_env(workshop, request, profiles, first=output, files=files)
        findings += sorted(files.findings, key=lambda one: one.order)
    return _Loaded(output=output, services=names, findings=tuple(findings))


async def _profiles(workshop: Workshop, request: Request) -> tuple[list[str], frozenset[str]]:
    """The profiles of the services that are named, sorted; and all services that have any, named or not."""
    if not (request.closure.profiles and (request.named_services or request.external)):
        return [], frozenset()
    everything = await _config(workshop, request, ["*"], "--no-env-resolution", "--no-consistency")
    services: dict[str, Any] = everything.document.get("services", {})
    named = (services.get(name, {}) for name in request.named_services)
    return sorted({profile for service in named for profile in service.get("profiles", ())}), frozenset(
        services
    )


async def _config(workshop: Workshop, request: Request, profiles: Sequence[str], *more: str) -> Output:
    options = ["--file", str(workshop.root / request.compose_path), *_env_file(workshop, request)]
    options += [part for profile in profiles for part in ("--profile", profile)]
    return await workshop.config(
        project=request.compose_project,
        variables=request.variables,
        options=[*options, "config", "--format", "json", *more],
        folder=parent(request.compose_path),
    )


async def _with_env(
    workshop: Workshop, request: Request, profiles: Sequence[str], *, first: Output, files: EnvFiles
) -> Output:
    """`first`, which was loaded without env files, with the variables of those that are in the tree."""
    services: dict[str, dict[str, Any]] = first.document.get("services", {})
    kept: dict[str, list[Any]] = {}
    for name, service in services.items():
        listed: list[dict[str, Any]] = service.pop("env_file", [])
        ours, kept[name] = await asyncio.to_thread(files.take, name, listed)
        if ours:
            service["env_file"] = ours
    await asyncio.to_thread(workshop.add, files.of_tree)
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
    """The layers of variables by name, the lowest first, because the client is told to look for none itself.

    They are our defaults, the `.env` beside the Compose file and the environment's own file; above them
    are the variables that the client is started with.
    """
    lines = "".join(f"{name}={value}\n" for name, value in sorted(request.defaults.items()))
    layers = [workshop.place_aside("defaults.env", lines.encode())] if lines else []
    files = (request.closure.dotenv, request.env_file)
    layers += [str(workshop.root / path) for path in files if path in request.closure.files]
    return [part for layer in layers for part in ("--env-file", layer)]


async def _values(workshop: Workshop, request: Request, document: dict[str, Any]) -> dict[str, str]:
    """The variables that configs and secrets are taken from, which have to be set, and those asked for.

    Raises UserError `variable-missing`.
    """
    sources = [*document.get("configs", {}).items(), *document.get("secrets", {}).items()]
    names = {source["environment"]: key for key, source in sources if "environment" in source}
    asked = sorted({*names, *request.wanted})
    if not asked:
        return {}
    found = await _asked(workshop, request, dict.fromkeys(asked))
    for name, key in names.items():
        if found[name] is None and not request.preview:
            raise UserError(
                VARIABLE_MISSING,
                f"{key} is taken from the variable {name}, which nothing sets",
                where=Where(file=request.compose_path, key=key),
                next=f"set {name} in .env beside the Compose file",
            )
    needed = {name: value or "" for name, value in found.items() if name in names}
    set_ones = {name: value for name, value in found.items() if value is not None}
    return {name: _unescaped(value) for name, value in {**needed, **set_ones}.items()}


async def _asked(
    workshop: Workshop, request: Request, texts: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Texts by name as the client fills them in, with `$` doubled; for None the variable of that name."""
    probe = {"services": {"probe": {"image": "probe", "environment": dict(texts)}}}
    output = await workshop.config(
        project=request.compose_project,
        variables=request.variables,
        options=["--file", "-", *_env_file(workshop, request), "config", "--format", "json"],
        folder=parent(request.compose_path),
        stdin=json.dumps(probe).encode(),
    )
    found: dict[str, str | None] = output.document["services"]["probe"]["environment"]
    return found


def _unescaped(text: str) -> str:
    """A text of a rendered document as the container sees it."""
    return text.replace("$$", "$")


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
