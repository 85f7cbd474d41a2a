"""In which order services are worked on: each as soon as what it waits for has its verdict.

A service waits for a verdict (its gate passed, its job ended well) where `depends_on` asks for one:
`service_healthy` and `service_completed_successfully`. Mere order of starting (`service_started`) is kept by
Compose inside one call, and by beginning no later here. A job runs outside Compose, so it waits for the
verdict of everything it names. And roles order what says nothing: data (`db`, `cache`) before all others,
gateways last, as a plan shows its steps. A service counts to the latest role of what it waits for, so that
roles never go against `depends_on`, and no circle can come of the two.

What waits for nobody goes side by side, up to a number of services at once. A *wave* is what is begun
together. Pure: what is next follows from what was begun and what has passed, in the order of names, so
that the same verdicts in the same order lead to the same work. (Levels, each finished before the next one
began, were dropped: a service waited for those of other chains that it has nothing to do with.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from events.kernel.errors import InternalError, error_code
from events.manifest import Service, WaitCondition

WAITS_IN_A_CIRCLE = error_code(
    "waits-in-a-circle",
    "Services of a Manifest wait for each other in a circle, which Compose should have refused.",
)

ROLE_RANKS: Mapping[str, int] = {"db": 0, "cache": 1, "gateway": 9}  # data first, traffic last
ANY_ROLE_RANK = 5  # of all other roles
_VERDICTS: frozenset[WaitCondition] = frozenset({"service_healthy", "service_completed_successfully"})
_Tier = int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What each of some services waits for, and which of them can only begin together."""

    after: Mapping[str, frozenset[str]]  # those that must have passed
    behind: Mapping[str, frozenset[str]]  # those that must have begun, or begin with it
    together: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Those that live in each other's containers: Compose has to make them in one call."""

    def next(
        self, *, begun: Collection[str], passed: Collection[str], most: int, free: Collection[str] = ()
    ) -> tuple[str, ...]:
        """The next wave, sorted: what can begin now, `most` at most; `free` ones are not counted.

        What lives in containers of each other is begun whole, also when that is more than `most`.
        """
        taken, known, counted = set[str](), set(begun), 0
        while True:
            possible = [name for name in sorted(self.after) if self._can_begin(name, known, passed)]
            name = next((one for one in possible if one in free or counted < most), None)
            if name is None:
                return tuple(sorted(taken))
            known.add(name)
            group = {name}
            while joined := {one for one in self._group(name) if self._can_begin(one, known, passed)}:
                known |= joined
                group |= joined
            taken |= group
            counted += len(group - set(free))

    def _can_begin(self, name: str, known: Collection[str], passed: Collection[str]) -> bool:
        return name not in known and self.after[name] <= set(passed) and self.behind[name] <= set(known)

    def _group(self, name: str) -> Iterable[str]:
        return self.together.get(name, frozenset()) & self.after.keys()

    def awaited(self, name: str, *, passed: Collection[str]) -> bool:
        """Whether another one that has not passed waits for the verdict of this one."""
        return any(name in needs for one, needs in self.after.items() if one not in passed)


def order_of(
    services: Mapping[str, Service],
    chosen: Collection[str],
    *,
    shared: Mapping[str, Collection[str]] | None = None,
    ranked: Collection[str] | None = None,
) -> Order:
    """The order of the chosen services.

    It is taken over all services, so that a chosen one keeps its place after another chosen one that it
    reaches only through a third. `shared` has, by service, those whose containers it lives in; roles order
    those in `ranked`, all chosen ones unless given. Raises InternalError `waits-in-a-circle`.
    """
    reached = _Reached(services=services, chosen=frozenset(chosen))
    for name in sorted(services):
        reached.note(name)
    ordered = set(chosen) if ranked is None else set(ranked) & set(chosen)
    after: dict[str, frozenset[str]] = {}
    for name in sorted(chosen):
        tier = reached.tiers[name]
        earlier = {one for one in ordered if reached.tiers[one] < tier} if name in ordered else set[str]()
        after[name] = reached.verdicts[name] | earlier
    return Order(
        after=after,
        behind={name: reached.starts[name] for name in sorted(chosen)},
        together=_together(shared or {}),
    )


def tiers_of(services: Mapping[str, Service]) -> dict[str, int]:
    """By service: data first, gateways last, each no earlier than what it waits for.

    Raises InternalError `waits-in-a-circle`.
    """
    reached = _Reached(services=services, chosen=frozenset(services))
    for name in sorted(services):
        reached.note(name)
    return reached.tiers


@dataclass(slots=True, kw_only=True)
class _Reached:
    """What each service waits for, through those that are not chosen too."""

    services: Mapping[str, Service]
    chosen: frozenset[str]
    verdicts: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    starts: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    tiers: dict[str, _Tier] = field(default_factory=dict[str, _Tier])

    def note(self, name: str, path: tuple[str, ...] = ()) -> None:
        """Find out about a service and what it waits for."""
        if name in self.tiers:
            return
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise InternalError(WAITS_IN_A_CIRCLE, f"services wait for each other: {circle}")
        service = self.services[name]
        verdicts, starts, tier = set[str](), set[str](), _tier(service.role)
        for needed, condition in sorted(service.waits_for.items()):
            if needed not in self.services:
                continue  # it runs on another host or not at all: Compose has dropped the edge there
            self.note(needed, (*path, name))
            tier = max(tier, self.tiers[needed])
            verdicts |= self.verdicts[needed]
            barrier = condition in _VERDICTS or service.job is not None
            if needed in self.chosen:
                (verdicts if barrier else starts).add(needed)
            elif barrier:
                verdicts |= self.starts[needed]
            else:
                starts |= self.starts[needed]
        self.verdicts[name], self.starts[name] = frozenset(verdicts), frozenset(starts - verdicts)
        self.tiers[name] = tier


def _tier(role: str) -> _Tier:
    """Data, all others, gateways: what is data is one tier, whatever of it."""
    rank = ROLE_RANKS.get(role, ANY_ROLE_RANK)
    return 0 if rank < ANY_ROLE_RANK else rank


def _together(shared: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """By service, the others that it is connected with by shared containers, to any depth."""
    groups: dict[str, set[str]] = {}
    for name in sorted(shared):
        joined = {name, *shared[name]}
        for one in tuple(joined):
            joined |= groups.get(one, set())
        groups.update(dict.fromkeys(joined, joined))
    return {name: frozenset(group - {name}) for name, group in groups.items() if len(group) > 1}


def healthy_needs(services: Mapping[str, Service], names: Collection[str]) -> tuple[str, ...]:
    """The services, other than `names`, whose health one of `names` waits for."""
    needs = {
        needed
        for name in names
        for needed, condition in services[name].waits_for.items()
        if condition == "service_healthy" and needed in services
    }
    return tuple(sorted(needs - set(names)))
