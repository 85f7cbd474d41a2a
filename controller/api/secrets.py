"""The secrets that webhooks are signed with: variables of the controller's own environment.

A variable that `controller.yml` names and nobody set ends the start: a hook that takes no delivery looks like
one that has nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from controller.api.hooks import HookSecrets
from events.kernel.errors import UserError, Where, error_code
from events.kernel.redact import REDACT
from gitops.config.operator import RepositorySection
from gitops.source.webhook import HookKind

WEBHOOK_SECRET_MISSING = error_code(
    "webhook-secret-missing", "The variable with the secret of a webhook is not set."
)


def hook_secrets(
    repositories: Sequence[RepositorySection],
    environ: Mapping[str, str],
    *,
    slug_of: Callable[[str], str],
) -> HookSecrets:
    """All of `controller.yml`, by the slug of each address. Raises UserError `webhook-secret-missing`."""
    found: dict[str, dict[HookKind, tuple[bytes, ...]]] = {}
    for number, repository in enumerate(repositories):
        for kind, section in repository.webhooks.items():
            secret = environ.get(section.secret_env, "").strip()
            if not secret:
                raise UserError(
                    WEBHOOK_SECRET_MISSING,
                    f"{section.secret_env} is not set",
                    where=Where(
                        file="controller.yml", key=f"repositories[{number}].webhooks.{kind}.secret_env"
                    ),
                    why="without it every delivery would be refused",
                    next=f"start the controller with {section.secret_env} in its environment",
                )
            REDACT.learn(secret)
            kinds = found.setdefault(slug_of(repository.url), {})
            kinds[kind] = (*kinds.get(kind, ()), secret.encode())
    return found
