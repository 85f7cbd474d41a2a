"""Making a machine a host: an engine that answers, and a folder that is ours. Nothing else is put there.

First each machine is looked at, by one read-only command, and what would be done there follows from that
alone (`plan_of`, pure), so it can be told before anything is done. Then it is done, step by step, each step
looked at afterwards; a step that is done already is not in the plan, so a second run changes nothing. A
machine that fails is that machine's result and stops no other. There are no retries: a person who reads why
calls again.

What a host's result says comes from a closed set of codes (`Code`), because programs decide by it.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from controller.host_facts import HostFacts, facts_of
from events.catalog.host import HostBootstrapped
from events.kernel.errors import StagecraftError, UserError, error_code
from events.kernel.redact import REDACT, printable
from events.streams import LOCAL_HOST, host_stream
from projections.transport.port import HOST_SILENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.host_checks import Asked
    from events.kernel.clock import Clock
    from events.recorder import Recorder
    from projections.transport.port import Ran, Transport

BOOTSTRAP_FAILED = error_code("bootstrap-failed", "Some machine could not be made a host; each says why.")

Install = Literal["apt", "script", "skip"]
Status = Literal["success", "failed", "skipped"]
Code = Literal[
    "ssh_failed",
    "docker_detect_failed",
    "docker_install_failed",
    "docker_verify_failed",
    "network_install_failed",
    "network_join_failed",
    "config_invalid",
]

_INSTALL_SECONDS = 900.0
_STEP_SECONDS = 60.0
_VERIFY_SECONDS = 60.0  # an engine that was just installed takes its time
_VERIFY_PAUSE_SECONDS = 1.0
_MOST_WORDS = 500
_PATIENT = "-o DPkg::Lock::Timeout=120"  # another installation may be under way
_APT = (
    f"apt-get {_PATIENT} update -q && "
    f"DEBIAN_FRONTEND=noninteractive apt-get {_PATIENT} install -q -y --no-install-recommends docker.io"
)
_SCRIPT = (
    "f=$(mktemp) && trap 'rm -f \"$f\"' EXIT && "
    'curl -fsSL --max-time 120 https://get.docker.com -o "$f" && sh "$f"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do on a machine, as root there."""

    does: str  # for people, and for the record once it is done
    script: str  # for `sh -c`
    code: Code  # when it fails
    seconds: float = _STEP_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class HostResult:
    """What became of one machine, or would."""

    host: str
    status: Status
    code: Code | None = None
    done: tuple[str, ...] = ()  # what was changed
    plan: tuple[str, ...] = ()  # what would be changed, or was to be
    engine_version: str = ""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.host}: {self.status}" + (f" ({self.code})" if self.code else "")

    def as_json(self) -> dict[str, Any]:
        """One of `hosts` in `hosts bootstrap --json`."""
        return {
            "host": self.host,
            "status": self.status,
            "code": self.code,
            "plan": list(self.plan),
            "done": list(self.done),
            "engine_version": self.engine_version or None,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A machine that was looked at: what is to be done, or the result that it has already."""

    asked: Asked
    facts: HostFacts = field(default_factory=HostFacts)
    steps: tuple[Step, ...] = ()
    result: HostResult | None = None  # set: nothing is to be done

    @property
    def host(self) -> str:
        """Its name."""
        return self.asked.name

    @property
    def foretold(self) -> HostResult:
        """What would come of it, when each step goes well."""
        plan = tuple(step.does for step in self.steps)
        ready = HostResult(host=self.host, status="success", plan=plan, engine_version=self.facts.server)
        return self.result or ready


async def prepare_hosts(asked: Sequence[Asked], *, install: Install, clock: Clock) -> list[Prepared]:
    """Look at all machines at once; nothing is changed. Sorted by name."""
    every = sorted(asked, key=lambda one: one.name)
    return list(await asyncio.gather(*(_prepare(one, install=install, clock=clock) for one in every)))


async def bootstrap_hosts(
    prepared: Sequence[Prepared],
    *,
    clock: Clock,
    recorder: Callable[[], Recorder],
    say: Callable[[str], None],
) -> list[HostResult]:
    """Do what is to be done, on all machines at once, and record what came of it. Sorted by name.

    A machine on which nothing was to be done leaves no event.
    """
    every = sorted(prepared, key=lambda one: one.host)
    results = await asyncio.gather(*(_bootstrap(one, clock=clock, say=say) for one in every))
    for one in results:
        if one.status == "failed" or one.done:
            recorder().append(
                host_stream(one.host),
                HostBootstrapped(
                    host=one.host,
                    status="failed" if one.status == "failed" else "success",
                    code=one.code,
                    done=one.done,
                    engine_version=one.engine_version,
                    why=one.why,
                ),
            )
    return list(results)


def plan_of(facts: HostFacts, *, root: str, user: str, install: Install) -> tuple[Step, ...]:
    """What is to be done on a machine that told these facts.

    Raises UserError with `bootstrap-failed`, whose `where.key` is the code, for what cannot be done.
    """
    steps: list[Step] = []
    if not facts.client and install != "skip":
        steps.append(_install(facts, install))
    if facts.root == "other":
        raise _impossible("config_invalid", f"{root} is there and no folder")
    quoted, owner = shlex.quote(root), shlex.quote(user)
    if facts.root == "missing":
        steps.append(
            Step(
                does=f"make {root} for {user}",
                script=f"mkdir -p -m 0755 {quoted} && chown {owner}: {quoted}",
                code="config_invalid",
            )
        )
    elif not facts.root_writable or (facts.root_owner and facts.root_owner != user):
        steps.append(
            Step(does=f"give {root} to {user}", script=f"chown {owner}: {quoted}", code="config_invalid")
        )
    if steps and not facts.privileged:
        raise _impossible(
            steps[0].code, f"{facts.user or user} is not root there, and `sudo` asks for a password"
        )
    return tuple(steps)


def _install(facts: HostFacts, install: Install) -> Step:
    code: Code = "docker_install_failed"
    if install == "apt":
        if not facts.apt:
            raise _impossible(code, "there is no `apt-get`; name another way with --install script|skip")
        return Step(
            does="install the engine: apt-get install docker.io",
            script=_APT,
            code=code,
            seconds=_INSTALL_SECONDS,
        )
    if not facts.curl:
        raise _impossible(code, "there is no `curl` to fetch Docker's installation script with")
    does = "install the engine: the script of https://get.docker.com, run as root"
    return Step(does=does, script=_SCRIPT, code=code, seconds=_INSTALL_SECONDS)


def _impossible(code: Code, why: str) -> _ImpossibleError:
    return _ImpossibleError(code, why)


class _ImpossibleError(UserError):
    """A machine cannot be made a host."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(BOOTSTRAP_FAILED, why)
        self.result_code: Code = code


async def _prepare(asked: Asked, *, install: Install, clock: Clock) -> Prepared:
    host = asked.name
    if host == LOCAL_HOST:
        why = "it is this machine; see `stagecraft doctor`"
        return Prepared(asked=asked, result=HostResult(host=host, status="skipped", why=why))
    if asked.transport is None:
        why = f"nobody says where it is: network.static.hosts.{host}.address in controller.yml does"
        return Prepared(asked=asked, result=_failed(host, "config_invalid", why))
    try:
        await asked.transport.open()
    except StagecraftError as error:
        return Prepared(asked=asked, result=_failed(host, "ssh_failed", _words(error)))
    try:
        facts = await facts_of(asked.transport, root=asked.root, engine_socket=asked.socket, clock=clock)
    except StagecraftError as error:
        code: Code = "ssh_failed" if error.code in HOST_SILENT else "docker_detect_failed"
        return Prepared(asked=asked, result=_failed(host, code, _words(error)))
    try:
        steps = plan_of(facts, root=str(asked.root), user=facts.user or asked.entry.user, install=install)
    except _ImpossibleError as error:
        return Prepared(asked=asked, facts=facts, result=_failed(host, error.result_code, error.message))
    return Prepared(asked=asked, facts=facts, steps=steps)


async def _bootstrap(prepared: Prepared, *, clock: Clock, say: Callable[[str], None]) -> HostResult:
    host, transport = prepared.host, prepared.asked.transport
    if prepared.result is not None or transport is None:
        return prepared.result or _failed(host, "config_invalid", "nobody says where it is")
    done: list[str] = []
    plan = tuple(step.does for step in prepared.steps)
    for step in prepared.steps:
        say(f"{host}: {step.does}")
        why = await _carry_out(transport, step, is_root=prepared.facts.is_root)
        if why is not None:
            return _failed(host, step.code, why, done=done, plan=plan)
        done.append(step.does)
    version, why = await _verified(transport, prepared.asked.entry.engine_socket, clock)
    if not version:
        return _failed(host, "docker_verify_failed", why, done=done, plan=plan)
    return HostResult(host=host, status="success", done=tuple(done), plan=plan, engine_version=version)


async def _carry_out(transport: Transport, step: Step, *, is_root: bool) -> str | None:
    """Why a step failed; None: it is done."""
    as_root = [] if is_root else ["sudo", "-n"]
    try:
        ran = await transport.run([*as_root, "sh", "-c", step.script], seconds=step.seconds)
    except StagecraftError as error:
        return _words(error)
    return None if ran.code == 0 else _said(ran)


async def _verified(transport: Transport, socket: str, clock: Clock) -> tuple[str, str]:
    """The version of the engine once it answers, else the last words of its client."""
    until = clock.monotonic() + _VERIFY_SECONDS
    client = f"docker -H unix://{shlex.quote(socket)} version --format '{{{{.Server.Version}}}}'"
    while True:
        try:
            ran = await transport.run(["sh", "-c", f"{client} || sudo -n {client}"], seconds=_STEP_SECONDS)
        except StagecraftError as error:
            return "", _words(error)
        version = ran.stdout.decode(errors="replace").strip().splitlines()
        if ran.code == 0 and version:
            return printable(version[-1]), ""
        why = _said(ran)
        if "not found" in why or clock.monotonic() >= until:
            return "", why
        await clock.sleep(_VERIFY_PAUSE_SECONDS)


def _failed(
    host: str, code: Code, why: str, *, done: Sequence[str] = (), plan: Sequence[str] = ()
) -> HostResult:
    return HostResult(host=host, status="failed", code=code, done=tuple(done), plan=tuple(plan), why=why)


def _said(ran: Ran) -> str:
    """The last of what a program said, masked and in one line; how it ended where it said nothing."""
    text = (ran.stderr or ran.stdout).decode(errors="replace")
    words = " ".join(REDACT(printable(text)).split())
    return words[-_MOST_WORDS:] or f"it ended with {ran.code}"


def _words(error: StagecraftError) -> str:
    return f"{error.message}: {error.why}" if error.why else error.message
