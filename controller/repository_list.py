"""The branches that are watched, as anybody may ask for them: from the list, the log, and what was answered.

Nothing is asked and nothing is made. With `repositories` in `controller.yml` those are the watched ones;
without, they are the ones that were named by hand and answered, which `observed.db` remembers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.branch_keys import BranchKey, means
from controller.branches import Branches, BranchState
from controller.listed import keys_of, rivals_of
from events.refs import range_of
from gitops.source.address import anchored, shown_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from controller.branch_keys import Rivals
    from events.log import EventLog
    from gitops.config.controller import ControllerFile
    from projections.observed import BranchAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRow:
    """One watched branch."""

    slug: str
    url: str  # without credentials
    branch: str  # as people call it, also where tags are watched
    tags: str | None  # the range of versions; None: a branch is watched
    environments: tuple[str, ...]  # `<project>/<name>`, those that are deployed from it
    last_seen_revision: str | None
    freshness_seconds: float | None  # since it last answered; None: it never did

    def as_json(self) -> dict[str, Any]:
        """One object of `repositories list --json`; its keys are a published contract, `tags` last if any."""
        row = {
            "slug": self.slug,
            "url": self.url,
            "branch": self.branch,
            "environments": list(self.environments),
            "last_seen_revision": self.last_seen_revision,
            "freshness_seconds": self.freshness_seconds,
        }
        return row if self.tags is None else {**row, "tags": self.tags}


def branch_rows(
    file: ControllerFile,
    log: EventLog | None,
    answers: Mapping[tuple[str, str], BranchAnswer],
    *,
    folder: Path,
    now: datetime,
) -> list[BranchRow]:
    """The branches in the order of the list, else sorted; relative paths start in `folder`."""
    rivals = rivals_of(file, folder=folder)
    urls = {
        key: shown_address(anchored(one.url, folder)) for key, one in keys_of(file, folder=folder).items()
    }
    if not urls:
        urls = {key: answer.url for key, answer in _keyed(answers).items()}
    branches, rows = Branches(), list[BranchRow]()
    for key, url in urls.items():
        state = BranchState() if log is None else branches.of(log, key)
        others = {} if log is None else branches.others(log, key, among=rivals)
        answer = answers.get(key)
        age = None if answer is None else max(0.0, (now - answer.at).total_seconds())
        rows.append(
            BranchRow(
                slug=key.slug,
                url=url,
                branch=key.shown,
                tags=range_of(key.ref),
                environments=_deployed_from(key, state, rivals, others),
                last_seen_revision=state.revision,
                freshness_seconds=None if age is None else round(age, 3),
            )
        )
    return rows


def _keyed(answers: Mapping[tuple[str, str], BranchAnswer]) -> dict[BranchKey, BranchAnswer]:
    return {BranchKey(*names): answer for names, answer in answers.items()}


def _deployed_from(
    key: BranchKey, state: BranchState, rivals: Rivals | None, others: Mapping[str, BranchKey]
) -> tuple[str, ...]:
    """What the branch wants by its newest commit that was taken, and has."""
    wishes = None if rivals is None else rivals[key]
    wanted = state.claims if wishes is None else state.declared
    return tuple(
        sorted(
            title
            for title in wanted
            if title not in others and (not wishes or any(means(wish, title) for wish in wishes))
        )
    )
