"""What is known of a render before Compose runs, and what Compose is asked.

The commit's files are read here: the configuration, the Compose files with all that they name, and what the
environment's rules and the network say to them as variables. `gitops.draft` takes it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from events.kernel.errors import UserError, error_code
from gitops.compose.closure import MAX_FILE_BYTES, Closure, close_over
from gitops.compose.discover import Discovery, discover
from gitops.compose.render import Rendered, Request
from gitops.config.load import Configuration, load
from gitops.config.scalars import checked_version
from gitops.config.unused import unused_summary
from gitops.findings import Finding
from gitops.gateway_files import wanted_variables
from gitops.hostnames import HostNames, host_names, unnamed_hosts
from gitops.providers import Providers, unused_settings
from gitops.remotes import RemoteRules, Server
from gitops.renderkey import ROOT
from gitops.rules import (
    ENV_FILE_VARIABLE,
    Rules,
    env_file_in_tree,
    env_file_of_host,
    rules_of,
    unused_rules,
)
from gitops.settings import all_hosts, external_services, named_services, placed_services
from gitops.source.paths import shown
from gitops.source.tree import Tree

VERSION_INVALID = error_code("version-invalid", "A version is not written as an image tag.")

_VERSION_VARIABLES = (b"IMAGE_TAG", b"STAGECRAFT_VERSION")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is known before Compose runs."""

    configuration: Configuration
    discovery: Discovery
    closure: Closure
    compose_project: str
    version: str
    version_is_fixed: bool  # the same for every commit
    env_file: str | None  # of the environment, a path of the tree
    rules: Rules
    names: HostNames
    unnamed: dict[str, Finding]  # by variable
    env_looked_for: set[str]  # env files of services that only Compose could name

    def read_env(self, tree: Tree) -> Callable[[str], bytes | None]:
        """How a render takes an env file that only Compose could name."""

        def read(path: str) -> bytes | None:
            self.env_looked_for.add(path)
            return None if tree.entry(path) is None else tree.read(path, max_bytes=MAX_FILE_BYTES)

        return read

    def request(self, tree: Tree) -> Request:
        """What Compose is asked."""
        configuration = self.configuration
        return Request(
            compose_path=self.discovery.path,
            closure=self.closure,
            compose_project=self.compose_project,
            named_services=sorted(named_services(configuration)),
            variables={
                "STAGECRAFT_PROJECT": configuration.project.project.name,
                "STAGECRAFT_ENVIRONMENT": configuration.name,
                "STAGECRAFT_VERSION": self.version,
                "IMAGE_TAG": self.version,
                **self.rules.variables,
            },
            defaults=self.names.variables(placed_services(configuration)),
            env_file=self.env_file,
            host_file=env_file_of_host(configuration),
            external=external_services(configuration),
            wanted=wanted_variables(configuration) | self.unnamed.keys(),
            read=self.read_env(tree),
        )

    @property
    def looked_for(self) -> set[str]:
        """The paths that were read or looked for, once Compose has run; inputs of the render."""
        return {
            *self.configuration.looked_for,
            *self.discovery.looked_for,
            *self.closure.looked_for,
            *self.env_looked_for,
            *self._version_inputs(),
        }

    def left_over(self, rendered: Rendered, providers: Providers | None) -> list[Finding]:
        """What of the environment's rules and of the project's network comes to nothing."""
        configuration = self.configuration
        in_use = rendered.asks_host or self.env_file in self.closure.files
        found = _unused(configuration, self.rules, self.closure, env_file_in_use=in_use)
        found += (finding for name, finding in self.unnamed.items() if name not in rendered.values)
        if providers is not None:
            document = configuration.project_document
            found += unused_summary(document, unused_settings(document, configuration.project, providers))
        return found

    def _version_inputs(self) -> set[str]:
        """The whole tree, when a file uses a version that is another one with every commit."""
        if self.version_is_fixed:
            return set()
        texts = self.closure.files.values()
        return {ROOT} if any(name in text for text in texts for name in _VERSION_VARIABLES) else set()


def rules_left_over(tree: Tree, configuration: Configuration) -> list[Finding]:
    """The rules of an environment that no Compose file uses; nothing when the files cannot be read."""
    env_file = env_file_in_tree(configuration)
    try:
        closure = close_over(tree, discover(tree, configuration.folder).path, env_file=env_file)
    except UserError:
        return []
    asks = env_file_of_host(configuration) is not None and any(
        b"${" in text for text in closure.files.values()
    )
    in_use = asks or env_file in closure.files
    return _unused(configuration, rules_of(configuration), closure, env_file_in_use=in_use)


def _unused(
    configuration: Configuration, rules: Rules, closure: Closure, *, env_file_in_use: bool
) -> list[Finding]:
    used = {ENV_FILE_VARIABLE} if env_file_in_use else set[str]()
    return unused_rules(configuration, rules, texts=tuple(closure.files.values()), used=used)


def prepare(
    tree: Tree,
    *,
    config_path: str,
    environment: str,
    version: str,
    given_version: str | None,
    providers: Providers | None,
    allowed: Collection[Server] = (),
) -> Prepared:
    """Read the commit, whose Compose files may name the other repositories that `allowed` has.

    Raises as `gitops.draft.draft`, but for what Compose finds.
    """
    configuration = load(tree, config_path, environment)
    discovery = discover(tree, configuration.folder)
    own_name = f"{configuration.project.project.name}-{environment}"
    fixed = configuration.environment.version if given_version is None else _given(given_version)
    env_file = env_file_in_tree(configuration)
    remotes = RemoteRules(allowed=tuple(allowed), key=f"policy.{configuration.project.project.name}.remotes")
    closure = close_over(tree, discovery.path, env_file=env_file, remotes=remotes)
    names = host_names(configuration, all_hosts(configuration), providers)
    return Prepared(
        configuration=configuration,
        discovery=discovery,
        closure=closure,
        compose_project=configuration.environment.compose_project or own_name,
        version=fixed or version,
        version_is_fixed=fixed is not None,
        env_file=env_file,
        rules=rules_of(configuration, port_variables=closure.port_variables),
        names=names,
        unnamed=unnamed_hosts(names, placed_services(configuration), texts=closure.files.values()),
        env_looked_for=set(),
    )


def _given(version: str) -> str:
    """A version that a person named. Raises UserError `version-invalid`, as the file's own is refused."""
    try:
        return checked_version(version)
    except ValueError as error:
        raise UserError(
            VERSION_INVALID,
            f"{shown(version)!r} cannot be a version",
            why=str(error),
            next="give another --version, or none: it is the commit's id then",
        ) from error
