"""What a Manifest asks for and is not allowed: looked up before a decision, which then stays pure.

The needs are read from the Manifest each time and never from the log, so that a rule which a newer version
adds also guards what was rendered before. Two things allow: the operator's policy, and a person who named
the permission when asking for this very Manifest in this environment. What was allowed that way stays so for
that Manifest, or a `git revert` to it would be refused on the day it is needed.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from controller.decide.deploy import HOSTS_RULE
from controller.decide.state import EnvironmentState
from events.catalog.environment import DeployRefused
from events.kernel.errors import UserError, Where, error_code
from gitops.compose.needs import needs_of
from gitops.permissions import Need, Permission, unmet
from gitops.policies import allowed_by

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from controller.context import Context
    from controller.decide.deploy import Candidate
    from controller.repositories import BranchRules
    from controller.targets import Target
    from events.catalog import Event
    from events.manifest import Manifest

NOT_ALLOWED = error_code(
    "not-allowed", "The Compose files ask for something that only controller.yml or --allow can allow."
)
HOST_NOT_ALLOWED = error_code(
    HOSTS_RULE, "The environment names a host that controller.yml does not let its branch deploy to."
)


def needs_of_manifest(
    manifest: Manifest, *, unset_variables: Iterable[str] = (), own: Collection[str] = ()
) -> tuple[Need, ...]:
    """Everything that a Manifest and its render need a permission for, sorted."""
    found = {
        need
        for content in manifest.hosts.values()
        for need in needs_of(content.compose, own=own, env_file=content.env_file)
    }
    return tuple(sorted(found | set(unset_needs(unset_variables))))


def unset_needs(names: Iterable[str]) -> tuple[Need, ...]:
    """A need for each variable that rendered blank."""
    return tuple(
        Need(
            permission=Permission.UNSET_VARIABLES,
            value=name,
            key=name,
            message=f"nothing sets {name}; write ${{{name}:-}} where blank is meant",
        )
        for name in sorted(names)
    )


def lines(needs: Iterable[Need]) -> tuple[str, ...]:
    """One line for each need: `system-path:/etc/ssh (web gets /etc/ssh of the host)`."""
    return tuple(f"{need.narrow} ({need.message})" for need in needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permits:
    """What one environment is allowed, by policy and by persons."""

    allowed: frozenset[str] = frozenset()  # whatever it renders to
    state: EnvironmentState = field(default_factory=EnvironmentState)  # knows what persons allowed a Manifest
    own: tuple[str, ...] = ()  # folders of Stagecraft, which no service may mount without a permission

    def refused(self, manifest: Manifest, *, unset_variables: Iterable[str]) -> tuple[str, ...]:
        """What `manifest` asks for and is not allowed, a line each; nothing for what is deployed."""
        digest = manifest.digest
        if digest == self.state.deployed_digest:
            return ()
        needs = needs_of_manifest(manifest, unset_variables=unset_variables, own=self.own)
        return lines(unmet(needs, self.allowed | self.state.allowed_for(digest)))


def judged(
    context: Context,
    candidate: Candidate,
    *,
    target: Target,
    state: EnvironmentState,
    given: Collection[str] = (),
) -> Candidate:
    """`candidate` with what it asks for and is not allowed; nothing is looked up for what is deployed.

    `given` is what a person allows with this request. Raises as `Context.manifest` does.
    """
    if candidate.digest == state.deployed_digest:
        return candidate
    manifest = context.manifest(candidate.digest)
    render = state.render_of(candidate.digest)
    permits = Permits(
        allowed=allowed_by(context.policy, project=target.project, environment=target.name) | set(given),
        state=state,
        own=(str(context.home.root),),
    )
    unset = () if render is None else render.unset_variables
    return replace(candidate, refused=permits.refused(manifest, unset_variables=unset))


def barred(candidate: Candidate, rules: BranchRules, state: EnvironmentState) -> UserError | None:
    """Why the candidate may not run on its hosts; None: it may, or it is deployed there."""
    names = sorted(host for host in candidate.services if rules.bars(host))
    if not names or candidate.digest == state.deployed_digest:
        return None
    what, allowed = ", ".join(names), ", ".join(rules.hosts) or "none"
    who = f"{rules.entry}.hosts" if rules.entry else "a branch that is not listed"
    return UserError(
        HOST_NOT_ALLOWED,
        f"the branch may not deploy to {what}",
        why=f"by controller.yml {who} allows {allowed}",
        next=f"add {what} to the hosts of the branch under repositories in controller.yml, or take it out of "
        "the hosts of the project",
    )


def raise_refusal(target: Target, decided: Iterable[Event]) -> None:
    """Raise UserError `not-allowed` when what was decided, and is recorded, is a refusal.

    The error names the narrowest words that would let the Manifest pass.
    """
    for event in decided:
        if isinstance(event, DeployRefused):
            flags = " ".join(f"--allow {shlex.quote(word)}" for word in dict.fromkeys(event.needs))
            raise UserError(
                NOT_ALLOWED,
                f"it asks for what is not allowed: {event.detail}",
                where=Where(environment=str(target)),
                why="what a repository may ask for is said in controller.yml, not in the repository",
                next=f"allow it for good under policy.{target}.allow in controller.yml, "
                f"or this once with {flags}",
            )
