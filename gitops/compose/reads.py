"""What one Compose file makes the client open, and what in it is refused.

This is no Compose parser: it looks for the few keys that name files, for the two that start programs or hand
out the engine, and at every text for the home folder. A file that both parsers read differently gains
nothing: what this one did not see is not among the files the client is given.

A file of another repository is taken where `gitops.remotes` takes its reference and the text stands in the
file as it is, so that it can be exchanged (`gitops.compose.exchange`); anything else is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from posixpath import normpath
from typing import Literal

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from events.kernel.redact import REDACT
from gitops.compose.faults import (
    COMPOSE_HOME_REFUSED,
    COMPOSE_INVALID,
    COMPOSE_KEY_REFUSED,
    COMPOSE_PATH_REFUSED,
    COMPOSE_PROGRAM_REFUSED,
    COMPOSE_REMOTE_REFUSED,
    COMPOSE_SOCKET_REFUSED,
    VOLUME_AMBIGUOUS,
    ComposeFault,
    compose_refused,
)
from gitops.remotes import RemoteRef, RemoteRefusedError, RemoteRules
from gitops.source.paths import shown
from gitops.yamlnodes import (
    Mark,
    YamlFaultError,
    is_null,
    items_of,
    mapping_items,
    mark_of,
    measured_documents,
)

ReferenceKind = Literal[
    "include", "include-folder", "include-env", "extends", "env_file", "label_file", "build"
]
TAGS = ("!reset", "!override")  # Compose's own, for merging
_HOME = re.compile(r"\$\{?(?:HOME|DOCKER_CONFIG)(?![A-Za-z0-9_])")
_REMOTE = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:(?://|:)|git@|[\w.-]+@[\w.-]+:|oci:|git:|(?:www\.)?github\.com/"
)
_DRIVE = re.compile(r"[A-Za-z]:")
_KERNEL = re.compile(r"/+(?:proc|sys|dev|run|var/run)(?:/|$)")  # no files that somebody wrote
_LONE_VARIABLE = re.compile(
    r"\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?::?[-+?].*)?\})", re.DOTALL
)
_MAY_BE_REMOTE = ("include", "extends")
_FALSE = {"false", "no", "off", "n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A file that a Compose file names."""

    kind: ReferenceKind
    path: str  # as written
    required: bool
    mark: Mark
    key: str
    remote: RemoteRef | None = None  # it is one of another repository, and taken
    span: tuple[int, int] = (0, 0)  # of a remote one: where it stands, in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """One entry of `include`: files that are merged, and the folder their paths start from."""

    paths: tuple[Reference, ...]
    project_folder: Reference | None  # as written; None: the folder of the first file
    env_files: tuple[Reference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was found in one file."""

    includes: tuple[Include, ...]
    references: tuple[Reference, ...]  # extends, env_file, label_file
    builds: tuple[Reference, ...]  # contexts in other repositories, of services without an image
    profiles: bool  # some service has profiles
    name: Mark | None  # a top-level `name:`
    values: int  # how many the file holds
    host_env: bool  # some env_file is an absolute path: a file of the host
    named_env: bool  # some env_file is named by a variable
    port_variables: frozenset[str]  # variables that are by themselves an entry of some service's `ports`


NO_REMOTES = RemoteRules()


def scan(file: str, content: bytes, remotes: RemoteRules = NO_REMOTES) -> Scan:
    """Look through one file. Raises UserError with the codes of `gitops.compose.faults`."""
    scanner = _Scanner(file, content, remotes)
    try:
        documents, values = measured_documents(content, tags=TAGS)
        for document in documents:
            scanner.document(document)
    except YamlFaultError as error:
        mark = error.mark or Mark(line=1, column=1)
        fault = ComposeFault(
            code=COMPOSE_INVALID, message=f"not a Compose file: {error.message}", file=file, mark=mark, key=""
        )
        raise compose_refused([fault]) from error
    if scanner.faults:
        raise compose_refused(scanner.faults)
    return Scan(
        includes=tuple(scanner.includes),
        references=tuple(scanner.references),
        builds=tuple(scanner.builds),
        profiles=scanner.profiles,
        name=scanner.name,
        values=values,
        host_env=scanner.host_env,
        named_env=scanner.named_env,
        port_variables=frozenset(scanner.port_variables),
    )


class _Scanner:
    """Walks the documents of one file and collects."""

    def __init__(self, file: str, content: bytes, remotes: RemoteRules) -> None:
        self._file = file
        self._text = text_of(content)
        self._remotes = remotes
        self.includes: list[Include] = []
        self.references: list[Reference] = []
        self.builds: list[Reference] = []
        self.profiles = False
        self.host_env = False
        self.named_env = False
        self.port_variables: set[str] = set()
        self.name: Mark | None = None
        self.faults: list[ComposeFault] = []

    def document(self, root: Node) -> None:
        """One YAML document; several in a file are merged by Compose, so each is looked at."""
        self._check_texts(root, "", set())
        top = _mapping(root)
        if "name" in top:
            self.name = mark_of(top["name"])
        for position, entry in enumerate(_listed(top.get("include"))):
            self._include(entry, f"include[{position}]")
        for name, service in _mapping(top.get("services")).items():
            self._service(_mapping(service), f"services.{shown(name)}")

    def _include(self, entry: Node, key: str) -> None:
        parts = _mapping(entry)
        if not parts:
            paths = self._references("include", entry, key)
            self.includes.append(Include(paths=paths, project_folder=None, env_files=()))
            return
        folders = self._references(
            "include-folder", parts.get("project_directory"), f"{key}.project_directory"
        )
        self.includes.append(
            Include(
                paths=self._references("include", parts.get("path"), f"{key}.path"),
                project_folder=folders[0] if folders else None,
                env_files=self._references("include-env", parts.get("env_file"), f"{key}.env_file"),
            )
        )

    def _service(self, service: dict[str, Node], key: str) -> None:
        self.profiles = self.profiles or "profiles" in service
        if "provider" in service and not is_null(service["provider"]):
            why = "provider names a program that Compose would run on the controller"
            self._refuse(COMPOSE_PROGRAM_REFUSED, why, service["provider"], f"{key}.provider")
        socket = service.get("use_api_socket")
        if isinstance(socket, ScalarNode) and not is_null(socket) and socket.value.lower() not in _FALSE:
            why = "use_api_socket gives the engine to the container"
            self._refuse(COMPOSE_SOCKET_REFUSED, why, socket, f"{key}.use_api_socket")
        extends = _mapping(service.get("extends"))
        self.references += self._references("extends", extends.get("file"), f"{key}.extends.file")
        self.references += self._references("env_file", service.get("env_file"), f"{key}.env_file")
        self.references += self._references("label_file", service.get("label_file"), f"{key}.label_file")
        if "image" not in service or is_null(service["image"]):
            self._build(service.get("build"), f"{key}.build")
        for port in _listed(service.get("ports")):
            alone = _LONE_VARIABLE.fullmatch(port.value) if isinstance(port, ScalarNode) else None
            self.port_variables |= {alone["plain"] or alone["braced"]} if alone else set()
        for position, volume in enumerate(_listed(service.get("volumes"))):
            self._volume(volume, f"{key}.volumes[{position}]")

    def _references(self, kind: ReferenceKind, node: Node | None, key: str) -> tuple[Reference, ...]:
        """The files that `node` names: a text, a list of texts or mappings with `path`, or one mapping."""
        found: list[Reference] = []
        for item in _listed(node):
            parts = _mapping(item)
            path = parts.get("path") if parts else item
            if not isinstance(path, ScalarNode) or is_null(path) or not path.value:
                continue
            required = parts.get("required")
            optional = isinstance(required, ScalarNode) and required.value.lower() != "true"
            reference = Reference(
                kind=kind, path=path.value, required=not optional, mark=mark_of(path), key=key
            )
            if kind in _MAY_BE_REMOTE and _REMOTE.match(path.value):
                found += self._remote(reference, path)
            elif self._confined(reference, path):
                found.append(reference)
        return tuple(found)

    def _build(self, build: Node | None, key: str) -> None:
        """Note a context in another repository; one that is not taken is left for the build to refuse."""
        context = _mapping(build).get("context") if isinstance(build, MappingNode) else build
        if not isinstance(context, ScalarNode) or not _REMOTE.match(context.value):
            return
        with suppress(RemoteRefusedError):
            self._remotes.taken(context.value)
            reference = Reference(
                kind="build", path=context.value, required=True, mark=mark_of(context), key=key
            )
            self.builds += self._remote(reference, context)

    def _remote(self, reference: Reference, node: ScalarNode) -> tuple[Reference, ...]:
        """The reference with what it names in another repository; nothing when it is refused."""
        try:
            remote = self._remotes.taken(reference.path)
        except RemoteRefusedError as error:
            self._refuse(COMPOSE_REMOTE_REFUSED, error.message, node, reference.key, error.next)
            return ()
        span = (node.start_mark.index, node.end_mark.index)
        if self._text[slice(*span)] not in {f"{quote}{reference.path}{quote}" for quote in ("", "'", '"')}:
            why = (
                f"{shown(reference.path)!r} is not written as it is meant: it has an anchor, a tag or a fold"
            )
            self._refuse(COMPOSE_REMOTE_REFUSED, why, node, reference.key, "write the address itself there")
            return ()
        return (replace(reference, remote=remote, span=span),)

    def _confined(self, reference: Reference, node: ScalarNode) -> bool:
        """Whether the path is a plain relative one; what is refused is noted."""
        path, key = reference.path, reference.key
        if _REMOTE.match(path):
            why = f"{shown(REDACT(path))!r} is not a file of the repository"
            self._refuse(COMPOSE_REMOTE_REFUSED, why, node, key)
        elif reference.kind == "env_file" and _LONE_VARIABLE.fullmatch(path):
            self.named_env = True
        elif "$" in path:
            why = f"{shown(path)!r} has a variable; the names of files must be plain"
            self._refuse(COMPOSE_PATH_REFUSED, why, node, key)
        elif path.startswith("~"):
            self._refuse(COMPOSE_HOME_REFUSED, f"{shown(path)!r} is in somebody's home folder", node, key)
        elif reference.kind == "env_file" and of_host(path):
            self.host_env = True
        elif path.startswith("/"):
            self._refuse(COMPOSE_PATH_REFUSED, f"{shown(path)!r} is outside the repository", node, key)
        else:
            return True
        return False

    def _volume(self, volume: Node, key: str) -> None:
        """A mount whose source Compose would take for a drive or a home folder."""
        source = _mapping(volume).get("source") if isinstance(volume, MappingNode) else volume
        if not isinstance(source, ScalarNode):
            return
        if source is volume and _DRIVE.match(source.value):
            why = f"{shown(source.value)!r} would be a Windows drive; give the volume a longer name"
            self._refuse(VOLUME_AMBIGUOUS, why, source, key)
        elif source.value.startswith("~"):
            self._refuse(
                COMPOSE_HOME_REFUSED, f"{shown(source.value)!r} is in somebody's home folder", source, key
            )

    def _check_texts(self, node: Node, key: str, seen: set[int]) -> None:
        """Refuse `$` in keys and the home folder in texts, anywhere; shared nodes are looked at once."""
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            if _HOME.search(node.value.replace("$$", "")):
                why = "${HOME} is the home folder of whoever runs Compose; write the path itself"
                self._refuse(COMPOSE_HOME_REFUSED, why, node, key)
        elif isinstance(node, SequenceNode):
            for position, item in enumerate(items_of(node)):
                self._check_texts(item, f"{key}[{position}]", seen)
        elif isinstance(node, MappingNode):
            for name, value in mapping_items(node):
                inner = f"{key}.{shown(name.value)}" if key else shown(name.value)
                if "$" in name.value:
                    why = "a key is never interpolated, and Compose does not keep a '$' in it"
                    self._refuse(COMPOSE_KEY_REFUSED, why, name, inner)
                self._check_texts(value, inner, seen)

    def _refuse(self, code: str, message: str, node: Node, key: str, next_step: str = "") -> None:
        self.faults.append(
            ComposeFault(
                code=code, message=message, file=self._file, mark=mark_of(node), key=key, next=next_step
            )
        )


def text_of(content: bytes) -> str:
    """A Compose file as the text in which places are counted: without a byte order mark."""
    return content.decode("utf-8-sig", errors="replace")


def of_host(path: str) -> bool:
    """Whether `path` can be an env file that somebody keeps on a host."""
    return path.startswith("/") and shown(path) == path and not _KERNEL.match(normpath(path))


def _mapping(node: Node | None) -> dict[str, Node]:
    """Keys and values of a mapping; nothing of anything else, about which Compose complains."""
    return {key.value: value for key, value in mapping_items(node)} if isinstance(node, MappingNode) else {}


def _listed(node: Node | None) -> Iterator[Node]:
    """The items of a list; anything else alone."""
    if isinstance(node, SequenceNode):
        yield from items_of(node)
    elif node is not None:
        yield node
