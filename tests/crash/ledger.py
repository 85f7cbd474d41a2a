"""A second, plain reading of the log, and what must be true of each event when it is appended.

It knows nothing of the product's folds: a mistake in those shows as a difference from this one, and a
mistake in a decision as an event that breaks a promise. What a Manifest contains it knows from who made it
(`contents`), not from the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from events.catalog import Event, adoption, decode, removal
from events.catalog import environment as env
from events.catalog import release as rel
from events.catalog import service as svc
from events.envelope import StoredEvent

Contents = Mapping[str, str]  # {service: variant}
_REQUESTS = (
    env.DeployRequested,
    env.RevertDetected,
    env.RollbackRequested,
    adoption.AdoptionRequested,
)
_VERDICTS = (
    rel.ReleaseCompleted,
    rel.ReleaseFailed,
    rel.ReleaseRolledBack,
    rel.ReleaseSuperseded,
    rel.ReleaseCancelled,
)
_FAILURES = frozenset({"ReleaseFailed", "ReleaseRolledBack"})


@dataclass(slots=True)
class Ledger:
    """One environment so far."""

    contents: dict[str, Contents] = field(default_factory=dict[str, Contents])  # by digest
    commits: dict[str, str] = field(default_factory=dict[str, str])  # digest by revision
    requested: dict[str, str] = field(default_factory=dict[str, str])  # digest by Release, in order
    running: str | None = None
    verdicts: dict[str, str] = field(default_factory=dict[str, str])  # type by Release
    deployed: str | None = None
    hold: env.EnvironmentHeld | None = None
    hold_by_failure: str | None = None  # the digest whose failure made the hold
    suspended: bool = False
    destroying: removal.DestroyRequested | None = None
    stays_away: set[str] = field(default_factory=set[str])  # digests that Git must not bring back
    shown: str | None = None  # the digest that Git showed last
    causes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # of failures by digest
    phases: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    position: int = 0

    @property
    def deployed_digest(self) -> str | None:
        """The Manifest that is deployed."""
        return None if self.deployed is None else self.requested[self.deployed]

    @property
    def waiting(self) -> list[str]:
        """Releases without a verdict."""
        return [release for release in self.requested if release not in self.verdicts]

    def take(self, stored: Iterable[StoredEvent]) -> None:
        """Check and note what was appended since. Raises AssertionError for a broken promise."""
        for one in stored:
            event = decode(one)
            assert one.position == self.position + 1, "positions are dense"
            self.position = one.position
            self._check(event, one)
            self._check_removal(event)
            if isinstance(event, (rel.PhaseStarted, rel.PhaseCompleted)):
                self.phases[one.stream, one.type, event.phase] += 1
            self._note(event)

    def _check_removal(self, event: Event) -> None:
        if isinstance(event, (env.DeployRequested, env.RevertDetected)) and _is_by_git(event):
            assert event.digest not in self.stays_away, "Git brings back what was taken away"
        if isinstance(event, rel.ReleaseStarted):
            assert self.destroying is None, "a Release starts in an environment that is being taken away"
        if isinstance(event, removal.EnvironmentDestroyed):
            assert self.destroying is not None, "an environment is taken away and nobody asked"
            for host, one in event.hosts.items():
                named = self.destroying.hosts[host].volumes
                assert set(one.volumes) <= set(named), "a volume goes that nobody named"

    def _check(self, event: Event, stored: StoredEvent) -> None:
        if _is_by_git(event):
            assert self.hold is None, "a hold stands and Git deploys"
            assert not self.suspended, "Git deploys to a suspended environment"
        if isinstance(event, _REQUESTS):
            assert event.release not in self.requested, "a Release is requested once"
            begun = [] if self.running is None else [self.running]
            assert self.waiting in ([], begun), "a second Release waits to be begun"
        if isinstance(event, env.RollbackRequested) and self.hold is not None:
            assert event.digest not in self.hold.bad, "a rollback leads into a held bad Manifest"
        if isinstance(event, env.HoldCleared):
            self._check_end_of_hold(event, stored)
        if isinstance(event, env.EnvironmentHeld):
            self._check_hold(event, stored)
        if isinstance(event, rel.ReleaseStarted):
            assert self.running is None, "two Releases run at once"
            assert event.release in self.waiting, "a Release starts that nobody waits for"
        if isinstance(event, _VERDICTS):
            assert event.release in self.requested
            assert event.release not in self.verdicts, "a Release has two verdicts"
        if isinstance(event, (rel.PhaseStarted, rel.PhaseCompleted)):
            assert self.phases[stored.stream, type(event).__name__, event.phase] == 0, "a phase is repeated"
        self._check_exchange(event, stored.stream.removeprefix("release/"))

    def _check_exchange(self, event: Event, release: str) -> None:
        if isinstance(event, svc.ServiceWithdrawn):
            assert release in {self.running, self.deployed}, "a container goes for a Release that has ended"
        if isinstance(event, (svc.ServiceReplaced, svc.ServiceStartedBeside, svc.ServiceReloaded)):
            drift = release == self.deployed and event.reason == "drift"
            assert release == self.running or drift, "a container is replaced for a Release that has ended"

    def _check_hold(self, event: env.EnvironmentHeld, stored: StoredEvent) -> None:
        assert event.target not in event.bad, "what is defended is held to be bad"
        if self.hold is not None and self.hold.clears == "manual" and stored.actor.kind == "controller":
            failed = self.requested[next(reversed(self.requested))]
            kept = event.clears == "manual" or self.hold.target == failed
            assert kept, "a failure takes the place of a person's hold"

    def _check_end_of_hold(self, event: env.HoldCleared, stored: StoredEvent) -> None:
        assert self.hold is not None, "no hold stands that could end"
        if event.reason in {"resumed", "expired"}:
            assert stored.actor.kind == ("cli" if event.reason == "resumed" else "schedule")
            return
        agreed = self.hold.agrees and event.reason == "reverted"
        assert self.hold.clears == "fixed" or agreed, "a hold of a person ends by itself"
        if event.reason == "reverted":
            assert self._candidate(event) == self.hold.target, "a hold ends for what it does not hold"
        if event.reason == "retried":
            failed = self.hold_by_failure
            assert failed is not None, "a hold that no failure made is retried"
            assert self.causes[failed][-1] == "outside", "a failure of the repository's is retried"
        if event.reason == "fixed":
            digest = self._candidate(event)
            assert digest not in self.hold.bad, "a bad Manifest is taken for a fix"
            target, offered = self.contents[self.hold.target], self.contents[digest]
            for bad in self.hold.bad:
                guilty = {name for name, what in self.contents[bad].items() if target.get(name) != what}
                still = {name for name in guilty if offered.get(name) == self.contents[bad][name]}
                assert not still, f"a fix still contains {still}"

    def _candidate(self, event: env.HoldCleared) -> str:
        """The Manifest of the commit that ended a hold."""
        assert event.revision is not None
        return self.commits[event.revision]

    def _note(self, event: Event) -> None:
        self._note_removal(event)
        match event:
            case (
                env.DeployRequested()
                | env.RevertDetected()
                | env.RollbackRequested()
                | adoption.AdoptionRequested()
            ):
                self.requested[event.release] = event.digest
            case rel.ReleaseStarted():
                self.running = event.release
            case rel.ReleaseCompleted():
                self._end(event.release, event)
                self.deployed = event.release
                self.causes.pop(event.digest, None)
            case rel.ReleaseFailed() | rel.ReleaseRolledBack():
                self._end(event.release, event)
                self.causes.setdefault(event.digest, []).append(event.failure.cause)
            case rel.ReleaseSuperseded():
                self._end(event.release, event)
            case env.EnvironmentHeld():
                newest = next(reversed(self.requested), "")
                failed = self.verdicts.get(newest) in _FAILURES and event.clears == "fixed"
                self.hold_by_failure = self.requested[newest] if failed else None
                self.hold = event
            case env.HoldCleared():
                self.hold = None
            case env.EnvironmentSuspended():
                self.suspended = True
            case env.EnvironmentResumed():
                self.suspended = False
            case _:
                pass

    def _note_removal(self, event: Event) -> None:
        """What Git showed, and what it must not bring back."""
        if isinstance(event, _REQUESTS):
            self.stays_away.clear()
        if isinstance(event, (env.DeployRequested, env.RevertDetected)) and _is_by_git(event):
            self.shown = event.digest
        if isinstance(event, (env.DeploySkipped, env.DeployDeferred)):
            self.shown = event.digest
        if isinstance(event, rel.ReleaseCancelled):
            self._end(event.release, event)
        if isinstance(event, removal.DestroyRequested):
            self.destroying = event
        if isinstance(event, removal.EnvironmentDestroyed):
            self.stays_away = {one for one in (self.shown, self.deployed_digest) if one is not None}
            self.destroying, self.deployed, self.hold = None, None, None

    def _end(self, release: str, event: Event) -> None:
        self.verdicts[release] = type(event).__name__
        if self.running == release:
            self.running = None


def _is_by_git(event: Event) -> bool:
    asked = isinstance(event, env.DeployRequested) and event.trigger == "git"
    return asked or isinstance(event, env.RevertDetected)
