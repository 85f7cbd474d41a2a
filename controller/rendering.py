"""From a commit and an environment to a candidate: a known tree costs nothing, a new one is rendered once.

Known trees are looked for among the renders that the environment's stream records, newest first: when all
inputs of a render have the same object ids in this commit, its Manifest is the answer, with the same pins
and without Compose, an engine or a registry. That is what makes `git revert` safe when a tag has moved.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.decide.deploy import Candidate
from controller.deciding import append_decided
from events.catalog.environment import ManifestRendered
from gitops.manifest import complete, draft, unpinned
from gitops.pins import keep_pins, resolve_pins
from gitops.renderkey import render_key, renderer, same_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.context import Context
    from controller.decide.state import EnvironmentState, Render
    from events.manifest import ImagePin
    from events.recorder import Recorder
    from gitops.source.tree import Tree

_GIVEN_VERSION = ".git/version"
"""An input for what is not in the tree; Git lets no tree have this path, so no tree ever matches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A commit's tree, to be rendered for one environment."""

    tree: Tree
    revision: str
    config_path: str
    project: str
    environment: str
    version: str | None = None  # None: what the descriptor says, else the revision


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
    context: Context, subject: Subject, *, state: EnvironmentState, recorder: Recorder
) -> Candidate:
    """The candidate that the subject leads to; a render that is not known yet is stored and recorded.

    Raises UserError for what the repository got wrong and OutsideError for an engine or a registry; nothing
    is recorded then.
    """
    known = None if subject.version else await asyncio.to_thread(_find_known, state, subject.tree)
    if known is not None:
        return candidate_of(known, revision=subject.revision)
    context.progress(f"{subject.project}/{subject.environment}: rendering {subject.revision[:12]}")
    rendered = await _render(context, subject, sticky=state.pins)
    # A render depends on the tree and on the pins it was given, which only another render could move.
    title = f"{subject.project}/{subject.environment}"
    append_decided(context, title, lambda _: (rendered,), recorder=recorder)
    return Candidate(
        digest=rendered.digest,
        services=rendered.services,
        revision=subject.revision,
        version=rendered.version,
    )


def _find_known(state: EnvironmentState, tree: Tree) -> Render | None:
    """The newest recorded render that this tree would repeat, None when it has to be rendered."""
    current = renderer()
    for render in reversed(state.renders):
        if render.renderer == current and same_inputs(render.inputs, tree):
            return render
    return None


async def _render(context: Context, subject: Subject, *, sticky: Mapping[str, ImagePin]) -> ManifestRendered:
    """Render, pin and store the Manifest and the files it names; answers the event that records it."""
    made = await draft(
        subject.tree,
        config_path=subject.config_path,
        environment=subject.environment,
        version=subject.revision,
        given_version=subject.version,
    )
    pins = await resolve_pins(unpinned(made, {}), sticky=sticky, catalogue=context.catalogue)
    manifest = complete(made, pins)
    for content in made.blobs.values():
        context.blobs.put(content)
    context.blobs.put(manifest.encode())
    await keep_pins(manifest, context.catalogue)
    given = {} if subject.version is None else {_GIVEN_VERSION: subject.version}
    inputs = {**made.inputs, **given}
    return ManifestRendered(
        digest=manifest.digest,
        revision=subject.revision,
        version=made.version,
        render_key=render_key(inputs, made.renderer),
        inputs=inputs,
        renderer=made.renderer,
        services=manifest.service_hashes(),
        images=manifest.images(),
        findings=tuple(str(finding) for finding in made.findings),
        unset_variables=made.unset_variables,
    )
