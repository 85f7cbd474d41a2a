"""Repositories with submodules, as `git submodule add` leaves them, without its own fetches."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.repos import Repository, git


def with_submodules(
    repository: Repository, modules: Mapping[str, tuple[str, str]], *, push: bool = True
) -> str:
    """Commit submodules by their paths, each an address and a commit, to a repository; answers its commit."""
    listed = "".join(
        f'[submodule "{path}"]\n\tpath = {path}\n\turl = "{url}"\n' for path, (url, _) in modules.items()
    )
    for path, (_, commit) in modules.items():
        (repository.work / path).mkdir(parents=True, exist_ok=True)  # as in a clone without --recursive
        git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}", cwd=repository.work)
    return repository.commit({".gitmodules": listed}, push=push)
