"""What one look would do, without doing it: for `controller run --dry-run`.

The branch is fetched into a folder that is thrown away; the log is read, nothing is appended, and no engine
and no registry is asked. A commit that a look would refuse is refused here too.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from controller.bootstrap import open_log
from controller.branches import Branches, BranchState
from controller.heads import ask_head, check_history, fetch_head, own_tags
from controller.home import Home
from controller.planning import Question, answer, state_of, taken_back_on
from controller.providers.table import PROVIDERS
from controller.remotes import pinned_remotes, submodules_of
from controller.targets import choose_environments
from controller.trusting import check_trust, tags_for
from controller.watching import Tip, Wishes
from events.kernel.clock import SystemClock
from gitops.config.load import list_environments
from gitops.manifest import draft

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.branch_keys import BranchKey
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
        aside = Home(Path(folder))
        mirror = place.watched.mirror.beside(aside.mirrors / "watched.git")
        head = await fetch_head(mirror, place, await ask_head(mirror, place))
        revision = head.revision
        before = _before(home, place.key)
        tags = own_tags(head) if head.tag else await tags_for(place, revision, before, mirror=mirror)
        wishes = Wishes(environments=place.environments, only=only)
        with mirror.repository() as repository:
            tip = Tip(
                slug=place.key.slug,
                ref=place.key.ref,
                commit=repository.resolve(revision),
                repository=repository,
                tag=head.tag,
                tags=tags,
            )
            await check_trust(tip, before, place.rules, now=SystemClock().now())
            check_history(tip, before, place.rules)
            takes_back = _takes_back(home, tip, before)
            tree = repository.tree(revision)
            project, known = await asyncio.to_thread(list_environments, tree, config_path)
            shown: list[Preview] = []
            for name in choose_environments(known, place.environments, project=project):
                if not wishes.wanted(f"{project}/{name}"):
                    continue
                with (
                    pinned_remotes(aside, policy, project=project, environment=name) as remotes,
                    submodules_of(aside, place.rules.submodules, allowed=remotes.allowed) as submodules,
                ):
                    made = await draft(
                        tree if submodules is None else await submodules.into(tree),
                        config_path=config_path,
                        environment=name,
                        version=revision,
                        providers=PROVIDERS,
                        remotes=remotes,
                    )
                state = state_of(home, made)
                question = Question(
                    made=made,
                    revision=revision,
                    state=state,
                    pins=state.pins,
                    policy=policy,
                    takes_back=takes_back,
                )
                shown.append(_limited(answer(home, question), place.rules))
            return shown


def _before(home: Home, key: BranchKey) -> BranchState:
    """What the home's log says of the branch."""
    with open_log(home) as log:
        return BranchState() if log is None else Branches().of(log, key)


def _takes_back(home: Home, tip: Tip, before: BranchState) -> tuple[str, ...]:
    """What a look at the tip would find taken back."""
    with open_log(home) as log:
        if log is None:
            return ()
        return taken_back_on(log, tip.key, before, repository=tip.repository, revision=tip.commit.revision)


def _limited(preview: Preview, rules: BranchRules) -> Preview:
    """`preview` with a refusal for each host that the branch may not deploy to."""
    barred = [
        f"host {host} (the branch may deploy to {', '.join(rules.hosts) or 'none'})"
        for host in preview.hosts
        if rules.bars(host)
    ]
    return replace(preview, refused=(*preview.refused, *barred))
