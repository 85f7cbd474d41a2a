"""`stagecraft drain` and `undrain`: a service or a host out of traffic and back, on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.on_record import ReasonOption, in_person, only_said, recorded_environment
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.draining import Told

NameArgument = Annotated[
    str, typer.Argument(metavar="SERVICE|HOST", help="A service with routes, or a host that has some.")
]
KindOption = Annotated[
    Literal["service", "host"] | None,
    typer.Option("--kind", help="Which of the two is meant, where both have that name."),
]


@with_settings("env", "dry_run")
def drain(
    settings: Settings,
    *,
    name: NameArgument,
    reason: ReasonOption = "",
    maintenance: Annotated[
        bool,
        typer.Option(
            "--maintenance", help="Wait until nothing is open any more, as long as a drain may last."
        ),
    ] = False,
    kind: KindOption = None,
) -> None:
    """Send a service, or the containers of a host, no new requests, until `undrain`.

    Containers run on and open connections go on. Other hosts answer in place of a drained host; a service
    that nobody answers for gets 503 from its gateway, with the page that `maintenance` names. No deploy and
    no heal ends it; `status` says who wanted it and why.

    Exit codes: 0 the gateways that run do so, or whoever works there will have them; 1 nothing of that name
    gets requests, or no such environment; 2 a gateway or a host does not answer: it is recorded all the same,
    and the next look of a controller goes on with it.
    """
    target = recorded_environment(settings)
    if only_said(settings, f"{name} of {target} would get no new requests"):
        return
    from controller.draining import Wanted
    from controller.draining import drain as run

    wanted = Wanted(name=name, kind=kind, mode="maintenance" if maintenance else "draining", reason=reason)
    told = in_person(settings, lambda context, actor: run(context, target, wanted, actor=actor))
    before = "" if told.news else "got none before, and "
    settings.console.line(
        "\n".join(
            [
                f"{target}: {name} {before}gets no new requests",
                *_consequences(told),
                *([] if told.busy else [f"  {_open_words(told.open)}"]),
                f"it stays so until: stagecraft undrain {name} --env {target}",
            ]
        )
    )


@with_settings("env", "dry_run")
def undrain(
    settings: Settings, *, name: NameArgument, reason: ReasonOption = "", kind: KindOption = None
) -> None:
    """Send a service, or the containers of a host, requests again.

    Exit codes: 0 the gateways that run do so, or whoever works there will have them; 1 nothing of that name
    is drained, or no such environment; 2 a gateway or a host does not answer: it is recorded all the same.
    """
    target = recorded_environment(settings)
    if only_said(settings, f"{name} of {target} would get requests again"):
        return
    from controller.draining import Wanted
    from controller.draining import undrain as run

    wanted = Wanted(name=name, kind=kind, reason=reason)
    told = in_person(settings, lambda context, actor: run(context, target, wanted, actor=actor))
    lines = [f"{target}: {name} gets requests again", *_consequences(told)]
    settings.console.line("\n".join(lines))


def _consequences(told: Told) -> Iterable[str]:
    """Who answers now, and when."""
    for service, hosts in told.answering.items():
        answer = "answers" if len(hosts) == 1 else "answer"
        page = f" with the page {told.pages[service]}" if service in told.pages else ""
        who = f"{', '.join(hosts)} {answer}" if hosts else f"nobody answers, its gateway says 503{page}"
        yield f"  {service}: {who}"
    if told.busy:
        yield f"  once other work there is over: {told.busy}"


def _open_words(left: int | None) -> str:
    if left is None:
        return "how many connections are open cannot be told from here"
    if left == 1:
        return "1 connection is still open"
    return f"{left} connections are still open" if left else "no connection is open any more"
