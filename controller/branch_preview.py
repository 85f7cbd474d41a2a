"""What one look would do, without doing it: for `controller run --dry-run`.

The branch is fetched into a folder that is thrown away; the log is read, nothing is appended, and no engine
and no registry is asked.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from controller.bootstrap import open_log
from controller.decide.state import fold
from controller.home import Home
from controller.host_names import host_names
from controller.permitting import Permits
from controller.preview import Preview, preview
from controller.providers.table import PROVIDERS
from controller.recorded import recorded_manifest
from controller.repositories import watched
from controller.targets import choose_environments
from events.streams import environment_stream
from gitops.config.load import list_environments
from gitops.config.policy import allowed_by
from gitops.manifest import Draft, draft

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
) -> list[Preview]:
    """The plan of the branch's tip for each environment, sorted by name; raises as a look does."""
    with tempfile.TemporaryDirectory(prefix="stagecraft-") as folder:
        mirror = watched(Home(Path(folder)), url, cwd=cwd).mirror
        revision = await mirror.fetch(branch)
        with mirror.repository() as repository:
            tree = repository.tree(revision)
            project, known = await asyncio.to_thread(list_environments, tree, config_path)
            return [
                _compared(
                    home,
                    await draft(
                        tree, config_path=config_path, environment=name, version=revision, providers=PROVIDERS
                    ),
                    revision,
                    policy,
                )
                for name in choose_environments(known, environments, project=project)
            ]


def _compared(home: Home, made: Draft, revision: str, policy: Mapping[str, PolicySection]) -> Preview:
    with open_log(home) as log:
        stored = [] if log is None else log.read_stream(environment_stream(made.project, made.environment))
    state = fold(stored)
    deployed = recorded_manifest(home, state.deployed_digest)
    return preview(
        made,
        pins=state.pins,
        deployed=deployed,
        revision=revision,
        permits=Permits(
            allowed=allowed_by(policy, project=made.project, environment=made.environment),
            state=state,
            own=(str(home.root),),
        ),
        host_variables=host_names(made),
    )
