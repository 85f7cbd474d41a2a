"""`stagecraft.yml` and the descriptors beside it, resolved for one environment.

A descriptor `environments/<name>.yml` adds an environment or takes the place of the inline entry of its
name; nothing is merged between the two, so what is true of an environment stands in one place. Every path
that was looked for is noted, absent ones too: they are inputs of the render.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from events.kernel.errors import UserError, Where, error_code
from gitops.config.document import MAX_CONFIG_BYTES, Document, load_document
from gitops.config.faults import ConfigInvalidError, Fault, KeyPath, unknown
from gitops.config.models import EnvironmentSection, StagecraftFile
from gitops.config.scalars import checked_name
from gitops.config.schema import parse
from gitops.config.unused import unused_roots, unused_summary
from gitops.findings import Finding, FindingCode
from gitops.source.paths import inside, join, parent, shown
from gitops.source.tree import Tree

CONFIG_NOT_FOUND = error_code("config-not-found", "There is no stagecraft.yml where it was looked for.")
ENVIRONMENT_UNKNOWN = error_code("environment-unknown", "No environment of that name is known.")

DEFAULT_CONFIG = "stagecraft.yml"
DESCRIPTORS = "environments"
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

    def environment_key(self, key: KeyPath) -> KeyPath:
        """`key` of the environment's entry in the file that the entry stands in."""
        return (DESCRIPTORS, self.name, *key) if self.inline else key

    def environment_fault(
        self, key: KeyPath, message: str, code: FindingCode = FindingCode.VALUE_INVALID
    ) -> Fault:
        """A broken rule at `key` of the environment's entry, wherever that stands."""
        return self.environment_document.fault(self.environment_key(key), message, code)


def load(tree: Tree, config_path: str, environment: str) -> Configuration:
    """Read and check both files.

    Raises UserError `config-not-found`, `config-invalid` or `environment-unknown`.
    """
    document, project = _project(tree, config_path)
    return join_environment(tree, config_path, document, project, environment)


def join_environment(
    tree: Tree, config_path: str, document: Document, project: StagecraftFile, environment: str
) -> Configuration:
    """One environment of a project that has been read.

    Raises UserError `config-invalid` or `environment-unknown`.
    """
    folder = parent(config_path)
    inline = project.environments.get(environment)
    path = join(folder, f"{DESCRIPTORS}/{environment}{_SUFFIX}")
    own = None
    if _possible(environment) and tree.entry(path) is not None:
        own = load_document(path, tree.read(path, max_bytes=MAX_CONFIG_BYTES))
        section = parse(own, EnvironmentSection)
    elif inline is not None:
        section = inline
    else:
        raise _environment_unknown(tree, config_path, environment)
    here = (DESCRIPTORS, environment) if own is None else ()
    unused = unused_summary(
        document, [key for key in unused_roots(document, StagecraftFile) if _counts(key, here)]
    )
    if own is not None:
        unused += unused_summary(own, unused_roots(own, EnvironmentSection))
    replaced = _replaced(document, environment, path) if own is not None and inline is not None else []
    return Configuration(
        folder=folder,
        project=project,
        project_document=document,
        name=environment,
        environment=section,
        environment_document=own or document,
        inline=own is None,
        looked_for=(config_path, path),
        findings=(*replaced, *unused),
    )


def list_environments(tree: Tree, config_path: str = DEFAULT_CONFIG) -> tuple[str, list[str]]:
    """The project's name and its environments, sorted.

    Raises UserError `config-not-found` or `config-invalid`.
    """
    document, project = _project(tree, config_path)
    return project.project.name, _names(tree, config_path, document, project)


def project_at(tree: Tree, config_path: str) -> tuple[Document, StagecraftFile]:
    """`stagecraft.yml` alone. Raises UserError `config-not-found` or `config-invalid`."""
    return _project(tree, config_path)


def _project(tree: Tree, config_path: str) -> tuple[Document, StagecraftFile]:
    document = read_project(tree, config_path)
    project = parse(document, StagecraftFile)
    _names(tree, config_path, document, project)
    return document, project


def read_project(tree: Tree, config_path: str) -> Document:
    """`stagecraft.yml` as data. Raises UserError `config-not-found` or `config-invalid`."""
    entry = tree.entry(config_path)
    if entry is None or entry.kind == "folder":
        raise config_not_found(config_path, is_folder=entry is not None)
    return load_document(config_path, tree.read(config_path, max_bytes=MAX_CONFIG_BYTES))


def config_not_found(config_path: str, *, is_folder: bool = False) -> UserError:
    """The error for a project file that is not where it was looked for."""
    why, first = (": it is a folder", "take the folder away and run: ") if is_folder else ("", "")
    return UserError(
        CONFIG_NOT_FOUND,
        f"config not found at {shown(config_path)}{why}",
        where=Where(file=shown(config_path)),
        next=f"{first}stagecraft init, or name the file with --config",
    )


def _names(tree: Tree, config_path: str, document: Document, project: StagecraftFile) -> list[str]:
    """All environments. Raises UserError `config-invalid` for a badly named descriptor or none at all."""
    paths, faults = descriptor_paths(tree, config_path)
    if faults:
        raise ConfigInvalidError(faults)
    names = {*project.environments, *paths}
    if not names:
        raise ConfigInvalidError([no_environment(document)])
    return sorted(names)


def descriptor_paths(tree: Tree, config_path: str) -> tuple[dict[str, str], list[Fault]]:
    """`{environment: path}` of the descriptors, and a fault for each that is badly named."""
    paths: dict[str, str] = {}
    faults: list[Fault] = []
    folder = join(parent(config_path), DESCRIPTORS)
    for path, _ in tree.walk(folder):
        name = (inside(folder, path) or "").removesuffix(_SUFFIX)
        if "/" in name or not path.endswith(_SUFFIX):
            continue
        try:
            paths[checked_name(name)] = path
        except ValueError as error:
            faults.append(Fault(file=shown(path), message=str(error)))
    return paths, faults


def no_environment(document: Document) -> Fault:
    """A project has at least one environment."""
    message = "at least one environment is needed"
    return document.fault((DESCRIPTORS,), message, FindingCode.MISSING_KEY)


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
        where=Where(file=config_path, key=DESCRIPTORS),
        next=f"stagecraft plan --env {names[0]}",
    )


def _counts(key: KeyPath, here: KeyPath) -> bool:
    """Whether a key is the project's or stands in the entry `here`."""
    return key[0] != DESCRIPTORS or (bool(here) and key[:2] == here)


def _replaced(document: Document, environment: str, path: str) -> list[Finding]:
    key = (DESCRIPTORS, environment)
    return [document.finding(FindingCode.ENVIRONMENT_REPLACED, key, f"{path} stands in for this entry")]
