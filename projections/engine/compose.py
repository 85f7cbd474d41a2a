"""The Compose client, started only to act on an engine.

Nothing of the caller's environment reaches it and nothing of the document reaches a disk, an argument list
or a variable: the document goes in on standard input, and the variables of a host that it refers to in a
file that is in memory alone. It pulls, builds and removes nothing by itself and
answers no question: `-y` would delete a volume's data, `--remove-orphans` other people's containers, and
`--wait` would make a health wait that nobody can end. That last rule is kept in the document too: Compose
waits for the condition of every `depends_on` between two services that it is given, asked or not, so the
conditions are lowered to an order of starting. They are not part of Compose's own hash, so this replaces
no container.

Its exit code is 1 for everything. Whether the document or the world is at fault is not guessed from its
words, which change with each version: the same document is given to `config`, which asks no engine. An
exit code of 0 proves nothing either; whoever calls looks at the containers.

One process per Compose project at a time; the caller holds the lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from events.kernel.compose_client import compose_client, compose_environment
from events.kernel.errors import OutsideError, UserError, Where
from events.kernel.process import PROCESS_TIMED_OUT, Finished, run
from events.references import mapped_texts, plain
from projections.engine.compose_words import failure_words, parse_prediction
from projections.engine.errors import COMPOSE_FAILED, COMPOSE_REFUSED, shown
from projections.engine.port import App, Prediction

# Ten slow stops of a minute each, one after the other; nothing is pulled, built or waited for.
UP_SECONDS = 600.0
ASK_SECONDS = 60.0  # a dry run and `config` take 0.1 s; a minute is an engine that does not answer
# Labels of the containers name it and nothing reads it: a relative path that got this far leads nowhere.
_PROJECT_DIRECTORY = "/.stagecraft"

_JOB_ID = re.compile(r"^[0-9a-f]{64}$", re.MULTILINE)
_JOB_NOT_STARTED = re.compile(r"failed to start containers?: ([0-9a-f]{64})")


class ComposeClient:
    """Runs the pinned client against one engine."""

    def __init__(
        self,
        *,
        engine: Mapping[str, str],
        run_folder: Path,
        up_seconds: float = UP_SECONDS,
        ask_seconds: float = ASK_SECONDS,
    ) -> None:
        """`engine` holds the variables that say where the engine is: DOCKER_HOST and what TLS needs."""
        self._engine = dict(engine)
        self._home = run_folder / "compose-home"
        self._up_seconds = up_seconds
        self._ask_seconds = ask_seconds

    async def predict(self, app: App, services: Sequence[str]) -> Prediction:
        """The dry run of `up`. Raises UserError `compose-refused` and OutsideError `compose-failed`.

        It sees neither a missing image nor a taken port.
        """
        if not services:
            return Prediction()
        finished = await self._run(app, ["--dry-run", *_up(services)], seconds=self._ask_seconds)
        if finished.code != 0:
            raise await self._failure(app, services, finished, doing="try out")
        return parse_prediction(_text(finished.stdout), _text(finished.stderr))

    async def up(self, app: App, services: Sequence[str]) -> None:
        """Bring up `services` alone; no services is no call, because to Compose it would mean all of them.

        Raises UserError `compose-refused` and OutsideError `compose-failed`, the latter also when Compose
        asked for a volume's data: it was answered no and the volume is as it was.
        """
        if services:
            await self._brought_up(app, services, _up(services))

    async def _brought_up(self, app: App, services: Sequence[str], arguments: Sequence[str]) -> None:
        finished = await self._run(app, arguments, seconds=self._up_seconds)
        if finished.code != 0:
            raise await self._failure(app, services, finished, doing="bring up")
        if question := shown(_text(finished.stdout)):
            raise OutsideError(
                COMPOSE_FAILED,
                f"Compose asked a question about {app.compose_project} and was answered no",
                why=question,
                next="write the volume's options as they are in the engine, or give it another name",
            )

    async def up_beside(self, app: App, counts: Mapping[str, int]) -> None:
        """Bring each service to so many containers and replace none; no services is no call.

        `--scale` goes over what the document says of replicas. Raises as `up` does.
        """
        if counts:
            await self._brought_up(app, sorted(counts), _up_beside(counts))

    async def run_job(self, app: App, service: str) -> str:
        """Start a one-off container and answer its id, also when it was made and could not be started.

        Then it is in the state `created`, with the engine's words in its error. Standard input is closed: a
        job that reads it must come to an end. Raises UserError `compose-refused` and OutsideError
        `compose-failed` when there is no container.
        """
        arguments = ["run", "--detach", "--no-TTY", "--interactive=false", "--no-deps", "--pull", "never"]
        finished = await self._run(app, [*arguments, "--", service], seconds=self._up_seconds)
        if finished.code == 0 and (printed := _JOB_ID.findall(_text(finished.stdout))):
            return str(printed[-1])
        if not_started := _JOB_NOT_STARTED.search(failure_words(finished)):
            return not_started[1]
        raise await self._failure(app, [service], finished, doing="run the job")

    async def _failure(
        self, app: App, services: Sequence[str], finished: Finished, *, doing: str
    ) -> UserError | OutsideError:
        """The error to raise for a run that failed, by what `config` says of the same document."""
        checked = await self._run(app, ["config", "--quiet", "--", *services], seconds=self._ask_seconds)
        what = f"{', '.join(services)} of {app.compose_project}"
        if checked.code != 0:
            return _refused(f"Compose does not accept the document of {what}", why=failure_words(checked))
        return OutsideError(
            COMPOSE_FAILED,
            f"Compose could not {doing} {what}",
            where=Where(service=services[0] if len(services) == 1 else None),
            why=failure_words(finished),
            next="see what is there now: `docker ps -a --filter "
            f"label=com.docker.compose.project={app.compose_project}`",
        )

    async def _run(self, app: App, arguments: Sequence[str], *, seconds: float) -> Finished:
        """One run of the client. Raises OutsideError `compose-failed` at its deadline."""
        document = json.dumps(_without_waits(_without_programs(_without_errors(app)))).encode()
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = ["--progress", "json", "--ansi", "never", "--project-directory", _PROJECT_DIRECTORY]
        with _variables(app) as given:
            options += [part for descriptor in given for part in ("--env-file", f"/dev/fd/{descriptor}")]
            return await self._started(
                app,
                [*options, "-p", app.compose_project, "-f", "-", *arguments],
                document=document,
                passed=given,
                seconds=seconds,
            )

    async def _started(
        self, app: App, arguments: Sequence[str], *, document: bytes, passed: Sequence[int], seconds: float
    ) -> Finished:
        try:
            return await run(
                [str(compose_client()), *arguments],
                env={
                    **compose_environment(self._home),
                    "COMPOSE_IGNORE_ORPHANS": "true",  # else it warns of every finished job
                    **self._engine,
                },
                cwd=self._home,
                stdin=document,
                passed=passed,
                deadline_seconds=seconds,
            )
        except OutsideError as error:
            if error.code != PROCESS_TIMED_OUT:
                raise
            raise OutsideError(
                COMPOSE_FAILED,
                f"Compose was not done with {app.compose_project} after {seconds:g} s and was stopped",
                why=error.why,
                next="look for a container that does not stop: `docker ps -a --filter "
                f"label=com.docker.compose.project={app.compose_project}`",
            ) from error


_UP = ("up", "--detach", "--no-deps", "--no-build", "--pull", "never")


def _up(services: Sequence[str]) -> list[str]:
    """`--` because a service may be called `-y`."""
    return [*_UP, "--", *services]


def _up_beside(counts: Mapping[str, int]) -> list[str]:
    scales = [part for name, count in sorted(counts.items()) for part in ("--scale", f"{name}={count}")]
    return [*_UP, "--no-recreate", *scales, "--", *sorted(counts)]


def _services(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The services, none for a document that Compose will refuse anyway."""
    services = document.get("services")
    return cast("Mapping[str, Any]", services) if isinstance(services, Mapping) else {}


