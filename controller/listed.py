"""The branches to watch: those that `controller.yml` lists, or one that a person names.

The list is the operator's word on what a branch may do and which of its commits are trusted. It counts for a
branch that a person names too, however its address is spelled, so that nobody gets around it by `--repo`; one
that is not listed may do what an entry without keys allows. Nothing in a repository has a say in this: files
of keys are taken from beside `controller.yml`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.branch_keys import BranchKey, Rivals
from controller.repositories import BranchRules, Watched, WatchedBranch, watched
from events.kernel.errors import UserError, Where, error_code
from gitops.config.faults import dotted
from gitops.config.repositories import REPOSITORIES
from gitops.source.address import anchored, repository_name, slug
from gitops.source.ssh import SshAccess
from gitops.source.submodules import Superproject
from gitops.source.trust import Verification

if TYPE_CHECKING:
    from pathlib import Path

    from controller.home import Home
    from gitops.config.controller import ControllerFile
    from gitops.config.operator import RepositorySection, RepositorySshSection, VerifySection

REPOSITORIES_NONE = error_code("repositories-none", "No repository was named and none is listed.")


def listed_branches(home: Home, file: ControllerFile, *, path: Path) -> list[WatchedBranch]:
    """All branches of the file at `path`, in its order; none is listed twice.

    Branches of one address share a mirror. Raises UserError `repositories-none`.
    """
    if not file.repositories:
        raise UserError(
            REPOSITORIES_NONE,
            "no repository was named, and none is listed",
            where=Where(file=str(path), key=REPOSITORIES),
            next="add --repo URL, or list it: repositories: [{url: URL, branch: main}]",
        )
    rivals = rivals_of(file, folder=path.parent)
    mirrors: dict[str, Watched] = {}
    found: list[WatchedBranch] = []
    for position, one in enumerate(file.repositories):
        url = anchored(one.url, path.parent)
        if url not in mirrors:
            mirrors[url] = watched(home, url, cwd=path.parent, ssh=_ssh(one.ssh, path.parent))
        found.append(
            WatchedBranch(
                watched=mirrors[url],
                branch="" if one.versions else one.branch,
                tags=one.versions,
                environments=tuple(one.environments),
                interval_seconds=one.interval_seconds,
                follow=one.watch is not False,
                rules=_rules(position, one, rivals, folder=path.parent),
            )
        )
    return found


def named_branch(place: WatchedBranch, file: ControllerFile, *, folder: Path) -> WatchedBranch:
    """A branch that a person names, with the rules of its entry in `file`, if it has one.

    How Git logs in is the same for all branches of a repository, so any entry of it says so.
    """
    rivals = rivals_of(file, folder=folder)
    rules, repository = BranchRules(rivals=rivals), place.watched
    name = repository_name(repository.url)
    for position, one in enumerate(file.repositories):
        if repository_name(anchored(one.url, folder)) != name:
            continue
        mirror = place.watched.mirror.reached(_ssh(one.ssh, folder))
        repository = replace(repository, mirror=mirror)
        if one.ref == place.key.ref:
            rules = _rules(position, one, rivals, folder=folder)
    return replace(place, rules=rules, watched=repository)


def rivals_of(file: ControllerFile, *, folder: Path) -> Rivals | None:
    """Every branch that is listed and what it wants; None when none is listed."""
    return {key: tuple(one.environments) for key, one in keys_of(file, folder=folder).items()} or None


def keys_of(file: ControllerFile, *, folder: Path) -> dict[BranchKey, RepositorySection]:
    """The listed branches by their names in the log, in the order of the file."""
    return {_key(one, folder): one for one in file.repositories}


def _key(one: RepositorySection, folder: Path) -> BranchKey:
    return BranchKey(slug(anchored(one.url, folder)), one.ref)


def _rules(position: int, one: RepositorySection, rivals: Rivals | None, *, folder: Path) -> BranchRules:
    return BranchRules(
        entry=dotted((REPOSITORIES, position)),
        hosts=tuple(one.hosts),
        allow_rewrite=one.allow_rewrite,
        verification=_verification(one.verify, folder),
        webhooks=tuple((kind, section.secret_env) for kind, section in sorted(one.webhooks.items())),
        submodules=_superproject(one, folder) if one.submodules else None,
        rivals=rivals,
    )


def _verification(verify: VerifySection, folder: Path) -> Verification:
    if verify.mode == "none":
        return Verification()
    return Verification(
        mode=verify.mode,
        signers=None if verify.signers is None else folder / verify.signers,
        keyring=None if verify.keyring is None else folder / verify.keyring,
    )


def _ssh(section: RepositorySshSection, folder: Path) -> SshAccess:
    return SshAccess(
        identity_file=None if section.identity_file is None else (folder / section.identity_file).absolute(),
        known_hosts=None if section.known_hosts is None else (folder / section.known_hosts).absolute(),
    )


def _superproject(one: RepositorySection, folder: Path) -> Superproject:
    return Superproject(url=anchored(one.url, folder), ssh=_ssh(one.ssh, folder))
