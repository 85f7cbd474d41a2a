"""`stagecraft prune`: what left the Manifest and waits for a person's word, and old images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.on_record import recorded_environment
from cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from controller.decide.state import Unpruned
    from controller.retention import OldImages
    from controller.targets import Target


@with_settings("env", "dry_run")
def prune(
    settings: Settings,
    *,
    confirm: Annotated[
        int | None,
        typer.Option(
            "--confirm", metavar="N", min=1, help="Take away the N services that left and wait for this."
        ),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Take away services that left the Compose file, once confirmed, and images that nobody needs.

    A Release takes away what left its Compose file, up to a number of services at once; more run on until
    somebody confirms that number. Named volumes are never taken away here. Of images, those of the last
    completed Releases are kept (`images.keep`), over all environments of this home; the controller lets the
    others go by itself, and so does this. With --dry-run it only shows both.

    Exit codes: 0 done, or shown; 1 nothing waits, it is another number, or the environment is unknown; 2 the
    engine is at fault, or another process works on the environment.
    """
    import asyncio

    from cli.actors import person
    from controller.bootstrap import open_context
    from controller.pruning import confirm_prune
    from controller.retention import forget_old_images, old_images

    target = recorded_environment(settings)
    removed: Sequence[str] = ()
    with open_context(settings.home, progress=settings.console.progress) as context:
        if confirm is not None and not settings.dry_run:
            work = confirm_prune(
                context, target, confirmed=confirm, reason=reason, actor=person(context.actors)
            )
            removed = asyncio.run(work)
        waiting = context.environment(target.project, target.name).unpruned
        images = asyncio.run(old_images(context) if settings.dry_run else forget_old_images(context))
    if json:
        settings.console.json(_as_json(settings, target, waiting, images=images, removed=removed))
    else:
        lines = _lines(settings, target, waiting, images=images, removed=removed)
        settings.console.line("\n".join(lines))


def _lines(
    settings: Settings,
    target: Target,
    waiting: Unpruned | None,
    *,
    images: Sequence[OldImages],
    removed: Sequence[str],
) -> Iterable[str]:
    would = "would go" if settings.dry_run else "went"
    yield from (f"{target}: {place} went" for place in removed)
    if waiting is None:
        yield f"{target}: no service waits to be taken away"
    else:
        count = len(waiting.services)
        yield f"{target}: {count} services left with {waiting.release} and run on until confirmed:"
        yield from (f"  - {place}" for place in waiting.services)
        yield f"  next: stagecraft prune --env {target} --confirm {count}"
    for one in images:
        yield f"{one.host}: {len(one.names)} old images {would}, {one.kept} are kept"
        yield from (f"  - {name}" for name in one.names)
        yield from (f"  = {name}, a container uses it" for name in one.in_use)
    if not images:
        yield "no old image went"


def _as_json(
    settings: Settings,
    target: Target,
    waiting: Unpruned | None,
    *,
    images: Sequence[OldImages],
    removed: Sequence[str],
) -> dict[str, Any]:
    return {
        "environment": str(target),
        "dry_run": settings.dry_run,
        "removed": list(removed),
        "waiting": None
        if waiting is None
        else {
            "release": waiting.release,
            "services": list(waiting.services),
            "count": len(waiting.services),
            "most": waiting.most,
        },
        "images": {
            one.host: {"old": list(one.names), "in_use": list(one.in_use), "kept": one.kept} for one in images
        },
    }
