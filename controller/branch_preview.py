"""What one look would do, without doing it: for `controller run --dry-run`.

The branch is fetched into a folder that is thrown away; the log is read, nothing is appended, and no engine
and no registry is asked. A commit that a look would refuse is refused here too.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from controller.bootstrap import open_log
from controller.home import Home
from controller.planning import Question, answer, state_of
from controller.providers.table import PROVIDERS
from controller.remotes import pinned_remotes
from controller.repositories import watched
from controller.targets import choose_environments
from controller.watching import BranchState, fold_branch
from events.kernel.clock import SystemClock
from events.streams import repository_stream
from gitops.config.load import list_environments
from gitops.manifest import Draft, draft
from gitops.source.trust import TipQuestion, Verification, verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.preview import Preview
    from gitops.config.policy import PolicySection


async def preview_branch(
    home: Home,
    url: str,
    *,
    branch: str,
    environments: Sequence[str],
    config_path: str,
    cwd: Path,
    policy: Mapping[str, PolicySection],
    verification: Verification,
) -> list[Preview]:
    """The plan of the branch's tip for each environment, sorted by name; raises as a look does."""
    with tempfile.TemporaryDirectory(prefix="stagecraft-") as folder:
        aside = Home(Path(folder))
        place = watched(aside, url, cwd=cwd)
        mirror = place.mirror
        revision = await mirror.fetch(branch)
        before = _before(home, place.slug, branch)
        with mirror.repository() as repository:
            if not before.accepted(revision, verification):
                tags = await mirror.annotated_tags(revision) if verification.mode == "tag" else ()
                question = TipQuestion(
                    revision=revision, known=before.revision, tags=tags, now=SystemClock().now()
                )
                await verify(repository, question, verification)
            tree = repository.tree(revision)
            project, known = await asyncio.to_thread(list_environments, tree, config_path)
            shown: list[Preview] = []
            for name in choose_environments(known, environments, project=project):
                with pinned_remotes(aside, policy, project=project, environment=name) as remotes:
                    made = await draft(
                        tree,
                        config_path=config_path,
                        environment=name,
                        version=revision,
                        providers=PROVIDERS,
                        remotes=remotes,
                    )
                shown.append(_compared(home, made, revision, policy))
            return shown


def _before(home: Home, slug: str, branch: str) -> BranchState:
    """What the home's log says of the branch."""
    with open_log(home) as log:
        stored = [] if log is None else log.read_stream(repository_stream(slug))
        return fold_branch(stored, f"refs/heads/{branch}")


def _compared(home: Home, made: Draft, revision: str, policy: Mapping[str, PolicySection]) -> Preview:
    state = state_of(home, made)
    return answer(home, Question(made=made, revision=revision, state=state, pins=state.pins, policy=policy))
