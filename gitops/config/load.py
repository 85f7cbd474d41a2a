"""`stagecraft.yml` and the descriptors beside it, resolved for one environment.

A descriptor `environments/<name>.yml` adds an environment or takes the place of the inline entry of its
name; nothing is merged between the two, so what is true of an environment stands in one place. Every path
that was looked for is noted, absent ones too: they are inputs of the render.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from events.kernel.errors import UserError, Where, error_code
from gitops.config.document import MAX_CONFIG_BYTES, Document, load_document
from gitops.config.faults import Fault, config_invalid, unknown
from gitops.config.models import EnvironmentSection, StagecraftFile, checked_name
from gitops.config.schema import parse
from gitops.findings import Finding, FindingCode
from gitops.source.paths import inside, join, parent, shown
from gitops.source.tree import Tree

CONFIG_NOT_FOUND = error_code("config-not-found", "There is no stagecraft.yml where it was looked for.")
ENVIRONMENT_UNKNOWN = error_code("environment-unknown", "No environment of that name is known.")

DEFAULT_CONFIG = "stagecraft.yml"
_DESCRIPTORS = "environments"
_SUFFIX = ".yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The project's file and what one environment says, with the files they came from."""

    folder: str  # of `stagecraft.yml`, from the root of the tree; every path in the project starts here
    project: StagecraftFile
    project_document: Document
    name: str  # of the environment
    environment: EnvironmentSection
    environment_document: Document
    inline: bool  # the environment stands in `stagecraft.yml`
    looked_for: tuple[str, ...]
    findings: tuple[Finding, ...] = field(default=())

    def environment_fault(self, key: tuple[str | int, ...], message: str) -> Fault:
        """A broken rule at `key` of the environment's entry, wherever that stands."""
        prefix = (_DESCRIPTORS, self.name) if self.inline else ()
        return self.environment_document.fault((*prefix, *key), message)


def load(tree: Tree, config_path: str, environment: str) -> Configuration:
    """Read and check both files.

    Raises UserError `config-not-found`, `config-invalid` or `environment-unknown`.
    """
    document, project = _project(tree, config_path)
    folder = parent(config_path)
    inline = project.environments.get(environment)
    path = join(folder, f"{_DESCRIPTORS}/{environment}{_SUFFIX}")
    own = None
    if _possible(environment) and tree.entry(path) is not None:
        own = load_document(path, tree.read(path, max_bytes=MAX_CONFIG_BYTES))
        section = parse(own, EnvironmentSection)
    elif inline is not None:
        section = inline
    else:
        raise _environment_unknown(tree, config_path, environment)
    return Configuration(
        folder=folder,
        project=project,
        project_document=document,
        name=environment,
        environment=section,
        environment_document=own or document,
        inline=own is None,
        looked_for=(config_path, path),
        findings=_replaced(document, environment, path) if own is not None and inline is not None else (),
    )


def list_environments(tree: Tree, config_path: str = DEFAULT_CONFIG) -> tuple[str, list[str]]:
    """The project's name and its environments, sorted.

    Raises UserError `config-not-found` or `config-invalid`.
    """
    document, project = _project(tree, config_path)
    return project.project.name, _names(tree, config_path, document, project)


def _project(tree: Tree, config_path: str) -> tuple[Document, StagecraftFile]:
    entry = tree.entry(config_path)
    if entry is None or entry.kind == "folder":
        raise UserError(
            CONFIG_NOT_FOUND,
            f"config not found at {shown(config_path)}" + (": it is a folder" if entry else ""),
            where=Where(file=shown(config_path)),
            next=("take the folder away and run: " if entry else "")
            + "stagecraft init, or name the file with --config",
        )
    document = load_document(config_path, tree.read(config_path, max_bytes=MAX_CONFIG_BYTES))
    project = parse(document, StagecraftFile)
    _names(tree, config_path, document, project)
    return document, project


def _names(tree: Tree, config_path: str, document: Document, project: StagecraftFile) -> list[str]:
    """All environments. Raises UserError `config-invalid` for a badly named descriptor or none at all."""
    names = set(project.environments)
    folder = join(parent(config_path), _DESCRIPTORS)
    for path, _ in tree.walk(folder):
        name = (inside(folder, path) or "").removesuffix(_SUFFIX)
        if "/" in name or not path.endswith(_SUFFIX):
            continue
        try:
            names.add(checked_name(name))
        except ValueError as error:
            raise config_invalid([Fault(file=shown(path), message=str(error))]) from error
    if not names:
        raise config_invalid([document.fault((_DESCRIPTORS,), "at least one environment is needed")])
    return sorted(names)


def _possible(name: str) -> bool:
    try:
        checked_name(name)
    except ValueError:
        return False
    return True


def _environment_unknown(tree: Tree, config_path: str, environment: str) -> UserError:
    project, names = list_environments(tree, config_path)
    return UserError(
        ENVIRONMENT_UNKNOWN,
        f"project {project!r}: {unknown('environment', shown(environment), names)}",
        where=Where(file=config_path, key=_DESCRIPTORS),
        next=f"stagecraft plan --env {names[0]}",
    )


def _replaced(document: Document, environment: str, path: str) -> tuple[Finding, ...]:
    mark = document.marks.get((_DESCRIPTORS, environment))
    return (
        Finding(
            code=FindingCode.ENVIRONMENT_REPLACED,
            message=f"{path} stands in for this entry",
            file=document.file,
            line=mark.line if mark else None,
            column=mark.column if mark else None,
            key=f"{_DESCRIPTORS}.{environment}",
        ),
    )
