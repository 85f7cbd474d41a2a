"""Everything a command or the daemon works with, wired once by `bootstrap.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.branches import Branches
from controller.closer import CloserLooks
from controller.lookups import Lookups
from controller.states import States
from events.envelope import CONTROLLER
from events.manifest import Manifest
from events.recorder import Recorder
from events.streams import environment_stream, release_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from controller.adapters import LateAdapters
    from controller.building import BuildWorkshop
    from controller.decide.state import EnvironmentState
    from controller.fleet import Fleet
    from controller.home import Home
    from controller.known_hosts import KnownHosts
    from events.actors import ActorDirectory
    from events.blobs import BlobStore
    from events.envelope import Actor
    from events.kernel.clock import Clock
    from events.kernel.ids import Ids
    from events.log import EventLog
    from events.tokens import Tenure
    from gitops.config.policy import PolicySection
    from gitops.pins import ImageCatalogue
    from projections.converge.converger import Converger
    from projections.engine.watch_port import EngineWatch
    from projections.observed import ObservedStore

LOCK_DEADLINE_SECONDS = 600.0  # as long as a slow Release may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One home, its log, and the adapters that reach the world."""

    home: Home
    log: EventLog
    blobs: BlobStore
    actors: ActorDirectory
    clock: Clock
    ids: Ids
    adapters: LateAdapters  # what reaches hosts, engines and registries
    progress: Callable[[str], None]  # one line for whoever watches
    lookups: Lookups = field(default_factory=Lookups)
    states: States = field(default_factory=States)
    branches: Branches = field(default_factory=Branches)
    closer: CloserLooks = field(default_factory=CloserLooks)
    policy: Mapping[str, PolicySection] = field(default_factory=dict[str, "PolicySection"])
    """What repositories may ask for; empty where nothing new is deployed."""
    tenure: Tenure | None = None  # set while the lock of an environment is held: see `tenures.py`

    @property
    def catalogue(self) -> ImageCatalogue:
        """What image references mean."""
        return self.adapters.wired.catalogue

    @property
    def converger(self) -> Converger:
        """What makes hosts agree with Manifests."""
        return self.adapters.wired.converger

    @property
    def observed(self) -> ObservedStore:
        """What engines and Git last answered."""
        return self.adapters.wired.observed

    @property
    def workshop(self) -> BuildWorkshop | None:
        """Where images are built; None: nothing is built here."""
        return self.adapters.wired.workshop

    @property
    def watches(self) -> Mapping[str, EngineWatch]:
        """By host, what tells what happens there."""
        return self.adapters.wired.watches

    @property
    def fleet(self) -> Fleet | None:
        """What reaches each host; None: there is this machine alone."""
        return self.adapters.wired.fleet

    @property
    def known_hosts(self) -> KnownHosts:
        """What the log says of hosts."""
        return self.adapters.wired.known_hosts

    @property
    def listed_hosts(self) -> frozenset[str]:
        """The hosts that the operator says the place of."""
        return self.adapters.wired.listed_hosts

    def recorder(
        self, actor: Actor = CONTROLLER, *, correlation: UUID | None = None, causation: UUID | None = None
    ) -> Recorder:
        """A recorder for an undertaking of `actor`; without a correlation its first event begins one.

        While a lock is held the recorder appends nothing once somebody else has taken the lock over.
        """
        return Recorder(
            log=self.log,
            ids=self.ids,
            clock=self.clock,
            actor=actor,
            correlation=correlation,
            causation=causation,
            tenure=self.tenure,
        )

    def release_id(self, project: str, name: str) -> str:
        """A name for a new Release that no other one has, also when the clock was set back."""
        known = self.environment(project, name).releases
        while (found := self.ids.release_id()) in known or self.log.stream_version(release_stream(found)):
            pass  # each is a millisecond later than the one before
        return found

    def environment(self, project: str, name: str) -> EnvironmentState:
        """The environment's state as of now."""
        return self.states.of(self.log, environment_stream(project, name))

    def manifest(self, digest: str) -> Manifest:
        """A recorded Manifest. Raises OutsideError `blob-missing` or `blob-damaged`."""
        return Manifest.decode(self.blobs.get(digest))
