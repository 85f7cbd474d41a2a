"""`stagecraft stop`, `start` and `restart`: one service of what is deployed, on the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.on_record import ReasonOption, in_person, only_said, recorded_environment
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from controller.targets import Target
    from projections.converge.steering import Wish

ServiceArgument = Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")]


@with_settings("env", "dry_run")
def stop(settings: Settings, *, service: ServiceArgument, reason: ReasonOption = "") -> None:
    """Stop a service and keep it stopped: no heal starts it, until `start` or a deploy that changes it.

    Its containers get their grace period and are kept. A deploy or a rollback that leaves the service as it
    is leaves it down; `status` and `why` say who stopped it.

    Exit codes: 0 stopped; 1 no such service or environment, a job, or another service lives in it; 2 a host
    does not answer.
    """
    target = recorded_environment(settings)
    if only_said(settings, f"{service} of {target} would be stopped"):
        return
    news = _steer(settings, target, "stop", service=service, reason=reason)
    words = "is stopped" if news else "was stopped before, and is"
    settings.console.line(
        f"{target}: {service} {words}\n"
        f"it stays so until a deploy changes it, or: stagecraft start {service} --env {target}"
    )


@with_settings("env", "dry_run")
def start(settings: Settings, *, service: ServiceArgument, reason: ReasonOption = "") -> None:
    """Start a service that was stopped, and wait until it is up.

    The service comes up as what is deployed says, also when its containers are gone or were changed.

    Exit codes: 0 up; 1 it does not come up, no such service or environment, or a job; 2 a host does not
    answer.
    """
    target = recorded_environment(settings)
    if only_said(settings, f"{service} of {target} would be started"):
        return
    _steer(settings, target, "start", service=service, reason=reason)
    settings.console.line(f"{target}: {service} is up")


@with_settings("env", "dry_run")
def restart(settings: Settings, *, service: ServiceArgument, reason: ReasonOption = "") -> None:
    """Restart the containers of a service, one after the other, and wait until it is up.

    Each gets its grace period and keeps its id. Services that live in its namespaces are restarted after it.

    Exit codes: 0 up again; 1 it does not come up, it is stopped, no such service or environment, or a job;
    2 a host does not answer.
    """
    target = recorded_environment(settings)
    if only_said(settings, f"{service} of {target} would be restarted"):
        return
    _steer(settings, target, "restart", service=service, reason=reason)
    settings.console.line(f"{target}: {service} was restarted and is up")


def _steer(settings: Settings, target: Target, wish: Wish, *, service: str, reason: str) -> bool:
    """Do it in the name of whoever is at the keyboard; whether something new was recorded."""
    from controller.steering import steer

    return in_person(
        settings,
        lambda context, actor: steer(context, target, wish, service=service, reason=reason, actor=actor),
    )
