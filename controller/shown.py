"""What Git shows for an environment now, and what is decided on it.

It shows what it showed before, a known tree or a new render, or there is a reason why it shows nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from controller.awaiting import ImagesMissingError, record_wait
from controller.candidates import RefreshCause, Subject, candidate_for, candidate_of, shown_unchanged
from controller.decide.deploy import decide_git
from controller.deciding import append_decided
from controller.heads import HISTORY_RULES
from controller.permitting import barred, judged
from controller.refreshing import refresh_due
from controller.targets import Target
from controller.watching import overtaken
from events.catalog import Failure
from events.catalog.environment import RenderFailed
from events.kernel.errors import StagecraftError
from gitops.source.trust import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.context import Context
    from controller.decide.deploy import Candidate
    from controller.decide.state import Awaited, EnvironmentState
    from controller.watching import Sighting
    from events.catalog import Event
    from events.recorder import Recorder

_REFUSALS = RULES | HISTORY_RULES
"""Rules by which a commit was not taken, whatever it leads to. It would not be seen if it still were."""


async def candidate_shown(
    context: Context, sighting: Sighting, name: str, *, recorder: Recorder
) -> Candidate | Failure | Awaited:
    """What Git shows for the environment: unchanged, a known tree, or a new render.

    A failure to look tags up again leaves the pins as they are until they are due again.
    A commit that failed because of what is in it is not rendered again; one that failed because of
    something outside is, and so is one that was refused and is taken now; only a different failure is
    recorded.
    """
    state = context.environment(sighting.project, name)
    shown = await asyncio.to_thread(shown_unchanged, state, sighting.tree)
    if shown is not None and not (
        state.destroyed is None and refresh_due(context, sighting.project, name, render=shown)
    ):
        return candidate_of(shown, revision=state.git.revision or sighting.revision)
    failed = state.git.failure if state.git.failed_revision == sighting.revision else None
    if failed is not None and failed.code in _REFUSALS:
        failed = None
    if shown is None and failed is not None and failed.cause == "repository":
        return failed
    subject = Subject(
        tree=sighting.tree,
        revision=sighting.revision,
        config_path=sighting.config_path,
        project=sighting.project,
        environment=name,
        submodules=sighting.rules.submodules,
    )
    refresh: RefreshCause | None = None if shown is None else "policy"
    try:
        return await candidate_for(context, subject, state=state, recorder=recorder, refresh=refresh)
    except StagecraftError as error:
        if shown is not None:
            context.progress(f"{sighting.project}/{name}: tags were not looked up again: {error.message}")
            return candidate_of(shown, revision=state.git.revision or sighting.revision)
        if isinstance(error, ImagesMissingError):
            return record_wait(context, subject, error, recorder=recorder)
        failure = Failure.from_error(error)
        if failure != failed:
            event = RenderFailed(revision=sighting.revision, failure=failure)
            append_decided(context, f"{sighting.project}/{name}", lambda _: (event,), recorder=recorder)
        return failure


def decide_shown(
    context: Context,
    sighting: Sighting,
    name: str,
    *,
    candidate: Candidate,
    recorder: Recorder,
    unless: Callable[[EnvironmentState], bool] = lambda _state: False,
) -> tuple[Event, ...]:
    """Decide on the newest state and append what was decided.

    Nothing is where `unless` says so, or when a newer commit was seen on the branch meanwhile.
    """
    target = Target(project=sighting.project, name=name)
    release = context.release_id(target.project, target.name)

    def decide(state: EnvironmentState) -> tuple[Event, ...]:
        if unless(state) or overtaken(context, sighting):
            return ()
        offered = judged(context, candidate, target=target, state=state)
        offered = replace(offered, takes_back=sighting.takes_back)
        if (refusal := barred(candidate, sighting.rules, state)) is not None:
            offered = replace(offered, barred=f"{refusal.message}: {refusal.why}")
        return decide_git(
            state,
            offered,
            release_id=release,
            now=context.clock.now(),
        )

    return append_decided(context, str(target), decide, recorder=recorder)
