"""The commit that `plan`, `deploy` and `config render` work on: one of the repository around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.kernel.errors import UserError, Where, error_code

if TYPE_CHECKING:
    from cli.settings import Settings
    from gitops.source.git import Commit, Repository
    from gitops.source.tree import Tree

NO_REPOSITORY = error_code(
    "repository-required", "The command works on a commit and there is no repository here."
)
CONFIG_ELSEWHERE = error_code("config-outside-repository", "The project file is not inside the repository.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosing:
    """A commit of the enclosing repository, or its work tree as it stands."""

    repository: Repository
    tree: Tree
    commit: Commit
    config_path: str  # relative to the repository's root
    dirty: bool  # the work tree differs from its HEAD
    at_head: bool  # the commit is the one that is checked out


def enclosing(settings: Settings, *, rev: str, worktree: bool = False) -> Enclosing:
    """The commit `rev`, or the work tree. Raises UserError when there is no repository or no such commit."""
    from gitops.source.git import Repository

    repository = Repository.enclosing(settings.cwd)
    if repository is None or repository.root is None:
        raise UserError(
            NO_REPOSITORY,
            f"{settings.cwd} is not inside a Git repository",
            next="run it inside your project's repository, or `git init` and commit first",
        )
    config = (settings.cwd / settings.config).resolve()
    root = repository.root.resolve()
    if not config.is_relative_to(root):
        raise UserError(
            CONFIG_ELSEWHERE,
            f"{config} is not inside the repository {root}",
            where=Where(file=settings.config),
            next="name a file of this repository with --config",
        )
    commit = repository.resolve(rev)
    return Enclosing(
        repository=repository,
        tree=repository.worktree() if worktree else repository.tree(commit.revision),
        commit=commit,
        config_path=config.relative_to(root).as_posix(),
        dirty=repository.dirty(),
        at_head=rev == "HEAD" or repository.is_head(commit.revision),
    )


def configured(settings: Settings, *, rev: str | None) -> tuple[Tree, str]:
    """`(tree, path of the project file in it)` of the commit `rev`, or of the files as they lie there.

    Files need no repository around them. Raises UserError as `enclosing` does, and `config-not-found`.
    """
    from gitops.config.load import config_not_found
    from gitops.source.git import Repository
    from gitops.source.worktree import WorkTree

    if rev is not None:
        found = enclosing(settings, rev=rev)
        return found.tree, found.config_path
    path = (settings.cwd / settings.config).resolve()
    if not path.parent.is_dir():
        raise config_not_found(settings.config)
    repository = Repository.enclosing(path.parent)
    if repository is None or repository.root is None:
        return WorkTree(path.parent), path.name
    return repository.worktree(), path.relative_to(repository.root.resolve()).as_posix()


def warn_when_dirty(settings: Settings, found: Enclosing) -> None:
    """Say that what is not committed is not part of what happens."""
    if found.dirty:
        settings.console.warning(
            f"uncommitted changes are not part of this: it works on commit {found.commit.revision[:12]}"
        )


def environment_of(settings: Settings, found: Enclosing) -> tuple[str, str]:
    """`(project, environment)` that the commit declares and the flags name.

    Raises UserError `environment-required` or `environment-unknown`, with the names that there are.
    """
    return environment_in(settings, found.tree, found.config_path)


def environment_in(settings: Settings, tree: Tree, config_path: str) -> tuple[str, str]:
    """The same of any tree."""
    from controller.targets import choose_environments
    from gitops.config.load import list_environments

    project, names = list_environments(tree, config_path)
    named = settings.required_environment(names)
    (name,) = choose_environments(names, [named], project=project)
    return project, name
