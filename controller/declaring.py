"""Taking a repository's word on where its hosts are, on the record, when a commit that names them is taken.

The place of a host is recorded when it changes and never by an idle look: each environment's own last word is
kept, so two branches that disagree do not answer each other for ever; the newer word counts then. What
answers there is still compared with the machine that the name is bound to, so a wrong address reaches nobody
else's machine.

A branch has a say only in hosts that `repositories[].hosts` lets it deploy to. A project does not move a host
that another project placed: who is right there is the operator's to say, in `controller.yml`, which wins over
every repository. (The newest word of anybody was dropped: whoever may deploy to a host could send another
team's Releases elsewhere.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.catalog.host import HostDeclared
from events.kernel.errors import UserError, Where, error_code
from events.log import VersionConflictError
from events.streams import host_stream
from gitops.place import HostPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.context import Context
    from controller.known_hosts import KnownHost
    from controller.repositories import BranchRules
    from controller.targets import Target
    from events.recorder import Recorder

HOST_CONTESTED = error_code(
    "host-contested", "Two projects say that a host is in different places, and controller.yml does not say."
)

_TRIES = 5


def take_places(
    context: Context,
    places: Mapping[str, HostPlace],
    *,
    hosts: Iterable[str],
    target: Target,
    revision: str,
    recorder: Recorder,
) -> None:
    """Record where `hosts`, which a Manifest of `target` names, are by the commit, as far as that is news.

    Whoever calls knows that the commit may name them. Raises UserError `host-contested`, and then records
    nothing, and VersionConflictError when a host's stream moves on faster than it is read.
    """
    wanted = {host: places[host] for host in sorted(hosts) if host in places}
    check_contested(context, wanted, target=target)
    for host, place in wanted.items():
        event = HostDeclared(
            host=host,
            address=place.address,
            port=place.port,
            origin="git",
            project=target.project,
            environment=target.name,
            revision=revision,
        )
        _take(context, event, title=str(target), recorder=recorder)


def _take(context: Context, event: HostDeclared, *, title: str, recorder: Recorder) -> None:
    place = HostPlace(event.address, event.port)
    for again in reversed(range(_TRIES)):
        version = context.log.stream_version(host_stream(event.host))
        if not is_news(context.known_hosts.of(context.log).get(event.host), place, title=title):
            return
        try:
            recorder.append(host_stream(event.host), event, expected=version)
        except VersionConflictError:  # somebody else said something of the host meanwhile
            if not again:
                raise
        else:
            return


def check_contested(context: Context, places: Mapping[str, HostPlace], *, target: Target) -> None:
    """Raise UserError `host-contested` when another project placed one of the hosts elsewhere.

    Not for what the operator lists: that is settled.
    """
    if not places:
        return
    known = context.known_hosts.of(context.log)
    for host, place in places.items():
        if host in known and host not in context.listed_hosts:
            _refuse_contested(host, place, before=known[host], target=target)


def is_news(known: KnownHost | None, place: HostPlace, *, title: str) -> bool:
    """Whether it is worth an event that the environment `title` gives this place."""
    if known is None:
        return True
    own = known.words.get(title)
    return known.place != place if own is None else own != place


def _refuse_contested(host: str, place: HostPlace, *, before: KnownHost, target: Target) -> None:
    declared = before.declared
    if declared is None or declared.project == target.project or declared.place == place:
        return
    raise UserError(
        HOST_CONTESTED,
        f"project {target.project} says that {host} is {place}, "
        f"project {declared.project} says {declared.place}",
        where=Where(environment=str(target), host=host),
        why="a project does not move a host that another one placed",
        next=f"say which it is in controller.yml: network.static.hosts.{host}.address",
    )


def tell_barred(
    places: Mapping[str, HostPlace], rules: BranchRules, *, branch: str, say: Callable[[str], None]
) -> None:
    """Say which of a branch's places have no effect, because it may not deploy to those hosts."""
    names = sorted(host for host in places if rules.bars(host))
    if names:
        what, allowed = ", ".join(names), ", ".join(rules.hosts) or "none"
        say(
            f"{branch}: where {what} is has no effect: "
            f"by controller.yml the branch may deploy to {allowed} only"
        )
