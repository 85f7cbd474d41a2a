"""From a commit and an environment to a candidate: a known tree costs nothing, a new one is rendered once.

Known trees are looked for among the renders that the environment's stream records, newest first: when all
inputs of a render have the same object ids in this commit, its Manifest is the answer, with the same pins
and without Compose, an engine or a registry. That is what makes `git revert` safe when a tag has moved.
`rendering.py` has what is done about a new one, and is imported for one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from controller.decide.deploy import Candidate
from gitops.renderkey import renderer, same_inputs

if TYPE_CHECKING:
    from controller.context import Context
    from controller.decide.state import EnvironmentState, Render
    from events.recorder import Recorder
    from gitops.source.submodules import Superproject
    from gitops.source.tree import Tree

RefreshCause = Literal["person", "policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A commit's tree, to be rendered for one environment."""

    tree: Tree
    revision: str
    config_path: str
    project: str
    environment: str
    version: str | None = None  # None: what the descriptor says, else the revision
    submodules: Superproject | None = None  # None: they are not read


def shown_unchanged(state: EnvironmentState, tree: Tree) -> Render | None:
    """The render that Git showed the environment before, if this tree has all its inputs as they were.

    None: the tree could render to something else, so the environment is affected.
    """
    if state.git.digest is None or state.git.failure is not None:
        return None
    shown = state.render_of(state.git.digest)
    return shown if shown is not None and same_inputs(shown.inputs, tree) else None


def candidate_of(render: Render, *, revision: str) -> Candidate:
    """A recorded render as what `revision` leads to."""
    version = revision if render.version == render.revision else render.version
    return Candidate(digest=render.digest, services=render.services, revision=revision, version=version)


async def candidate_for(
    context: Context,
    subject: Subject,
    *,
    state: EnvironmentState,
    recorder: Recorder,
    refresh: RefreshCause | None = None,
    by_person: bool = False,
) -> Candidate:
    """The candidate that the subject leads to; a render that is not known yet is stored and recorded.

    With `refresh` tags are looked up again, also for a known tree; and when a person deploys one whose
    `images.refresh` is `on-deploy`. Raises ImagesMissingError while CI has
    not pushed what the commit names, UserError for what the repository got wrong and OutsideError for an
    engine or a registry; no render is recorded then.
    """
    known = None if subject.version else await asyncio.to_thread(_find_known, state, subject.tree)
    if known is not None and by_person and known.refresh == "on-deploy":
        refresh = "person"
    if known is not None and refresh is None:
        return candidate_of(known, revision=subject.revision)
    from controller.rendering import Rendering  # noqa: PLC0415  # a known tree needs none of what renders

    rendering = Rendering(
        context=context, subject=subject, state=state, recorder=recorder, refresh=refresh, known=known
    )
    return await rendering.run()


def _find_known(state: EnvironmentState, tree: Tree) -> Render | None:
    """The newest recorded render that this tree would repeat, None when it has to be rendered."""
    current = renderer()
    for render in reversed(state.renders):
        if render.renderer == current and same_inputs(render.inputs, tree):
            return render
    return None
