"""What one look would do, without doing it: for `controller run --dry-run`.

The branch is fetched into a folder that is thrown away; the log is read, nothing is appended, and no engine
and no registry is asked.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from controller.planning import Question, answer, state_of
from controller.providers.table import PROVIDERS
from controller.targets import choose_environments
from controller.watching import Wishes
from gitops.config.load import list_environments
from gitops.manifest import Draft, draft
from gitops.source.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.home import Home
    from controller.preview import Preview
    from controller.repositories import BranchRules, WatchedBranch
    from gitops.config.policy import PolicySection


async def preview_branch(
    home: Home,
    place: WatchedBranch,
    *,
    config_path: str,
    policy: Mapping[str, PolicySection],
    only: Sequence[str] = (),
) -> list[Preview]:
    """The plan of the branch's tip for each environment, sorted by name; raises as a look does."""
    with tempfile.TemporaryDirectory(prefix="stagecraft-") as folder:
        mirror = Mirror(place.watched.url, Path(folder) / "mirror.git")
        revision = await mirror.fetch(place.branch)
        wishes = Wishes(environments=place.environments, only=only)
        with mirror.repository() as repository:
            tree = repository.tree(revision)
            project, known = await asyncio.to_thread(list_environments, tree, config_path)
            chosen = choose_environments(known, place.environments, project=project)
            drafts = [
                await draft(
                    tree, config_path=config_path, environment=name, version=revision, providers=PROVIDERS
                )
                for name in chosen
                if wishes.wanted(f"{project}/{name}")
            ]
            previews = [_compared(home, made, revision, policy) for made in drafts]
            return [_limited(one, place.rules) for one in previews]


def _compared(home: Home, made: Draft, revision: str, policy: Mapping[str, PolicySection]) -> Preview:
    state = state_of(home, made)
    return answer(home, Question(made=made, revision=revision, state=state, pins=state.pins, policy=policy))


def _limited(preview: Preview, rules: BranchRules) -> Preview:
    """`preview` with a refusal for each host that the branch may not deploy to."""
    barred = [
        f"host {host} (the branch may deploy to {', '.join(rules.hosts) or 'none'})"
        for host in preview.hosts
        if rules.bars(host)
    ]
    return replace(preview, refused=(*preview.refused, *barred))
