"""What follows from how a look at an environment ended: words, another try, the breaker, notices.

Words and notices are for what changed; the same failure again is silent. A failure whose cause is outside
is tried again after a growing wait; one in the repository waits for a new commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.backoff import Backoff
from controller.breaker import Attempts, decide_breaker
from controller.context import Context
from controller.decide.deploy import FIRST_RETRY_DELAY
from controller.decide.state import EnvironmentState
from controller.locks import LOCKED
from controller.look import Outcome
from controller.notify import Notice, Subject
from controller.queues import WorkQueues
from events.catalog import Failure
from events.kernel.errors import StagecraftError
from events.log import LOG_TOO_NEW, LOG_UNAVAILABLE, VERSION_CONFLICT
from events.streams import environment_stream
from projections.converge.failures import HOST_UNKNOWN, TAKEN_OVER

_LONGEST_RETRY_SECONDS = 300.0
_LATE = 1.05  # a retry that comes a little early would find that it is not due
_NO_ATTEMPT = HOST_UNKNOWN | TAKEN_OVER | {LOCKED, LOG_UNAVAILABLE, LOG_TOO_NEW, VERSION_CONFLICT}
"""With these nothing was tried on a host, so the breaker does not count them."""


def _backoff() -> Backoff:
    return Backoff(first_seconds=FIRST_RETRY_DELAY.total_seconds(), limit_seconds=_LONGEST_RETRY_SECONDS)


@dataclass(slots=True)
class _Memory:
    """What was last said of an environment."""

    words: str = ""
    told: str = ""  # the failure that somebody was told of, empty after the recovery
    retries: Backoff = field(default_factory=_backoff)


@dataclass(slots=True, kw_only=True)
class Afterwards:
    """Sees to what follows, for all environments."""

    context: Context
    queues: WorkQueues
    attempts: Attempts
    say: Callable[[str], None]
    tell: Callable[[Notice], None]
    _memories: dict[str, _Memory] = field(default_factory=dict[str, _Memory])

    def remember(self, title: str) -> None:
        """Before the first look: what is not well by the log was told by the run before this one.

        So it is not told again, and its end is.
        """
        if title not in self._memories:
            project, _, name = title.partition("/")
            self._memory(title).told = not_well(self.context.environment(project, name))

    def see_to(self, outcome: Outcome, *, started: float) -> None:
        """After a look that ended in an outcome; `started` is when it began, monotonic."""
        self._count(outcome, started=started)
        if outcome.failure is not None:
            self.failed(outcome)
            return
        memory = self._memory(outcome.environment)
        memory.retries.succeeded()
        if outcome.again_seconds is not None:
            self.queues.wake_later(outcome.environment, "image", seconds=outcome.again_seconds * _LATE)
        if outcome.status == "completed" or (outcome.status == "in-sync" and not outcome.detail):
            memory.words = ""  # nothing to say, or the Release said it itself
        else:
            self._say(outcome, memory)
        if memory.told and self._is_well(outcome):
            memory.told = ""
            self._tell("recovered", outcome, "it runs what it should")

    def failed(self, outcome: Outcome) -> None:
        """After a look that failed: say it, tell it, try again when that can help."""
        memory, failure = self._memory(outcome.environment), outcome.failure
        if failure is None:
            return
        self._say(outcome, memory)
        if failure.cause != "repository":
            seconds = memory.retries.failed() * _LATE
            self.queues.wake_later(outcome.environment, "again", seconds=seconds)
        if outcome.release is not None or outcome.status == "render-failed":
            self._tell_failure(outcome, memory, failure.message)

    def unusable(self, title: str, error: StagecraftError) -> None:
        """The newest commit cannot be used for any environment; the source itself has said so."""
        failure = Failure.from_error(error)
        outcome = Outcome(environment=title, status="render-failed", failure=failure)
        self._tell_failure(outcome, self._memory(title), failure.message)

    def _memory(self, title: str) -> _Memory:
        return self._memories.setdefault(title, _Memory())

    def _say(self, outcome: Outcome, memory: _Memory) -> None:
        failure = outcome.failure
        why = "" if failure is None else f"{failure.code}: {failure.message}"
        place = "" if failure is None or failure.service is None else f"service {failure.service}"
        parts = [outcome.release or "", outcome.status, outcome.detail, why, place]
        words = ", ".join(part for part in parts if part)
        if outcome.healed or words != memory.words:
            self.say(f"{outcome.environment}: {words}")
        memory.words = words

    def _is_well(self, outcome: Outcome) -> bool:
        project, _, name = outcome.environment.partition("/")
        state = self.context.environment(project, name)
        rests = state.breaker_open(self.context.clock.now())
        passes = state.hold is None and state.git.failure is None and not rests
        return outcome.status in {"completed", "in-sync", "orphaned", "destroyed"} and passes

    def _count(self, outcome: Outcome, *, started: float) -> None:
        """Count heals that do not last; too many open the breaker."""
        title, now = outcome.environment, self.context.clock.monotonic()
        failure = outcome.failure
        if outcome.release is not None:
            self.attempts.forget(title)
            return
        if outcome.healed:
            attempts = self.attempts.healed(title, started=started, ended=now)
        elif outcome.status == "failed" and failure is not None and failure.code not in _NO_ATTEMPT:
            attempts = self.attempts.failed(title, ended=now)
        else:
            return
        project, _, name = title.partition("/")
        reason = "what was healed did not stay up" if failure is None else failure.message
        state = self.context.environment(project, name)
        for opened in decide_breaker(state, attempts=attempts, now=self.context.clock.now(), reason=reason):
            self.context.recorder().append(environment_stream(project, name), opened)
            self.attempts.forget(title)
            seconds = (opened.until - self.context.clock.now()).total_seconds()
            rest = f"healing rests for {seconds:.0f} s after {opened.attempts} attempts"
            self.say(f"{title}: {rest}: {opened.reason}; `stagecraft resume --env {title}` ends the rest")
            self.queues.wake_later(title, "breaker", seconds=seconds * _LATE)
            self._tell_failure(outcome, self._memory(title), f"healing rests: {opened.reason}")

    def _tell_failure(self, outcome: Outcome, memory: _Memory, message: str) -> None:
        if message != memory.told:
            memory.told = message
            self._tell("rolled_back" if outcome.status == "rolled_back" else "failed", outcome, message)

    def _tell(self, event: Subject, outcome: Outcome, message: str) -> None:
        self.tell(
            Notice(
                event=event,
                environment=outcome.environment,
                release=outcome.release,
                status=outcome.status,
                message=message,
                time=self.context.clock.now(),
            )
        )


def not_well(state: EnvironmentState) -> str:
    """The failure that stands between an environment and what Git shows, by the log; empty when none does."""
    if state.git.failure is not None:
        return state.git.failure.message
    if state.breaker_until is not None:
        return "healing rests"
    failures = [one.failure.message for one in state.releases.values() if one.failure is not None]
    behind = state.git.digest not in {None, state.deployed_digest}
    held = state.hold is not None and state.hold.failed_release is not None
    return failures[-1] if failures and (behind or held) else ""
