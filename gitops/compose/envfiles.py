"""Env files of services that a variable names, such as `env_file: ${PLATFORM_ENV_FILE:-.env.local}`.

Which file that is only Compose can say, so its own answer is taken: it loads the project once without
opening an env file and writes the paths. What of them lies in the tree is then read by the tree's rules; the
client still sees no file that was not given to it. A plain name needs none of this
(`gitops.compose.closure`).

The file that the environment declares may be missing, as on a machine that has none; any other may not,
unless it says `required: false`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from events.kernel.errors import UserError, Where
from gitops.compose.client import Workshop
from gitops.compose.faults import COMPOSE_HOME_REFUSED, COMPOSE_PATH_REFUSED
from gitops.compose.reads import of_host
from gitops.findings import Finding, FindingCode
from gitops.source.paths import PATH_ESCAPES, shown

ReadFile = Callable[[str], bytes | None]
"""A file of the tree by its path from the root, None when it is absent; raises as `Tree.read`."""


@dataclass(slots=True)
class EnvFiles:
    """What the env files of a loaded project come to."""

    workshop: Workshop
    read: ReadFile
    declared: str | None  # the environment's own file, by its path from the root of the tree
    of_tree: dict[str, bytes] = field(default_factory=dict[str, bytes])
    findings: set[Finding] = field(default_factory=set[Finding])

    def take(self, service: str, listed: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
        """The entries for files of the tree, and those for files of the host.

        Raises UserError `path-escapes`, `compose-home-refused`, `compose-path-refused` and as `read`.
        """
        ours: list[Any] = []
        hosts: list[Any] = []
        for entry in listed:
            path, key = str(entry["path"]), f"services.{service}.env_file"
            if self.workshop.private(path):
                ours.append(self._of_tree(entry, path, key))
            elif of_host(path):
                hosts.append(entry)
            else:
                raise UserError(
                    COMPOSE_PATH_REFUSED, f"{shown(path)!r} is no env file of a host", where=Where(key=key)
                )
        return ours, hosts

    def _of_tree(self, entry: dict[str, Any], path: str, key: str) -> dict[str, Any]:
        inner = self.workshop.inner(path)
        if inner is None:
            if self.workshop.at_home(path):
                raise UserError(
                    COMPOSE_HOME_REFUSED, f"{key} is in somebody's home folder", where=Where(key=key)
                )
            raise UserError(
                PATH_ESCAPES, "the env file's path leads out of the repository", where=Where(key=key)
            )
        plain = inner.replace("$$", "$")
        content = self.read(plain)
        if content is not None:
            self.of_tree[plain] = content
        elif plain == self.declared and entry.get("required") is not False:
            message = f"{shown(plain)} is not in the commit; services that name it go without"
            self.findings.add(Finding(code=FindingCode.ENV_FILE_ABSENT, message=message, key="env_file"))
            return {**entry, "required": False}
        return entry
