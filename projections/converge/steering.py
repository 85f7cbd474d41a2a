"""What a person asks of one service that is deployed: stop it, start it, restart it.

The wish is in the log before anything is done here (`events/catalog/running.py`), so a stop or a start that
is cut off is finished by the next heal. Other services are left alone, but for those that live in a container
whose namespaces end with it: they are restarted after it.

A restart keeps the containers: each is stopped with its grace period and started, one after the other, and
the gate watches before the next one's turn. Where a container is missing or not as the Manifest says, it is
brought there in place of a restart, because that starts it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from events.manifest import Manifest
from events.recorder import Recorder
from projections.converge.apply import Applier
from projections.converge.heal import all_jobs
from projections.converge.hostenv import bound_on
from projections.converge.hosts import reach, show
from projections.converge.materialise import app_for
from projections.converge.sharing import shared_with
from projections.converge.site import Equipment
from projections.converge.undertaking import Planned, Undertaking
from projections.converge.wiring import Terms
from projections.engine.port import Container

Wish = Literal["stop", "start", "restart"]
_REASONS: dict[Wish, str] = {"stop": "stopped", "start": "started", "restart": "restarted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """One wish for one service."""

    wish: Wish
    service: str
    manifest: Manifest  # what is deployed
    release: str  # the Release that deployed it
    stopped: Mapping[tuple[str, str], str]  # by host and service, the hash that is to be down from now on
    drained_hosts: frozenset[str] = frozenset()  # that people keep requests away from
    drained_services: frozenset[str] = frozenset()  # likewise


async def steer(equipment: Equipment, steering: Steering, *, recorder: Recorder) -> None:
    """Bring the service where it is wanted, on each of its hosts.

    Raises ServiceFailedError when it does not come up, OutsideError `engine-unreachable` and what a heal
    raises.
    """
    undertaking = Undertaking(
        equipment=equipment,
        manifest=steering.manifest,
        recorder=recorder,
        release=steering.release,
        succeeded_jobs=all_jobs(steering.manifest),
        known=steering.manifest,
        lets_be=True,
        stopped=steering.stopped,
        reason=_REASONS[steering.wish],
        keeps=False,
        traffic=Terms(drained_hosts=steering.drained_hosts, drained_services=steering.drained_services),
    )
    for host, content in sorted(steering.manifest.hosts.items()):
        if steering.service in content.services:
            await reach(undertaking.site(host), recorder)
            await _OneHost(undertaking=undertaking, host=host, steering=steering).run()


@dataclass(slots=True, kw_only=True)
class _OneHost:
    undertaking: Undertaking
    host: str
    steering: Steering

    async def run(self) -> None:
        undertaking, name = self.undertaking, self.steering.service
        planned = await undertaking.observe(self.host)
        chosen = planned.only(frozenset({name}))
        if self.steering.wish == "stop":
            await undertaking.exchange(self.host).stop(chosen.plan.of("stop"))
        elif [one for one in chosen.plan.repairs if one.kind != "remove"]:
            with planned.site.errors_here():
                ready, applier = await undertaking.ready(chosen)
            await undertaking.run(ready, applier, also_gate={name})
            await self._restart_sharers(planned, applier)
            await undertaking.settle(self.host, services=frozenset({name}))
        elif self.steering.wish == "restart":
            applier = await self._applier(planned)
            await self._restart(name, planned, applier)
            await self._restart_sharers(planned, applier)
        else:
            await (await self._applier(planned)).gate([name])
        after = await undertaking.observe(self.host)
        await undertaking.reconcile({self.host: after}, reason=_REASONS[self.steering.wish])
        show(after.site, after.content, containers=after.containers, plan=after.plan)

    async def _applier(self, planned: Planned) -> Applier:
        """One that makes no container: its document is never applied."""
        site = planned.site
        bound = await bound_on(site, planned.content)
        manifest = self.steering.manifest
        return Applier(
            exchange=self.undertaking.exchange(self.host),
            content=planned.content,
            app=app_for(manifest, self.host, root=site.root, lineage=site.owner.log, bound=bound.services),
            jobs_done=set(),
        )

    async def _restart(self, name: str, planned: Planned, applier: Applier) -> None:
        """The containers of a service that run, one after the other."""
        site = planned.site
        for container in _running(planned, name):
            site.tell(f"restart {container.id[:12]}", service=name)
            with site.errors_here(name):
                await site.engine.stop(container.id)
                await site.engine.start(container.id)
            await applier.gate([name])

    async def _restart_sharers(self, planned: Planned, applier: Applier) -> None:
        """Whoever lived in the namespaces of a container that ended; who was made anew has its own."""
        definitions: Mapping[str, Mapping[str, Any]] = planned.content.compose.get("services", {})
        for name in _sharers(definitions, self.steering.service):
            if name not in planned.plan.resting:
                await self._restart(name, planned, applier)


def _running(planned: Planned, name: str) -> Iterable[Container]:
    owner = planned.site.owner
    ours = (one for one in planned.containers if owner.owns(one) and not one.one_off)
    return [one for one in ours if one.service == name and one.state in {"running", "restarting"}]


def _sharers(definitions: Mapping[str, Mapping[str, Any]], provider: str) -> list[str]:
    """The services that live in `provider`'s container, directly or through another one."""
    found: list[str] = []
    waiting = [provider]
    while waiting:
        home = waiting.pop()
        joined = [name for name in sorted(definitions) if home in shared_with(definitions[name])]
        new = [name for name in joined if name not in {provider, *found}]
        found += new
        waiting += new
    return found
