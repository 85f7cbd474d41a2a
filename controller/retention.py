"""Old images: which of them a home still needs, and letting the others go.

Every pinned image has a name of ours on its engine, so that nobody's prune takes what a rollback needs. A
name is given up when no environment of this log needs it: the images of the last completed Releases stay
(`images.keep`), and always those of what is deployed, of what was before it, of a hold, of what is under way
and of what Git shows. An image goes with its last name, unless a container uses it: the engine is never
forced. Only names that this log gave are ever given up, so another home's and a person's own stay.

It is done when a Release was completed and at the controller's passes; a home has one at a time. What goes
is recorded before, as one event, and nothing is when nothing goes. Should somebody ask for something
meanwhile, it is over: the next one begins with what is needed then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.decide.rollback import good_targets
from controller.host_uses import used_hosts
from controller.locks import LOCKED, locked
from events.catalog.environment import Conduct
from events.catalog.host import ImagesForgotten
from events.kernel.errors import OutsideError
from events.manifest import kept_image_name
from events.streams import LOCAL_HOST, host_stream, split_environment
from projections.converge.failures import HOST_UNKNOWN
from projections.engine.errors import ENGINE_REFUSED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from controller.context import Context
    from controller.decide.state import EnvironmentState, Render

_LEFT_FOR_LATER = HOST_UNKNOWN | {ENGINE_REFUSED}
MOST_NAMED = 50  # in one event; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The names that this home's log gave to images, and those of them that it needs."""

    known: dict[str, str | None]  # by our name, what the image was pulled as; None: it never was
    needed: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OldImages:
    """What one host holds and this home needs no more."""

    host: str
    names: tuple[str, ...]  # sorted
    in_use: tuple[str, ...]  # of containers; they stay as long
    kept: int  # names that are needed


def kept_images(context: Context) -> Kept:
    """What is needed by the log as it is now, over all its environments."""
    known: dict[str, str | None] = {}
    needed: set[str] = set()
    for stream in context.log.streams():
        place = split_environment(stream)
        if place is None:
            continue
        state = context.environment(*place)
        digests = needed_digests(state)
        for render in state.renders:
            names = _names(render, project=place[0])
            known.update(names)
            if render.digest in digests:
                needed.update(names)
    return Kept(known=known, needed=frozenset(needed))


def needed_digests(state: EnvironmentState) -> frozenset[str]:
    """The Manifests of one environment that may have to run without a registry."""
    found = [one.digest for one in state.completed()[: conduct_of(state).keep_images]]
    found += [one.digest for one in good_targets(state, most=1)]
    found += [one.digest for one in state.unfinished]
    found += [*state.left_behind, *(one.digest for one in state.renders[-1:])]
    digests = (state.deployed_digest, state.git.digest, None if state.hold is None else state.hold.target)
    return frozenset([*found, *(one for one in digests if one is not None)])


def conduct_of(state: EnvironmentState, digest: str | None = None) -> Conduct:
    """How Releases of a Manifest are carried out, of the newest one unless given; else the defaults."""
    render = state.render_of(digest) if digest is not None else next(reversed(state.renders), None)
    return Conduct() if render is None else render.conduct


def _names(render: Render, *, project: str) -> dict[str, str | None]:
    return {
        kept_image_name(pin, project=project, service=service): (
            f"{_repository(pin.ref)}@{pin.pin}" if pin.pin_kind == "repo-digest" else None
        )
        for service, pin in render.images.items()
    }


def _repository(ref: str) -> str:
    """A reference without its tag and digest."""
    name = ref.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


async def old_images(context: Context) -> list[OldImages]:
    """What could go on each host now; nothing is changed.

    A host that does not answer is told of and left out. Raises OutsideError when none does.
    """
    return await _on_each_host(context, _old_images_of)


async def forget_old_images(context: Context) -> list[OldImages]:
    """Let the names of old images go, and with them the images; answers what went from each host.

    Nothing while another process of this home does the same. A host that does not answer is left for the
    next time. Raises what the log raises.
    """
    try:
        async with locked(
            context.home.run, "images", clock=context.clock, purpose="old images", deadline_seconds=0
        ):
            return [one for one in await _on_each_host(context, _forget) if one.names]
    except OutsideError as error:
        if error.code not in _LEFT_FOR_LATER | {LOCKED}:
            raise
        return []


async def _on_each_host(
    context: Context, work: Callable[[Context, str], Awaitable[OldImages]]
) -> list[OldImages]:
    """What `work` answers for each host in use, all at once. Raises the first error when every host has one.

    A host that nothing of ours is on any more is not asked.
    """
    used = used_hosts(context.log, context.states) | {LOCAL_HOST}
    hosts = [host for host in sorted(context.converger.stocks) if host in used]
    answers = await asyncio.gather(*(work(context, host) for host in hosts), return_exceptions=True)
    found: list[OldImages] = []
    failed: list[OutsideError] = []
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, OldImages):
            found.append(answer)
        elif isinstance(answer, OutsideError) and answer.code in _LEFT_FOR_LATER:
            context.progress(f"{host}: old images are left for the next time: {answer.message}")
            failed.append(answer)
        else:
            raise answer
    if failed and not found:
        raise failed[0]
    return found


async def _old_images_of(context: Context, host: str) -> OldImages:
    there = await context.converger.stocks[host].image_names()
    kept = kept_images(context) if there else Kept(known={}, needed=frozenset())
    old = {name: image for name, image in there.items() if name in kept.known and name not in kept.needed}
    there_now = await context.converger.engines[host].containers() if old else []
    used = {one.image_id for one in there_now}
    names = tuple(sorted(name for name, image in old.items() if image not in used))
    return OldImages(
        host=host,
        names=names,
        in_use=tuple(sorted(set(old) - set(names))),
        kept=len(kept.needed & there.keys()),
    )


async def _forget(context: Context, host: str) -> OldImages:
    one = await _old_images_of(context, host)
    if not one.names:
        return one
    event = ImagesForgotten(
        host=host,
        count=len(one.names),
        names=one.names[:MOST_NAMED],
        in_use=len(one.in_use),
        kept=one.kept,
    )
    context.recorder().append(host_stream(host), event)
    head, kept = -1, Kept(known={}, needed=frozenset())
    for name in one.names:
        if head != (newest := context.log.head()):  # somebody may have asked for something meanwhile
            head, kept = newest, kept_images(context)
        if name not in kept.needed:
            await context.converger.stocks[host].forget_image(name, pulled_as=kept.known[name])
    return one