def _without_waits(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with every `depends_on` lowered to an order of starting."""
    if not (services := _services(document)):
        return document
    return {**document, "services": {name: _lowered(service) for name, service in services.items()}}


def _lowered(service: Any) -> Any:  # noqa: ANN401  # a part of a document that nobody has checked yet
    """The service, waiting for others to be started and for nothing more."""
    if not isinstance(service, Mapping):
        return service
    definition = cast("Mapping[str, Any]", service)
    needs = definition.get("depends_on")
    if not isinstance(needs, Mapping):
        return definition  # the short form, a list, is an order and nothing else
    named = cast("Mapping[str, Mapping[str, Any]]", needs)
    lowered = {name: {**need, "condition": "service_started"} for name, need in named.items()}
    return {**definition, "depends_on": lowered}


@contextlib.contextmanager
def _variables(app: App) -> Generator[tuple[int, ...]]:
    """An open file with the host's variables, in memory alone; none where the document refers to none."""
    if app.host_file is None or app.host_file.content is None:
        yield ()
        return
    descriptor = os.memfd_create("variables", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(app.host_file.content)
        yield (descriptor,)
    finally:
        os.close(descriptor)


def _without_errors(app: App) -> Mapping[str, Any]:
    """The document with no reference that ends a run for a service which it does not touch.

    Those that it touches were looked at before (`projections.converge.hostenv`).
    """
    if app.host_file is None:
        return app.document
    return cast("Mapping[str, Any]", mapped_texts(app.document, plain))


def _without_programs(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document. Raises UserError `compose-refused` for a service that is a program on this machine.

    Compose would start it here, also in a dry run, with the rights of the controller.
    """
    for name, service in _services(document).items():
        if isinstance(service, Mapping) and "provider" in service:
            raise _refused(
                f"service {name} names a program that Compose would start on the controller",
                why="a `provider` is not supported",
                where=Where(key=f"services.{name}.provider", service=name),
            )
    return document


def _refused(message: str, *, why: str, where: Where | None = None) -> UserError:
    return UserError(
        COMPOSE_REFUSED,
        message,
        where=where or Where(),
        why=why,
        next="see the document with `stagecraft config render` and correct the Compose file",
    )


def _text(stream: bytes) -> str:
    return stream.decode(errors="replace")
