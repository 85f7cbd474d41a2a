"""The rules for `repositories` of `controller.yml` that no single entry can be checked by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from events.kernel.errors import UserError
from events.refs import shown_ref
from gitops.config.document import Document
from gitops.config.faults import Fault
from gitops.config.operator import RepositorySection, RepositorySshSection
from gitops.source.address import anchored, parse_address, repository_name, shown_address
from gitops.source.branchname import may_be_branch
from gitops.source.paths import shown

REPOSITORIES = "repositories"


def repository_faults(
    document: Document, listed: Sequence[RepositorySection], *, folder: Path
) -> list[Fault]:
    """A fault for each address that is refused, branch that is listed twice, and watch or SSH that cannot be.

    Another spelling of an address makes no other branch: what two entries say of one could differ.
    Relative paths start in `folder`.
    """
    return list(_faults(document, listed, folder))


def _faults(document: Document, listed: Sequence[RepositorySection], folder: Path) -> Iterator[Fault]:
    first: dict[tuple[str, str], int] = {}
    logins: dict[str, int] = {}
    for position, one in enumerate(listed):
        key = (REPOSITORIES, position)
        yield from _ref_faults(document, one, key)
        try:
            url = anchored(one.url, folder)
            address = parse_address(url)
        except UserError as error:
            yield document.fault((*key, "url"), error.message)
            continue
        if one.watch is True and not address.local:
            message = "only the files of a repository on this machine can be watched"
            yield document.fault((*key, "watch"), message)
        alike = logins.setdefault(repository_name(url), position)
        if listed[alike].ssh != one.ssh:
            message = f"{REPOSITORIES}[{alike}] is of the same repository and has another `ssh`"
            yield document.fault((*key, "ssh"), message)
        if one.ssh != RepositorySshSection() and (address.local or address.origin):
            yield document.fault((*key, "ssh"), "the address is not one of SSH")
        before = first.setdefault((repository_name(url), one.ref), position)
        if before != position:
            message = (
                f"{_shown(one)} of {shown_address(url)} is listed already, in "
                f"{REPOSITORIES}[{before}]; list it once, with all its environments"
            )
            yield document.fault((*key, "url"), message)


def _ref_faults(document: Document, one: RepositorySection, key: tuple[str | int, ...]) -> Iterator[Fault]:
    """What is wrong with the branch or the range of versions."""
    if one.tags is not None and "branch" in one.model_fields_set:
        yield document.fault((*key, "tags"), "an entry has either `branch` or `tags`")
    try:
        _ = one.versions
    except ValueError as error:
        yield document.fault((*key, "tags"), str(error))
    if one.tags is None and not may_be_branch(one.branch):
        message = f"{shown(one.branch)!r} cannot be a branch; `tags` takes a range of versions"
        yield document.fault((*key, "branch"), message)


def _shown(one: RepositorySection) -> str:
    name = shown_ref(one.ref)
    return name if one.tags is not None else f"branch {name}"
