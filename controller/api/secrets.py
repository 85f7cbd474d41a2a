"""The secrets that webhooks are signed with: variables of the controller's own environment.

A variable that `controller.yml` names and nobody set ends the start: a hook that takes no delivery looks like
one that has nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.api.hooks import HookSecrets
from controller.repositories import WatchedBranch
from events.kernel.errors import UserError, Where, error_code
from events.kernel.redact import REDACT
from gitops.source.webhook import HookKind

WEBHOOK_SECRET_MISSING = error_code(
    "webhook-secret-missing", "The variable with the secret of a webhook is not set."
)


def hook_secrets(places: Iterable[WatchedBranch], environ: Mapping[str, str]) -> HookSecrets:
    """Those of watched branches. Raises UserError `webhook-secret-missing`."""
    found: dict[str, dict[HookKind, tuple[bytes, ...]]] = {}
    for place in places:
        for kind, name in place.rules.webhooks:
            secret = environ.get(name, "").strip()
            if not secret:
                raise UserError(
                    WEBHOOK_SECRET_MISSING,
                    f"{name} is not set",
                    where=Where(file="controller.yml", key=f"{place.rules.entry}.webhooks.{kind}.secret_env"),
                    why="without it every delivery would be refused",
                    next=f"start the controller with {name} in its environment",
                )
            REDACT.learn(secret)
            kinds = found.setdefault(place.key.slug, {})
            kinds[kind] = (*kinds.get(kind, ()), secret.encode())
    return found
