"""All that can be said of a project's configuration without running anything, as one list of findings.

Loading for a deploy stops at what is broken; here every file is read on, so that a person sees all of it at
once. The same functions decide in both places, so nothing is found here that a deploy would take, nor the
other way round, but for what only Compose knows: names of services are compared with the Compose file as it
is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from gitops.compose.names import NamesUnknownError, service_names
from gitops.config.controller import ControllerFile, operator_faults, read_controller_file
from gitops.config.document import MAX_CONFIG_BYTES, Document, load_document
from gitops.config.faults import ConfigInvalidError
from gitops.config.load import DESCRIPTORS, descriptor_paths, join_environment, no_environment, read_project
from gitops.config.models import EnvironmentSection, StagecraftFile
from gitops.config.references import environment_references, project_references
from gitops.config.schema import parse
from gitops.config.unused import unused_keys
from gitops.findings import Finding, FindingCode, Severity
from gitops.preparation import rules_left_over
from gitops.providers import Providers, provider_findings
from gitops.settings import service_sections, unknown_roles, unknown_services
from gitops.source.paths import join, parent
from gitops.source.tree import Tree


def check_project(
    tree: Tree, config_path: str, *, providers: Providers, environments: Sequence[str] = ()
) -> list[Finding]:
    """What is found in `stagecraft.yml` and the descriptors, by file and place.

    With `environments`, only those and the project. Raises UserError `config-not-found`,
    `environment-unknown`, and as `Tree.read` says.
    """
    checked = _Project(tree=tree, config_path=config_path, providers=providers)
    return _sorted(checked.findings(environments))


def check_controller(path: Path) -> list[Finding]:
    """What is found in a `controller.yml`. Raises UserError `controller-file-unreadable`."""
    try:
        document = read_controller_file(path)
    except ConfigInvalidError as error:
        return _sorted(fault.finding for fault in error.faults)
    found = _checked(document, ControllerFile)
    if not any(one.severity is Severity.ERROR for one in found):
        file = parse(document, ControllerFile)
        found += (fault.finding for fault in operator_faults(document, file, folder=path.parent))
    return _sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Project:
    """A project that is checked."""

    tree: Tree
    config_path: str
    providers: Providers

    def findings(self, environments: Sequence[str]) -> list[Finding]:
        """All of them, in no order; what joins files is looked at when each of them is sound."""
        try:
            document = read_project(self.tree, self.config_path)
        except ConfigInvalidError as error:
            return [fault.finding for fault in error.faults]
        paths, misnamed = descriptor_paths(self.tree, self.config_path)
        chosen = [path for name, path in paths.items() if not environments or name in environments]
        found = [fault.finding for fault in misnamed]
        found += self._ignored()
        found += _checked(document, StagecraftFile)
        for path in chosen:
            found += self._descriptor(path)
        if any(one.severity is Severity.ERROR for one in found):
            return found
        project = parse(document, StagecraftFile)
        every = {*project.environments, *paths}
        if not every:
            return [*found, no_environment(document).finding]
        found += provider_findings(document, project, self.providers)
        found += (fault.finding for fault in project_references(document, project, every))
        return [*found, *self._joined(document, project, sorted(environments or every))]

    def _ignored(self) -> Iterator[Finding]:
        """Files that somebody may take for descriptors."""
        folder = join(parent(self.config_path), DESCRIPTORS)
        for path, _ in self.tree.walk(folder):
            if path.endswith(".yaml"):
                message = "it is not read: a descriptor's name ends in .yml"
                yield Finding(code=FindingCode.DESCRIPTOR_IGNORED, message=message, file=path)

    def _descriptor(self, path: str) -> list[Finding]:
        try:
            document = load_document(path, self.tree.read(path, max_bytes=MAX_CONFIG_BYTES))
        except ConfigInvalidError as error:
            return [fault.finding for fault in error.faults]
        return _checked(document, EnvironmentSection)

    def _joined(self, document: Document, project: StagecraftFile, names: Iterable[str]) -> Iterator[Finding]:
        """What each environment comes to with the project and the Compose file."""
        try:
            services = service_names(self.tree, parent(self.config_path))
        except NamesUnknownError as error:
            services = None
            message = f"names of services are not compared with the Compose file: {error}"
            yield Finding(code=FindingCode.COMPOSE_UNREAD, message=message, file=self.config_path)
        for name in names:
            joined = join_environment(self.tree, self.config_path, document, project, name)
            faults = unknown_roles(joined, service_sections(joined) if services is None else services)
            if services is not None:
                faults += unknown_services(joined, services)
            faults += environment_references(joined, services)
            yield from (fault.finding for fault in faults)
            yield from rules_left_over(self.tree, joined)
            yield from (one for one in joined.findings if one.code is not FindingCode.UNUSED_KEY)


def _checked(document: Document, model: type[BaseModel]) -> list[Finding]:
    """What the schema says of one file: broken rules, and keys that nothing uses."""
    broken: list[Finding] = []
    try:
        parse(document, model)
    except ConfigInvalidError as error:
        broken = [fault.finding for fault in error.faults]
    keys = {one.key for one in broken}
    return [*broken, *(one for one in unused_keys(document, model) if one.key not in keys)]


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(set(findings), key=lambda one: one.order)
