"""Images that the project's CI has not pushed yet: the commit waits, what runs stays.

The wait is in the log, so a restart goes on with it: it began when the first `ImageAwaited` of the commit was
recorded and ends at `until`. How long to rest between two look-ups follows from how long it has lasted, no
count is kept. A newer commit is another wait. When the time is over the commit fails, once; it is still
looked up as every failure from outside is, so that an image that comes late is deployed late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from controller.deciding import append_decided
from events.catalog import Failure
from events.catalog.environment import ImageAwaited, RenderFailed
from events.kernel.clock import format_utc
from events.kernel.errors import OutsideError, error_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.candidates import Subject
    from controller.context import Context
    from controller.decide.state import Awaited, EnvironmentState
    from events.catalog import Event
    from events.kernel.errors import StagecraftError
    from events.recorder import Recorder

IMAGE_AWAITED = error_code(
    "image-awaited", "An image that the project's CI pushes is not in its registry yet; it is waited for."
)
IMAGE_AWAIT_EXPIRED = error_code(
    "image-await-expired", "An image that the project's CI pushes did not come in time."
)

_SHORTEST_REST_SECONDS = 2.0
_LONGEST_REST_SECONDS = 30.0
_REST_PART = 4  # of the time waited so far


@dataclass(eq=False)
class ImagesMissingError(OutsideError):
    """A render found all images but these; `first` is what was said of the first of them."""

    images: tuple[str, ...] = ()
    wait_seconds: float = 0.0

    @classmethod
    def of(cls, missing: Mapping[str, StagecraftError], *, wait_seconds: float) -> ImagesMissingError:
        """From what the catalogue said of each reference."""
        refs = tuple(sorted(missing))
        return cls(
            IMAGE_AWAITED,
            f"waits for {', '.join(refs)}",
            why=missing[refs[0]].why,
            next="see whether CI builds and pushes it",
            images=refs,
            wait_seconds=wait_seconds,
        )


def begin_wait(
    error: ImagesMissingError, *, revision: str, now: datetime, trigger: Literal["git", "person"]
) -> ImageAwaited:
    """The event that begins a wait."""
    return ImageAwaited(
        revision=revision,
        images=error.images,
        until=now + timedelta(seconds=error.wait_seconds),
        why=error.why,
        trigger=trigger,
    )


def decide_await(
    state: EnvironmentState, error: ImagesMissingError, *, revision: str, now: datetime
) -> tuple[Event, ...]:
    """The events that follow when the commit that Git shows lacks images; none while nothing is new."""
    awaited = state.awaited
    if awaited is None or awaited.revision != revision:
        return (begin_wait(error, revision=revision, now=now, trigger="git"),)
    if now >= awaited.until:
        failure = Failure.from_error(expired(error.images, since=awaited.since, why=error.why))
        known = state.git.failed_revision == revision and state.git.failure == failure
        return () if known else (RenderFailed(revision=revision, failure=failure),)
    failed_otherwise = state.git.failed_revision == revision
    if failed_otherwise or awaited.images != error.images:
        began = begin_wait(error, revision=revision, now=now, trigger="git")
        return (began.model_copy(update={"until": awaited.until}),)
    return ()


def record_wait(
    context: Context, subject: Subject, error: ImagesMissingError, *, recorder: Recorder
) -> Failure | Awaited:
    """Record what follows for the commit that Git shows; answers the wait, or the failure that ended it."""
    now = context.clock.now()
    append_decided(
        context,
        f"{subject.project}/{subject.environment}",
        lambda state: decide_await(state, error, revision=subject.revision, now=now),
        recorder=recorder,
    )
    state = context.environment(subject.project, subject.environment)
    failed = state.git.failure if state.git.failed_revision == subject.revision else None
    if failed is not None or state.awaited is None:
        return failed or Failure.from_error(error)
    return state.awaited


def expired(images: tuple[str, ...], *, since: datetime, why: str) -> OutsideError:
    """The error for a wait that is over."""
    return OutsideError(
        IMAGE_AWAIT_EXPIRED,
        f"{', '.join(images)} did not come; waited since {format_utc(since)}",
        why=why,
        next="see whether CI built and pushed it; it is deployed when it comes",
    )


def words(awaited: Awaited) -> str:
    """What is waited for, for people; the same as long as the wait is."""
    return f"waits for {', '.join(awaited.images)} until {awaited.until:%Y-%m-%dT%H:%M:%SZ}"


def rest_seconds(*, since: datetime, until: datetime, now: datetime) -> float:
    """How long to rest before the next look-up; the last one is at the end of the wait."""
    waited = (now - since).total_seconds()
    rest = min(_LONGEST_REST_SECONDS, max(_SHORTEST_REST_SECONDS, waited / _REST_PART))
    left = (until - now).total_seconds()
    return min(rest, left) if left > 0 else rest
