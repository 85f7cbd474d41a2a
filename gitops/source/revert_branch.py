"""Puts a revert on a branch of its own at the Git host, for somebody to merge.

It is made in a work tree beside the operator's, from the tip that the watched branch has at the host, so that
nothing that lies in front of the operator is touched, and pushed with the operator's own Git: their name,
signature, helpers and keys, because it is their proposal and not the controller's. What is pushed is one new
branch. It is never forced, and the watched branch is never the one.

A merge is reverted towards its first parent. Hooks of the repository run for the push, as for any other, and
not for the commit, which nobody has in front of them. (`git merge-tree` needs no work tree and was dropped:
the versions of Git that are served cannot do it from a given base.)
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from events.kernel.errors import OutsideError, StagecraftError, UserError, error_code
from events.kernel.process import Finished, run
from gitops.source.paths import shown

REVERT_NOT_POSSIBLE = error_code(
    "revert-branch-not-possible", "No revert branch can be made of what was rolled back."
)
REVERT_CONFLICTS = error_code(
    "revert-branch-conflicts", "The revert meets a conflict; somebody has to make it by hand."
)
REVERT_EXISTS = error_code("revert-branch-exists", "The Git host has the revert branch already.")
REVERT_NOT_PUSHED = error_code("revert-branch-not-pushed", "The Git host did not take the revert branch.")

_GIT_SECONDS = 120.0  # each command; a push goes over a network and may run hooks
_MOST_COMMITS = 50
_LINK = re.compile(r"https?://\S+")
_OF_ANOTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
_ALONE = ("--porcelain", "--no-follow-tags", "--recurse-submodules=no")  # this branch and nothing else
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertPlan:
    """What is to be taken back, and how it is called."""

    bad: str  # the newest commit to take back, 40 hex digits
    good: str  # the commit to go back to
    branch: str  # the watched one, as in `main`
    name: str  # of the new branch
    words: str  # for the commit's message


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertBranch:
    """What was pushed."""

    name: str
    remote: str
    revision: str
    links: tuple[str, ...] = ()  # addresses that the Git host answered with
    command: str = ""  # that opens a merge request


async def push_revert(root: Path, plan: RevertPlan) -> RevertBranch:
    """Make the revert and push it; `root` is the operator's work tree, which stays as it is.

    Raises UserError `revert-branch-not-possible`, `-conflicts` or `-exists`, and OutsideError
    `revert-branch-not-pushed` in the words of the host.
    """
    return await _Revert(root=root, plan=plan).pushed()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revert:
    root: Path
    plan: RevertPlan

    async def pushed(self) -> RevertBranch:
        remote = await self._remote()
        head = await self._head(remote)
        commits = await self._commits(remote, head)
        async with self._work_tree(head) as folder:
            revision = await self._committed(folder, commits)
        ref = f"refs/heads/{self.plan.name}"
        answer = await self._git("push", *_ALONE, remote, f"{revision}:{ref}")
        if answer.code != 0:
            raise self._not_pushed(remote, answer)
        said = answer.error_text
        address = (await self._git("remote", "get-url", "--push", remote)).stdout.decode().strip()
        return RevertBranch(
            name=self.plan.name,
            remote=remote,
            revision=revision,
            links=tuple(dict.fromkeys(_LINK.findall(said))),
            command=merge_request_command(address, self.plan),
        )

    async def _remote(self) -> str:
        """The remote of the watched branch: the configured one, the only one, or `origin`."""
        configured = await self._git("config", "--get", f"branch.{self.plan.branch}.remote")
        names = (await self._git("remote")).stdout.decode().split()
        wished = configured.stdout.decode().strip()
        for one in (wished, names[0] if len(names) == 1 else "", "origin"):
            if one in names:
                return one
        raise self._impossible(
            f"{self.root} has no remote with the branch {self.plan.branch}", next_="git remote add origin URL"
        )

    async def _head(self, remote: str) -> str:
        """Where the watched branch is at the host; the new branch must not be there."""
        refs = [f"refs/heads/{one}" for one in (self.plan.branch, self.plan.name)]
        answer = await self._git("ls-remote", "--", remote, *refs)
        if answer.code != 0:
            raise self._not_pushed(remote, answer)
        rows = [line.split("\t", 1) for line in answer.stdout.decode(errors="replace").splitlines()]
        found = {ref: revision for revision, ref in rows}
        if refs[1] in found:
            raise UserError(
                REVERT_EXISTS,
                f"{remote} has a branch {self.plan.name} already; nothing was pushed",
                next=merge_request_command("", self.plan),
            )
        if refs[0] not in found:
            raise self._impossible(f"{remote} has no branch {self.plan.branch}")
        head = found[refs[0]]
        if not await self._has(head):
            fetched = await self._git("fetch", "--quiet", "--no-tags", remote, refs[0])
            if fetched.code != 0:
                raise self._not_pushed(remote, fetched)
        return head

    async def _commits(self, remote: str, head: str) -> list[str]:
        """What is to be reverted, the newest first; a merge stands for what it brought."""
        bad, good = self.plan.bad, self.plan.good
        place = f"{self.plan.branch} of {remote}"
        if not await self._is_ancestor(bad, head):
            raise self._impossible(f"{bad[:12]} is not on {place}, so nothing there has to be taken back")
        if bad == good or not await self._is_ancestor(good, bad):
            raise self._impossible(f"{bad[:12]} does not descend from {good[:12]}, which runs now")
        listed = await self._checked("rev-list", "--first-parent", "--parents", f"{good}..{bad}")
        commits = listed.splitlines()
        if len(commits) > _MOST_COMMITS:
            raise self._impossible(f"{len(commits)} commits would have to be reverted")
        return commits

    async def _committed(self, folder: Path, commits: list[str]) -> str:
        """Revert the commits in the work tree beside, as one commit; answers it."""
        for line in commits:
            commit, *parents = line.split()
            mainline = ["-m", "1"] if len(parents) > 1 else []
            done = await self._git(*_NO_HOOKS, "revert", "--no-commit", *mainline, commit, cwd=folder)
            if done.code != 0:
                raise UserError(
                    REVERT_CONFLICTS,
                    f"{commit[:12]} cannot be reverted on {self.plan.branch} without a conflict",
                    why=done.error_text.splitlines()[0] if done.error_text else "",
                    next=f"git revert {' '.join([*mainline, commit[:12]])}, and open a merge request with it",
                )
        unchanged = await self._git("diff", "--cached", "--quiet", "HEAD", cwd=folder)
        if unchanged.code == 0:
            raise self._impossible(f"{self.plan.branch} has taken it back already")
        message = await self._message([line.split()[0] for line in commits])
        committed = await self._git(*_NO_HOOKS, "commit", "--quiet", "--message", message, cwd=folder)
        if committed.code != 0:
            raise self._impossible("Git made no commit", why=committed.error_text)
        return (await self._checked("rev-parse", "HEAD", cwd=folder)).strip()

    async def _message(self, commits: list[str]) -> str:
        """In the words of `git revert`, so that the merge is known for a revert."""
        subject = (await self._checked("log", "-1", "--format=%s", commits[0])).strip()
        more = f" and {len(commits) - 1} more" if len(commits) > 1 else ""
        taken = "\n".join(f"This reverts commit {one}." for one in commits)
        return f'Revert "{subject}"{more}\n\n{self.plan.words}\n\n{taken}\n'

    @asynccontextmanager
    async def _work_tree(self, head: str) -> AsyncGenerator[Path]:
        """A work tree of its own at `head`, gone afterwards with every trace."""
        with tempfile.TemporaryDirectory(prefix="stagecraft-revert-") as parent:
            folder = Path(parent) / "tree"
            made = await self._git(*_NO_HOOKS, "worktree", "add", "--quiet", "--detach", str(folder), head)
            if made.code != 0:
                raise self._impossible("Git made no work tree", why=made.error_text)
            try:
                yield folder
            finally:
                await asyncio.shield(self._git("worktree", "remove", "--force", str(folder)))

    async def _has(self, revision: str) -> bool:
        return (await self._git("cat-file", "-e", f"{revision}^{{commit}}")).code == 0

    async def _is_ancestor(self, older: str, newer: str) -> bool:
        return (await self._git("merge-base", "--is-ancestor", older, newer)).code == 0

    async def _checked(self, *arguments: str, cwd: Path | None = None) -> str:
        answer = await self._git(*arguments, cwd=cwd)
        if answer.code != 0:
            raise self._impossible(f"git {arguments[0]} failed", why=answer.error_text)
        return answer.stdout.decode(errors="replace")

    async def _git(self, *arguments: str, cwd: Path | None = None) -> Finished:
        """The operator's Git, which asks nobody."""
        environment = {
            name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_REPOSITORY
        }
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
        return await run(
            ["git", *arguments],
            env={**environment, **quiet},
            cwd=cwd or self.root,
            deadline_seconds=_GIT_SECONDS,
        )

    def _impossible(self, message: str, *, why: str = "", next_: str = "") -> StagecraftError:
        by_hand = f"git revert {self.plan.bad[:12]}, and open a merge request with it"
        return UserError(REVERT_NOT_POSSIBLE, message, why=why, next=next_ or by_hand)

    def _not_pushed(self, remote: str, answer: Finished) -> StagecraftError:
        said = answer.error_text or answer.stdout.decode(errors="replace").strip()
        return OutsideError(
            REVERT_NOT_PUSHED,
            f"{remote} did not take {self.plan.name}",
            why=shown(said) if "\n" not in said else said,
            next=f"see whether you may push: git push {remote} HEAD:refs/heads/{self.plan.name} --dry-run",
        )


def merge_request_command(address: str, plan: RevertPlan) -> str:
    """What opens a merge request, where the program of the host at `address` is known."""
    host = address.partition("://")[2] or address
    host = host.partition("@")[2] or host
    host = re.split("[:/]", host, maxsplit=1)[0]
    if "github" in host:
        return f"gh pr create --head {plan.name} --base {plan.branch} --fill"
    if "gitlab" in host:
        return f"glab mr create --source-branch {plan.name} --target-branch {plan.branch} --fill"
    return f"open a merge request from {plan.name} into {plan.branch} at your Git host"
