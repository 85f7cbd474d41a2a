"""`stagecraft hosts check` and `hosts doctor`: asking hosts whether they have what is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.policy import ControllerOption, operator_settings
from cli.settings import Settings, with_settings
from events.kernel.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.context import Context
    from controller.fleet import Fleet
    from controller.host_checks import HostChecks

HostsArgument = Annotated[list[str] | None, typer.Argument(metavar="HOST...", help="All unless given.")]
SecondsOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=1.0, help="The longest wait for one host.")
]


@with_settings()
def check(
    settings: Settings,
    *,
    hosts: HostsArgument = None,
    controller: ControllerOption = None,
    timeout: SecondsOption = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Ask hosts whether a deploy would find what it needs there, all at once.

    SSH, the engine, whether the name means this machine, the folder that is ours, free room, the clock, and
    whether two names are one host. Nothing is changed there; `hosts list` shows who answered.

    Exit codes: 0 nothing fails; 1 no such host, or controller.yml cannot be used; 2 some host fails.
    """
    import asyncio

    from controller.bootstrap import open_context
    from controller.host_asking import chosen_hosts
    from controller.host_checks import check_hosts, note_answers

    operator = operator_settings(settings, controller)
    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        asked = chosen_hosts(fleet_of(context), hosts or ())
        known = context.known_hosts.of(context.log)
        found = asyncio.run(check_hosts(asked, known=known, clock=context.clock, seconds=timeout))
        note_answers(context.observed, found, at=context.clock.now())
    return _show(settings, found, json=json)


@with_settings()
def doctor(
    settings: Settings,
    *,
    hosts: HostsArgument = None,
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="NAME", help="Look it up from there, too.")
    ] = None,
    controller: ControllerOption = None,
    timeout: SecondsOption = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Check machines for what a host needs, one line each with what helps, and how many pass.

    Its engine, its clock, room on its disks, shared memory, limits of the kernel, and the ports of the web.
    One command is run there that reads and changes nothing. A warning is no failure.

    Exit codes: 0 nothing fails; 1 no such host, or controller.yml cannot be used; 2 something fails.
    """
    import asyncio

    from controller.bootstrap import open_context
    from controller.host_asking import chosen_hosts
    from controller.host_checks import doctor_hosts

    operator = operator_settings(settings, controller)
    with open_context(settings.home, progress=settings.console.progress, settings=operator) as context:
        asked = chosen_hosts(fleet_of(context), hosts or ())
        found = asyncio.run(doctor_hosts(asked, clock=context.clock, domain=domain, seconds=timeout))
    return _show(settings, found, json=json)


def fleet_of(context: Context) -> Fleet:
    """The hosts of an opened home."""
    if context.fleet is None:
        raise AssertionError("an opened home has hosts")
    return context.fleet


def _show(settings: Settings, found: Sequence[HostChecks], *, json: bool) -> int:
    if json:
        settings.console.json({"hosts": [one.as_json() for one in found]})
    else:
        for one in found:
            settings.console.line(f"{one.host}: {one.summary}")
            width = max(len(each.name) for each in one.findings)
            for each in one.findings:
                advice = f"; next: {each.next}" if each.next else ""
                words = f"  {each.status.ljust(4)}  {each.name.ljust(width)}  {each.detail}{advice}"
                settings.console.line(words)
    return ExitCode.OK if all(one.passes for one in found) else ExitCode.OUTSIDE
