"""Submodules of a watched repository, brought where the operator allows it.

A commit pins each by a commit id, so what they hold is part of it; only their addresses can lead anywhere. An
address counts when it is on the server of the repository itself, by the same scheme, or when the operator
lists it under `remotes` of a policy. A relative one starts at the repository's own address. Of a repository
on this machine only one beside it, named relatively, is taken: whoever may push must not read what the
controller may read.

Credentials of the repository go to its own server alone, and only where it is the one that is asked. What was
brought for one watched repository is not found by another one, which may not be allowed to read it.

`.gitmodules` is read by Git itself, which takes no other file in from it. Nothing in it becomes an option, a
path that is written, or a program.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from events.kernel.errors import OutsideError, StagecraftError, UserError, Where, error_code
from events.kernel.process import run
from events.kernel.redact import REDACT
from gitops.remotes import Server, parse_prefix
from gitops.source.address import Address, check_address, parse_address, shown_address
from gitops.source.exchange import GIT_UNREACHABLE
from gitops.source.gitcommand import READ_SECONDS, local_environment
from gitops.source.nested import NestedTree
from gitops.source.paths import resolve, shown
from gitops.source.pinned import PinnedCommit, PinnedCommits
from gitops.source.ssh import AS_THE_USER, SshAccess
from gitops.source.tree import Tree

SUBMODULE_REFUSED = error_code(
    "submodule-refused", "A submodule's address is not one that the controller fetches from."
)
SUBMODULES_UNREADABLE = error_code("submodules-unreadable", "The file .gitmodules cannot be read.")

MODULES: Final = ".gitmodules"
SUBMODULES_SECONDS: Final = 300.0  # for all that one render fetches
_MAX_BYTES: Final = 64 * 1024
_MOST: Final = 20
_ENTRY: Final = re.compile(r"submodule\.(?P<name>.+)\.(?P<key>path|url)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Superproject:
    """A watched repository whose submodules are read."""

    url: str = field(repr=False)  # as it is watched; may hold credentials
    ssh: SshAccess = AS_THE_USER


@dataclass(slots=True, kw_only=True)
class Submodules:
    """Brings the submodules of commits of one repository."""

    parent: Superproject
    commits: PinnedCommits  # of this repository alone; closed by whoever opened them
    allowed: tuple[Server, ...] = ()  # prefixes of other addresses

    async def into(self, tree: Tree) -> Tree:
        """`tree` with its submodules in it.

        One that cannot be brought is an error for who reads it. Raises UserError `submodules-unreadable`.
        """
        modules: dict[str, Tree] = {}
        problems: dict[str, StagecraftError] = {}
        deadline = asyncio.get_running_loop().time() + SUBMODULES_SECONDS
        for path, url in (await _listed(tree)).items():
            found = await asyncio.to_thread(tree.named, path)
            if found is None or found[0] != "submodule":
                continue
            try:
                modules[path] = await self._brought(path, url, commit=found[1], deadline=deadline)
            except (UserError, OutsideError) as error:
                where = Where(file=shown(path))
                problems[path] = type(error)(
                    error.code,
                    f"submodule {shown(path)}: {error.message}",
                    where=where,
                    why=error.why,
                    next=error.next,
                )
        return NestedTree(tree, modules, problems) if modules or problems else tree

    async def _brought(self, path: str, url: str, *, commit: str, deadline: float) -> Tree:
        """The files of a submodule; raises as `PinnedCommits.tree`, and UserError `submodule-refused`."""
        pinned = self._pinned(path, url, commit=commit)
        try:
            async with asyncio.timeout_at(deadline):
                return await self.commits.tree(pinned)
        except TimeoutError as error:
            raise OutsideError(
                GIT_UNREACHABLE,
                f"the submodules did not answer in {SUBMODULES_SECONDS:g} s together",
                next=f"git ls-remote {pinned.url}",
            ) from error

    def _pinned(self, path: str, url: str, *, commit: str) -> PinnedCommit:
        """What is fetched for a submodule.

        Raises UserError `submodule-refused`, and `repository-url-refused` for what is no address at all.
        """
        check_address(url)
        parent = parse_address(self.parent.url)
        relative = url.startswith(("./", "../"))
        if parent.local and relative:
            return PinnedCommit(url=str(_beside(path, url, Path(parent.url))), commit=commit, scheme="file")
        try:
            server = parse_prefix(_joined(parent.url, url) if relative else url)
        except ValueError as error:
            raise _refused(path, url, str(error)) from error
        if not server.segments:
            raise _refused(path, url, "it names no repository")
        scheme = "ssh" if server.scheme == "scp" else server.scheme
        if not parent.local and _same_server(parent, server):
            return PinnedCommit(
                url=server.url,
                commit=commit,
                scheme=scheme,
                settings=parent.settings(),
                variables={**parent.variables(), **self.parent.ssh.variables()},
            )
        if not any(prefix.begins(server) for prefix in self.allowed):
            raise _refused(path, url, "it is on another server than the repository, and no policy allows it")
        return PinnedCommit(url=server.url, commit=commit, scheme=scheme)


async def _listed(tree: Tree) -> dict[str, str]:
    """`{path: url}` of `.gitmodules`, those with both; nothing where there is no such file."""
    if await asyncio.to_thread(tree.entry, MODULES) is None:
        return {}
    content = await asyncio.to_thread(tree.read, MODULES, max_bytes=_MAX_BYTES)
    answer = await run(
        ["git", "config", "--no-includes", "--null", "--list", "--file", "-"],
        env={**local_environment(), "PATH": os.environ.get("PATH", os.defpath)},
        stdin=content,
        deadline_seconds=READ_SECONDS,
    )
    if answer.code != 0:
        raise UserError(
            SUBMODULES_UNREADABLE,
            f"{MODULES} cannot be read",
            where=Where(file=MODULES),
            why=answer.error_text,
            next=f"git config --list --file {MODULES}",
        )
    named: dict[str, dict[str, str]] = {}
    for row in answer.stdout.decode(errors="surrogateescape").split("\0"):
        name, _newline, value = row.partition("\n")
        if found := _ENTRY.fullmatch(name):
            named.setdefault(found["name"], {})[found["key"]] = value
    listed = {
        resolve("", one["path"]): one["url"] for one in named.values() if one.get("path") and one.get("url")
    }
    if len(listed) > _MOST:
        raise UserError(
            SUBMODULES_UNREADABLE,
            f"{MODULES} lists {len(listed)} submodules, more than {_MOST}",
            where=Where(file=MODULES),
            next="deploy from a repository with fewer, or commit the files themselves",
        )
    return listed


def _same_server(parent: Address, server: Server) -> bool:
    """Whether an address is on the server of the repository, by the same scheme, port and user."""
    try:
        own = parse_prefix(parent.url.partition("?")[0].rstrip("/"))
    except ValueError:
        return False
    return (own.scheme, own.user, own.host, own.port) == (
        server.scheme,
        server.user,
        server.host,
        server.port,
    )


def _joined(parent: str, url: str) -> str:
    """A relative address as Git resolves it: `..` takes the last part of the repository's own away.

    Raises ValueError when there is none left to take away.
    """
    place = parent.partition("?")[0].rstrip("/")
    scheme, mark, rest = place.rpartition("://")
    server, colon, path = rest.partition("/" if mark else ":")
    parts = path.split("/")
    for part in url.split("/"):
        if part == ".." and not parts:
            raise ValueError("it leads above the server")
        if part == "..":
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return f"{scheme}{mark}{server}{colon}{'/'.join(parts)}"


def _beside(path: str, url: str, repository: Path) -> Path:
    """A repository beside another one of this machine. Raises UserError `submodule-refused`."""
    place = (repository / url).resolve()
    folder = repository.parent
    if place == folder or not place.is_relative_to(folder):
        raise _refused(path, url, "of this machine only repositories beside this one are read")
    return place


def _shown(url: str) -> str:
    """An address as people may see it: whatever it is, without credentials."""
    known = shown(url)
    with contextlib.suppress(UserError):
        known = shown(url) if parse_address(url).local else shown_address(url)
    return REDACT(known)


def _refused(path: str, url: str, why: str) -> UserError:
    return UserError(
        SUBMODULE_REFUSED,
        f"its address {_shown(url)!r} is refused: {why}",
        where=Where(file=MODULES),
        next="give it a relative address, as in ../lib.git, list its address under policy.<project>.remotes "
        f"in controller.yml, or commit the files of {shown(path)} themselves",
    )
